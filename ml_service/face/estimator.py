"""ChurnModel for Python: a scikit-learn classifier that trains, scores and explains as the services do.

Law: the same rows, seed and number of trials give the model that `train_model` makes, to the bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_consistent_length

from ml_service.api.codec import checked_version
from ml_service.data.dataset import Snapshot, snapshot_of
from ml_service.face import classes, frames
from ml_service.face.refusals import as_value_errors
from ml_service.face.scores import FittedModel
from ml_service.model import artefacts, churn_model
from ml_service.training.pipeline import Effort, train
from shared.clock import iso, utc_now
from shared.errors import InsufficientData, InvalidInput, NoSignal
from shared.schema.features import Schema, load_schema
from shared.tables.read import read_table

#: Name of the label's column if `y` has none.
LABEL = "churn"
#: Entry of the manifest with what only Python needs: the labels' own values, and the columns of X.
FACE = "python"


class ChurnModel(FittedModel):
    """A classifier of customers who leave, calibrated and explained.

    Parameters
    ----------
    label : str, optional
        Column of X that tells who left. Without it, `fit` needs y.
    positive : scalar or sequence, optional
        Values of the label that mean that the customer left; found as in the proposal of a schema if absent.
    trials : int, default=4
        Number of configurations to try.
    schema : str, Path or Schema, optional
        Meaning of the columns, as a TOML file or as read from one; proposed from X if absent.
    time_budget : float, optional
        No trial begins after this many seconds; the model then depends on the machine's speed.
    random_state : int, default=0
        Seed of the split, of the search and of the trees.
    threads : int, default=2
        Threads of xgboost; the model does not depend on them.
    allow_leaks : sequence of str, default=()
        Features that are accepted even if they give the outcome away.
    version : str, default="2.4.1"
        Version of the model, under which a service finds it.
    if_refused : {"rate", "raise"}, default="rate"
        With too few leavers or stayers, or without a signal, there is no model: warn and predict for everybody the
        share of leavers among the rows, as scikit-learn expects of small tables, or raise ValueError.

    Attributes
    ----------
    classes_ : ndarray, shape (2,)
        The two values of the label, sorted; 0 and 1 if the label has more than two.
    model_ : ml_service.model.churn_model.ChurnModel or None
        The model of the services; None if there was none to be made.
    schema_ : Schema
        Meaning of the columns, as given or proposed.
    notes_ : tuple of str
        A sentence for each thing that was guessed or recognised in the table.
    rate_ : float
        Share of leavers among the labelled rows.
    n_features_in_ : int
        Number of columns of X, without the label.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of these columns, if X has any.

    Examples
    --------
    >>> from retainstream import ChurnModel
    >>> ChurnModel(label="churn", trials=1).get_params()["trials"]
    1
    """

    def __init__(
        self,
        label: str | None = None,
        positive: Any = None,
        trials: int = 4,
        *,
        schema: str | Path | Schema | None = None,
        time_budget: float | None = None,
        random_state: int = 0,
        threads: int = 2,
        allow_leaks: Sequence[str] = (),
        version: str = "2.4.1",
        if_refused: Literal["rate", "raise"] = "rate",
    ) -> None:
        self.label, self.positive, self.trials, self.schema = label, positive, trials, schema
        self.time_budget, self.random_state, self.threads = time_budget, random_state, threads
        self.allow_leaks, self.version, self.if_refused = allow_leaks, version, if_refused

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = tags.input_tags.string = True
        tags.target_tags.required = self.label is None and self.schema is None
        return tags

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train as `train_model` and the services do, and report on rows that were held back.

        Parameters
        ----------
        X : DataFrame or array-like, shape (n_rows, n_columns)
            With an id column, rows of one customer stay together; with dates (`as_of`), the newest are the test.
        y : array-like, shape (n_rows,), optional
            Labels: who left. Without it, X holds them.

        Returns
        -------
        self : ChurnModel

        Raises
        ------
        ValueError
            If the table can't be used or gives no model; the message says which row or column, and what to do.
        """
        with as_value_errors():
            self._check_parameters()
            schema = load_schema(self.schema) if isinstance(self.schema, str | Path) else self.schema
            frame, label = self._labelled(X, y, self.label or (schema.label if schema else None))
            positive = [self.positive] if np.isscalar(self.positive) else self.positive
            with frames.as_file(frame) as path:
                found = frames.meaning(path, schema, label, positive)
                table = read_table(path, found.schema, label="required")
            named = classes.classes_of(frames.arrow_column(frame[label], label), found.schema)
            snapshot = snapshot_of(table)
            model = self._train(snapshot)
        self._take(model, found.schema, named)
        self.notes_, self.rate_ = tuple(dict.fromkeys((*found.notes, *table.notes))), float(np.mean(snapshot.label))
        return self

    def _take(self, model: churn_model.ChurnModel | None, schema: Schema, named: classes.Classes) -> None:
        self.model_, self.schema_, self._classes = model, schema, named
        self.classes_, self.positive_class_ = named.names, named.names[named.left]

    def _check_parameters(self) -> None:
        checked_version(self.version)
        if self.if_refused not in ("raise", "rate"):
            raise InvalidInput(f"if_refused must be 'raise' or 'rate', not {self.if_refused!r}.")
        for name, least in {"trials": 1, "random_state": 0, "threads": 1}.items():
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < least:
                raise InvalidInput(f"{name} must be a whole number of at least {least}, not {value!r}.")
        if self.time_budget is not None and not self.time_budget > 0:
            raise InvalidInput(f"time_budget must be above 0, not {self.time_budget!r}.")

    def _labelled(self, X: Any, y: Any, label: str | None) -> tuple[pd.DataFrame, str]:
        """The table with its label, and the label's name."""
        if y is None:
            if label is None:
                raise InvalidInput(
                    "ChurnModel requires y to be passed, but the target y is None; or name its column of X as label."
                )
            frame = self._frame(X, label, reset=True)
            if label not in frame.columns:
                raise InvalidInput(f"X has no column {label!r}, the label; it has {', '.join(frame.columns)}.")
            return frame, label
        frame, labels = self._frame(X, None, reset=True), classes.checked_labels(y)
        check_consistent_length(frame, labels)
        name = label or getattr(y, "name", None)
        label = name if isinstance(name, str) and name else LABEL
        if label in frame.columns:
            raise InvalidInput(f"X holds a column {label!r}, and y is called so too: give one of them.")
        return frame.assign(**{label: labels}), label

    def _train(self, snapshot: Snapshot) -> churn_model.ChurnModel | None:
        try:
            return train(
                snapshot,
                version=self.version,
                seed=int(self.random_state),
                threads=int(self.threads),
                effort=Effort(int(self.trials), self.time_budget),
                allow_leaks=tuple(self.allow_leaks),
            ).model
        except (InsufficientData, NoSignal) as refusal:
            if self.if_refused == "raise":
                raise
            warnings.warn(f"{refusal.message} Everybody gets the share of leavers among the rows.", stacklevel=3)
            return None

    def save(self, folder: str | Path, *, replace: bool = False) -> None:
        """Write the model as the services keep it; `REGISTRY/VERSION` is a folder that a service finds.

        Parameters
        ----------
        folder : str or Path
            It appears complete or not at all.
        replace : bool, default=False
            Replace a model in the folder.

        Raises
        ------
        ValueError
            If there is no model, or the folder holds something else.
        """
        model = self._made()
        kept: dict[str, Any] = {"classes": self._classes.as_dict()}
        if hasattr(self, "n_features_in_"):
            names = self.feature_names_in_.tolist() if hasattr(self, "feature_names_in_") else None
            kept |= {"n_features": self.n_features_in_, "features": names}
        about = {"created_at": iso(utc_now()), "data_sha256": self.report.get("data_sha256"), FACE: kept}
        with as_value_errors():
            model.save(Path(folder), about=about, replace=replace)

    @classmethod
    def load(cls, folder: str | Path, *, threads: int = 2) -> Self:
        """Read a model that `save`, a service or `train_model` wrote, after verifying every file.

        Parameters
        ----------
        folder : str or Path
            Folder of one model version.
        threads : int, default=2
            Threads of xgboost.

        Returns
        -------
        model : ChurnModel
            Its classes are 0 and 1 if it was not made here.

        Raises
        ------
        ValueError
            If a file is missing or is not the one that was saved.
        """
        with as_value_errors():
            model = churn_model.ChurnModel.load(Path(folder), threads=threads, with_sibling=True)
            kept = artefacts.read_manifest(Path(folder)).get(FACE, {})
        trials = model.search.get("trials", 4)
        made = cls(trials=trials, schema=model.schema, random_state=model.seed, threads=threads, version=model.version)
        named = classes.Classes.from_dict(kept["classes"]) if kept else classes.PLAIN
        made._take(model, model.schema, named)
        if "n_features" in kept:
            made.n_features_in_ = kept["n_features"]
            if kept["features"] is not None:
                made.feature_names_in_ = np.array(kept["features"], dtype=object)
        return made
