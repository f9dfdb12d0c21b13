"""Level spread: how far the churn rate of a period strays from what a model of the periods before says.

Law: the model of a period is fitted only to rows whose outcome was known when the period began.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy.stats import t

from ml_service.arrays import Dates, Indices
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix
from ml_service.data.splitting import Split, periods
from ml_service.evaluation.level import level_offset
from ml_service.model.churn_model import ChurnModel
from ml_service.model.cross_validation import Progress
from ml_service.model.trees import boosting
from shared.contracts.api import HORIZON_DAYS, LevelSpread
from shared.expected_leavers import Z95

#: A period counts with at least this many expected leavers, and after at least this many leavers to learn from.
MIN_EXPECTED, MIN_KNOWN = 10, 100
#: Fewer periods give no spread; more than the newest twelve would be of another time.
MIN_PERIODS, MAX_PERIODS = 4, 12
#: Maximum number of rows that the model of a period is fitted to.
FIT_ROWS = 40_000


def level_spread(snapshot: Snapshot, split: Split, model: ChurnModel, progress: Progress) -> LevelSpread | None:
    """Estimate the spread of the level between periods, by rolling origins.

    For each period, the model's configuration is fitted to the rows whose outcome was known when it began, and the
    number is found that sets its level right on the rows of the period. The spread is the standard deviation of these
    numbers, with the variance that chance gives them taken off.

    Parameters
    ----------
    snapshot : Snapshot
    split : Split
        Of the snapshot.
    model : ChurnModel
        Its parameters and its calibration are used.
    progress : callable
        Called with the share of the work that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    spread : LevelSpread or None
        None without dates; without sigma where there are fewer than four periods.
    """
    if split.kind != "time" or snapshot.as_of is None:
        return None
    as_of, offsets, chances = snapshot.as_of[split.rows], [], []
    origins = _origins(as_of, snapshot.grace_days)[:MAX_PERIODS]
    for number, (known, period) in enumerate(origins):
        progress(number / len(origins), f"fitting as of {as_of[period].min()} for the spread of the level")
        found = _offset(snapshot, split.rows[known], split.rows[period], model)
        if found is not None:
            offsets.append(found[0])
            chances.append(found[1])
    if len(offsets) < MIN_PERIODS:
        return LevelSpread(sigma=None, periods=len(offsets), quantile=Z95)
    variance = float(np.var(offsets, ddof=1) - np.mean(chances))
    return LevelSpread(
        sigma=float(np.sqrt(max(0.0, variance))),
        periods=len(offsets),
        quantile=float(t.ppf(0.975, len(offsets) - 1)),
    )


def _origins(as_of: Dates, grace_days: int) -> list[tuple[Indices, Indices]]:
    """The rows known at the beginning of each period and the rows of the period, the newest period first."""
    starts = periods(as_of)
    found = []
    for start, end in zip(starts, [None, *starts[:-1]], strict=True):
        known = np.flatnonzero(as_of + np.timedelta64(HORIZON_DAYS + grace_days, "D") <= start)
        found.append((known, np.flatnonzero((as_of >= start) & ((as_of < end) if end is not None else True))))
    return found


def _offset(snapshot: Snapshot, known: Indices, period: Indices, model: ChurnModel) -> tuple[float, float] | None:
    """The level of a period in log-odds and its variance by chance; None where too few leave to tell."""
    label = snapshot.label
    if not MIN_KNOWN <= label[known].sum() <= len(known) - MIN_KNOWN:
        return None
    if len(known) > FIT_ROWS:
        known = np.sort(np.random.default_rng(model.seed).choice(known, FIT_ROWS, replace=False))
    learned, judged = (
        to_matrix(model.schema, model.categories, snapshot.features.take(pa.array(rows))).values
        for rows in (known, period)
    )
    params = {name: value for name, value in model.parameters.items() if name not in ("rounds", "bag")}
    booster = boosting.fit(
        model.schema, params, learned, label[known], rounds=model.parameters["rounds"], bag=1, threads=model.threads
    )
    probability = model.calibration(boosting.margins(model.schema, booster, judged, model.threads))
    if probability.sum() < MIN_EXPECTED:
        return None
    offset = level_offset(float(label[period].sum()), probability)
    return offset, 1 / float((probability * (1 - probability)).sum())
