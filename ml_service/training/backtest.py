"""Backtest: trains a model on the data known at each past date, and evaluates it on the rows of that date.

Law: at each origin, a model is trained as a live one is, only on rows whose outcome was known by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from ml_service import metrics
from ml_service.arrays import Ints
from ml_service.data.dataset import Snapshot
from ml_service.data.splitting import MIN_TEST, MIN_TRAINING
from ml_service.model.churn_model import ChurnModel
from ml_service.model.cross_validation import Progress
from ml_service.training.fitting import fit
from ml_service.training.pipeline import split_snapshot
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS, Backtest, Origin
from shared.errors import InsufficientData, NoSignal

MATURES_AFTER = np.timedelta64(HORIZON_DAYS + GRACE_DAYS, "D")
MIN_ROWS = 100


def backtest(
    snapshot: Snapshot, *, trials: int, seed: int = 0, threads: int = 1, most: int | None = None, progress: Progress
) -> Backtest:
    """Train a model at each origin on the rows that had matured by then, and evaluate it on the rows of the origin.

    Parameters
    ----------
    snapshot : Snapshot
        With dates.
    trials : int
        Number of configurations to try at each origin.
    seed : int, default=0
    threads : int, default=1
        Threads of xgboost.
    most : int, optional
        Maximum number of origins; the newest are used.
    progress : callable
        Called with the share of the work that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    backtest : Backtest
        Oldest origin first.

    Raises
    ------
    InsufficientData
        If no date has enough matured rows before it.
    """
    snapshot = snapshot.take(snapshot.usable_rows(seed))
    origins = list(_origins(snapshot))[-(most or 0) :]
    if not origins:
        raise InsufficientData(
            f"A backtest needs a date to test on, and at least {MIN_ROWS} rows with {MIN_TRAINING} leavers to train "
            f"on, dated at least {HORIZON_DAYS + GRACE_DAYS} days earlier."
        )
    evaluated = []
    for number, (day, training, test) in enumerate(origins):

        def report_progress(done: float, stage: str, number: int = number, day: np.datetime64 = day) -> None:
            progress((number + done) / len(origins), f"{day}: {stage}")

        training_of_day = partial(_fit, snapshot.take(training), trials, seed, threads, report_progress)
        evaluated.append(_evaluate(training_of_day, snapshot, day, training, test))
    return Backtest(trials=trials, seed=seed, origins=evaluated)


def _origins(snapshot: Snapshot) -> Iterator[tuple[np.datetime64, Ints, Ints]]:
    if snapshot.as_of is None:
        return
    for day in np.unique(snapshot.as_of):
        training = np.flatnonzero(snapshot.as_of + MATURES_AFTER <= day)
        test = np.flatnonzero(snapshot.as_of == day)
        training_leavers, test_leavers = int(snapshot.label[training].sum()), int(snapshot.label[test].sum())
        enough = len(training) >= MIN_ROWS and min(training_leavers, len(training) - training_leavers) >= MIN_TRAINING
        if enough and min(test_leavers, len(test) - test_leavers) >= MIN_TEST:
            yield day, training, test


def _fit(known: Snapshot, trials: int, seed: int, threads: int, progress: Progress) -> ChurnModel:
    """The model that would have gone live with the rows known at an origin."""
    split = split_snapshot(known, seed)
    unfitted = ChurnModel(known.schema, version="0.0.0", seed=seed, threads=threads)
    return fit(unfitted, known, split, trials=trials, time_budget_s=None, progress=progress).live


def _evaluate(
    train: Callable[[], ChurnModel], snapshot: Snapshot, day: np.datetime64, training: Ints, test: Ints
) -> Origin:
    """Train a model at an origin and evaluate it on the rows of that date."""
    label = snapshot.label[test]
    facts: dict[str, Any] = {
        "as_of": str(day),
        "training_samples": len(training),
        "n": len(test),
        "prevalence": float(label.mean()),
        "training_prevalence": float(snapshot.label[training].mean()),
    }
    try:
        model = train()
    except (NoSignal, InsufficientData) as error:
        return Origin(**facts, note=error.message)
    p = model.predict(snapshot.features.take(pa.array(test)), as_of=np.full(len(test), day)).probability
    return Origin(
        **facts,
        auc=metrics.auc(label, p),
        log_loss=metrics.log_loss(label, p),
        ece=metrics.ece(label, p),
        mean_probability=float(p.mean()),
    )
