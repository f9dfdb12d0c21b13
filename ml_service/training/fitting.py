"""Fitting: the search on the training rows, the choice of a window and a level, and the fit to all rows.

Law: what is chosen is chosen on training rows; the live model is the same choice, fitted to all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ml_service.arrays import Indices
from ml_service.data.dataset import Snapshot
from ml_service.data.splitting import Split
from ml_service.model.churn_model import ChurnModel
from ml_service.model.cross_validation import Progress
from ml_service.training.candidates import Choice, choose, own_levels
from ml_service.training.rolling_origins import newest_dates
from ml_service.training.year_forms import fit_form
from shared.contracts.report import YearForm


@dataclass(frozen=True)
class Fitted:
    """The result of `fit`.

    Attributes
    ----------
    searched : ChurnModel
        Fitted to all training rows, without a level: the model of the search.
    sibling : ChurnModel
        The chosen way, fitted to training rows: the model that is judged.
    live : ChurnModel
        The same way, fitted to all usable rows.
    choice : Choice or None
        None for a split that is not by time.
    """

    searched: ChurnModel
    sibling: ChurnModel
    live: ChurnModel
    choice: Choice | None


def fit(
    model: ChurnModel,
    snapshot: Snapshot,
    split: Split,
    *,
    trials: int,
    time_budget_s: float | None,
    progress: Progress,
) -> Fitted:
    """Choose a configuration on the training rows, and fit it to these and again to all usable rows.

    Parameters
    ----------
    model : ChurnModel
        Not fitted yet.
    snapshot : Snapshot
        With the features that the model uses.
    split : Split
        Of the snapshot.
    trials, time_budget_s
        As in `ChurnModel.fit`.
    progress : callable
        Called with the share of the training that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    fitted : Fitted
    """

    def rows(at: Indices) -> dict[str, Any]:
        part, keep_folds = snapshot.take(at), split.kind == "stratified"
        return {"features": part.features, "label": part.label, "row_keys": part.row_keys, "keep_folds": keep_folds}

    sibling = searched = model.fit(
        **rows(split.training),
        trials=trials,
        time_budget_s=time_budget_s,
        progress=lambda done, stage: progress(0.05 + 0.4 * done, stage),
    )
    choice = choose(snapshot, split, searched, lambda done, stage: progress(0.45 + 0.07 * done, stage))
    training, every = (_of_window(snapshot, at, choice) for at in (split.training, split.rows))
    if len(training) < len(split.training):
        sibling = searched.refit(**rows(training), progress=lambda done, stage: progress(0.52, stage))
    live = sibling.refit(**rows(every), progress=lambda done, stage: progress(0.52 + 0.08 * done, stage))
    if choice is not None and choice.way.form is not None:
        sibling = _with_level(sibling, choice.way.form, snapshot.take(training))
        live = _with_level(live, choice.way.form, snapshot.take(every))
    sibling.sibling, live.sibling = None, sibling
    return Fitted(searched, sibling, live, choice)


def _of_window(snapshot: Snapshot, at: Indices, choice: Choice | None) -> Indices:
    if choice is None or choice.way.window is None or snapshot.as_of is None:
        return at
    return at[newest_dates(snapshot.as_of[at], choice.way.window)]


def _with_level(model: ChurnModel, form: YearForm, rows: Snapshot) -> ChurnModel:
    """The model with a level of this form, fitted to the out-of-fold margins of its rows."""
    assert rows.as_of is not None
    return model.with_time_of_year(fit_form(form, own_levels(model, rows)), rows.label, rows.as_of)
