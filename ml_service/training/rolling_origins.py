"""Rolling origins: the chosen configuration, fitted at the beginning of past periods to what was known then.

Law: at each origin, only rows whose outcome was known when its period began are learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml_service.arrays import Dates, Floats, Indices
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix
from ml_service.data.splitting import periods
from ml_service.model.churn_model import ChurnModel
from ml_service.model.cross_validation import Progress
from ml_service.model.trees import boosting
from shared.contracts.api import HORIZON_DAYS

#: More than the newest twelve periods would be of another time.
MAX_PERIODS = 12
#: At least this many leavers and stayers to learn from.
MIN_KNOWN = 100
#: Maximum number of rows that a model is fitted to; where there are more, its windows take their part of this sample.
FIT_ROWS = 30_000


@dataclass(frozen=True)
class Origin:
    """One period, and what models of the rows known at its beginning say of its rows.

    Attributes
    ----------
    rows : ndarray of intp, shape (n_rows,)
        Positions in the snapshot.
    known : ndarray of intp
        Positions of the rows whose outcome was known at the start.
    margins : dict of int or None to ndarray of float64, shape (n_rows,)
        Log-odds before calibration by the number of newest dates that were learned from; None stands for all.
    """

    rows: Indices
    known: Indices
    margins: dict[int | None, Floats]


def lag_days(snapshot: Snapshot) -> int:
    """Days until the outcome of a row is known: window and grace."""
    return HORIZON_DAYS + snapshot.grace_days


def roll(
    snapshot: Snapshot,
    among: Indices,
    model: ChurnModel,
    progress: Progress,
    *,
    windows: Sequence[int] = (),
    fitted: Sequence[Origin] = (),
) -> list[Origin]:
    """Fit a model's configuration at the origins of the newest periods, at most twelve.

    Parameters
    ----------
    snapshot : Snapshot
        With dates.
    among : ndarray of intp
        Positions of the rows to use, in ascending order.
    model : ChurnModel
        Its parameters and categories are used.
    progress : callable
        Called with the share of the work that is done, in [0, 1], and the name of the stage.
    windows : sequence of int, optional
        Beside all known dates, fit to so many of the newest of them too, where there are more.
    fitted : sequence of Origin, optional
        Origins of the same model and snapshot; those among them are not fitted again.

    Returns
    -------
    origins : list of Origin
        The newest first; periods with too little to learn from are left out.
    """
    assert snapshot.as_of is not None
    as_of, found = snapshot.as_of[among], []
    starts = periods(as_of)
    for number, (start, end) in enumerate(zip(starts[:MAX_PERIODS], [None, *starts], strict=False)):
        progress(number / min(len(starts), MAX_PERIODS), f"fitting as of {start}")
        known = among[as_of + np.timedelta64(lag_days(snapshot), "D") <= start]
        leavers = int(snapshot.label[known].sum())
        if not MIN_KNOWN <= leavers <= len(known) - MIN_KNOWN:
            continue
        rows = among[(as_of >= start) & ((as_of < end) if end is not None else True)]
        same = (each for each in fitted if np.array_equal(each.rows, rows) and np.array_equal(each.known, known))
        found.append(next(same, None) or Origin(rows, known, _margins(snapshot, known, rows, model, windows)))
    return found


def newest_dates(as_of: Dates, count: int | None) -> Indices:
    """Positions of the rows of so many newest periods; None stands for all."""
    starts = periods(as_of)
    if count is None or count >= len(starts):
        return np.arange(len(as_of))
    return np.flatnonzero(as_of >= starts[count - 1])


def _margins(
    snapshot: Snapshot, known: Indices, rows: Indices, model: ChurnModel, windows: Sequence[int]
) -> dict[int | None, Floats]:
    assert snapshot.as_of is not None
    learned = known
    if len(known) > FIT_ROWS:
        learned = np.sort(np.random.default_rng(model.seed).choice(known, FIT_ROWS, replace=False))
    values, judged = (
        to_matrix(model.schema, model.categories, snapshot.features.take(pa.array(at))).values for at in (learned, rows)
    )
    label, dates = snapshot.label[learned], snapshot.as_of[learned]
    params = {name: value for name, value in model.parameters.items() if name not in ("rounds", "bag")}
    margins: dict[int | None, Floats] = {}
    for window in (None, *(each for each in windows if len(periods(dates)) > each)):
        at = newest_dates(dates, window)
        booster = boosting.fit(
            model.schema,
            params,
            values[at],
            label[at],
            rounds=model.parameters["rounds"],
            bag=1,
            threads=model.threads,
        )
        margins[window] = boosting.margins(model.schema, booster, judged, model.threads)
    return margins
