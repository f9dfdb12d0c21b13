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
from ml_service.training.candidates import Choice, Way, choose, own_levels
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
        Training and test rows of the snapshot.
    trials, time_budget_s
        As in `ChurnModel.fit`.
    progress : callable
        Called with the share of the training that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    fitted : Fitted
    """
    keep_folds = split.kind == "stratified"
    sibling = searched = model.fit(
        **_rows(snapshot, split.training, keep_folds=keep_folds),
        trials=trials,
        time_budget_s=time_budget_s,
        progress=lambda done, stage: progress(0.05 + 0.4 * done, stage),
    )
    choice = choose(snapshot, split, searched, lambda done, stage: progress(0.45 + 0.07 * done, stage))
    way = Way() if choice is None else choice.way
    if way.window is not None:
        sibling = fit_way(searched, snapshot, split.training, way)
    elif way.form is not None:
        sibling = _with_level(searched, way.form, snapshot.take(split.training))
    live = fit_way(
        searched,
        snapshot,
        split.rows,
        way,
        keep_folds=keep_folds,
        progress=lambda done, stage: progress(0.52 + 0.08 * done, stage),
    )
    sibling.sibling, live.sibling = None, sibling
    return Fitted(searched, sibling, live, choice)


def fit_way(
    searched: ChurnModel,
    snapshot: Snapshot,
    at: Indices,
    way: Way,
    *,
    keep_folds: bool = False,
    progress: Progress = lambda done, stage: None,
) -> ChurnModel:
    """Fit the configuration of a model to other rows: to their newest dates or all, with a level or without.

    Parameters
    ----------
    searched : ChurnModel
        Fitted.
    snapshot : Snapshot
    at : ndarray of intp
        Positions of the rows, in ascending order.
    way : Way
    keep_folds : bool, default=False
        As in `ChurnModel.fit`.
    progress : callable, optional
        Called with the share of the work that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    model : ChurnModel
    """
    if way.window is not None and snapshot.as_of is not None:
        at = at[newest_dates(snapshot.as_of[at], way.window)]
    model = searched.refit(**_rows(snapshot, at, keep_folds=keep_folds), progress=progress)
    return model if way.form is None else _with_level(model, way.form, snapshot.take(at))


def _rows(snapshot: Snapshot, at: Indices, *, keep_folds: bool) -> dict[str, Any]:
    part = snapshot.take(at)
    return {"features": part.features, "label": part.label, "row_keys": part.row_keys, "keep_folds": keep_folds}


def _with_level(model: ChurnModel, form: YearForm, rows: Snapshot) -> ChurnModel:
    """The model with a level of this form, fitted to the out-of-fold margins of its rows."""
    assert rows.as_of is not None
    return model.with_time_of_year(fit_form(form, own_levels(model, rows)), rows.label, rows.as_of)
