"""A backtest: how a model trained on what was known at each past date would have done there.

Law: at an origin only rows whose outcome was known by then are trained on, whatever is in the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from ml_service import metrics
from ml_service.arrays import Ints
from ml_service.data.dataset import Snapshot
from ml_service.data.splitting import LEAST_TEST, LEAST_TRAINING
from ml_service.model.churn_model import ChurnModel, Progress
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS, Backtest, Origin
from shared.errors import InsufficientData, NoSignal

MATURES_AFTER = np.timedelta64(HORIZON_DAYS + GRACE_DAYS, "D")
LEAST_ROWS = 100


def backtest(
    snapshot: Snapshot, *, trials: int, seed: int = 0, threads: int = 1, most: int | None = None, progress: Progress
) -> Backtest:
    """Train at each origin on what had matured by then, judge on the rows of the origin.

    Parameters
    ----------
    most
        Only the newest so many origins.

    Raises
    ------
    InsufficientData
        Where no date has enough matured rows before it.
    """
    origins = list(_origins(snapshot))[-(most or 0) :]
    if not origins:
        raise InsufficientData(
            f"A backtest needs dates: one to judge, and before it, by {HORIZON_DAYS + GRACE_DAYS} days or more, "
            f"at least {LEAST_ROWS} rows with {LEAST_TRAINING} leavers to learn from."
        )
    found = []
    for number, (day, training, test) in enumerate(origins):

        def part(done: float, stage: str, number: int = number, day: np.datetime64 = day) -> None:
            progress((number + done) / len(origins), f"{day}: {stage}")

        found.append(_judged(snapshot, day, training, test, Maker(trials, seed, threads), part))
    return Backtest(trials=trials, seed=seed, origins=found)


class Maker:
    """How each origin's model is made."""

    def __init__(self, trials: int, seed: int, threads: int) -> None:
        self._trials, self._seed, self._threads = trials, seed, threads

    def __call__(self, snapshot: Snapshot, rows: pa.Array, progress: Progress) -> ChurnModel:
        model = ChurnModel(snapshot.schema, version="0.0.0", seed=self._seed, threads=self._threads)
        return model.fit(
            snapshot.features.take(rows),
            snapshot.label[np.asarray(rows)],
            row_keys=snapshot.row_keys.take(rows),
            trials=self._trials,
            progress=progress,
        )


def _origins(snapshot: Snapshot) -> Iterator[tuple[np.datetime64, Ints, Ints]]:
    if snapshot.as_of is None:
        return
    for day in np.unique(snapshot.as_of):
        training = np.flatnonzero(snapshot.as_of + MATURES_AFTER <= day)
        test = np.flatnonzero(snapshot.as_of == day)
        left, gone = int(snapshot.label[training].sum()), int(snapshot.label[test].sum())
        enough = len(training) >= LEAST_ROWS and min(left, len(training) - left) >= LEAST_TRAINING
        if enough and min(gone, len(test) - gone) >= LEAST_TEST:
            yield day, training, test


def _judged(
    snapshot: Snapshot,
    day: np.datetime64,
    training: Ints,
    test: Ints,
    make: Maker,
    progress: Progress,
) -> Origin:
    label = snapshot.label[test]
    about: dict[str, Any] = {
        "as_of": str(day),
        "training_samples": len(training),
        "n": len(test),
        "prevalence": float(label.mean()),
        "training_prevalence": float(snapshot.label[training].mean()),
    }
    try:
        model = make(snapshot, pa.array(training), progress)
    except NoSignal as error:
        return Origin(**about, note=error.message)
    p = model.predict(snapshot.features.take(pa.array(test))).probability
    return Origin(
        **about,
        auc=metrics.auc(label, p),
        log_loss=metrics.log_loss(label, p),
        ece=metrics.ece(label, p),
        mean_probability=float(p.mean()),
    )
