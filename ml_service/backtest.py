"""`python -m ml_service.backtest`: how a model trained on what was known at each past date would have done there.

Law: at an origin only rows whose outcome was known by then are trained on, whatever is in the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from ml_service import metrics
from ml_service.cli import check_writable, guarded, written_whole
from ml_service.data.dataset import Snapshot
from ml_service.data.simulated import CUSTOMERS, simulated
from ml_service.data.splitting import LEAST_TEST, LEAST_TRAINING
from ml_service.model.churn_model import ChurnModel, Progress
from ml_service.settings import load_settings
from ml_service.train_model import snapshot_of
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS, Backtest, Origin
from shared.errors import InsufficientData, InvalidInput, NoSignal
from shared.schema.features import load_schema
from shared.simulation.simulate import PRESETS
from shared.tables.read import read_table

Ints = npt.NDArray[np.int64]

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


def backtest_text(found: Backtest) -> str:
    """An origin a line, oldest first."""
    lines = [f"{'as of':10} {'trained on':>10} {'n':>7} {'left':>7} {'said':>7} {'AUC':>7} {'log loss':>9} {'ECE':>7}"]
    for each in found.origins:
        told = [f"{value:.4f}" if value is not None else "-" for value in (each.auc, each.log_loss, each.ece)]
        said = "-" if each.mean_probability is None else f"{100 * each.mean_probability:.2f} %"
        rates = f"{100 * each.prevalence:5.2f} % {said:>7}"
        lines.append(
            f"{each.as_of:10} {each.training_samples:>10,} {each.n:>7,} {rates} {told[0]:>7} {told[1]:>9} {told[2]:>7}"
        )
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m ml_service.backtest",
        description="Train at each past date on what was known then, judge on what came after.",
        epilog="example: python -m ml_service.backtest --data months.csv --schema schema.toml --json backtest.json",
    )
    command.add_argument("--data", type=Path, metavar="FILE", help="rows with as_of and their outcome, CSV or Parquet")
    command.add_argument("--schema", metavar="FILE", default="retainstream", help="what the columns mean")
    command.add_argument("--preset", choices=sorted(PRESETS), default="documented", help="without --data: simulated")
    command.add_argument("--customers", type=int, default=CUSTOMERS, help="simulated customers")
    command.add_argument("--origins", type=int, metavar="N", help="only the newest N dates")
    command.add_argument("--trials", type=int, default=4, help="configurations searched at each date (default 4)")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON too")
    return command


def _run(options: argparse.Namespace) -> None:
    if options.trials < 1 or options.seed < 0 or (options.origins is not None and options.origins < 1):
        raise InvalidInput("--trials and --origins: 1 or more; --seed: 0 or more.")
    if options.json is not None:
        check_writable(options.json)
    if options.data is not None:
        snapshot = snapshot_of(read_table(options.data, load_schema(options.schema), label="required"))
    else:
        snapshot = simulated(options.preset, customers=options.customers, seed=options.seed).snapshot
    settings, shown = load_settings(), set[str]()

    def progress(_done: float, stage: str) -> None:
        day = stage.partition(":")[0]
        if day not in shown:
            shown.add(day)
            print(f"training as of {day}", file=sys.stderr, flush=True)

    found = backtest(
        snapshot,
        trials=options.trials,
        seed=options.seed,
        threads=settings.ml_threads,
        most=options.origins,
        progress=progress,
    )
    print(backtest_text(found))
    if options.json is not None:
        with written_whole(options.json) as file:
            file.write(orjson.dumps(found.model_dump(), option=orjson.OPT_INDENT_2).decode() + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    options = parser().parse_args(arguments)
    return guarded("backtest", lambda: _run(options))


if __name__ == "__main__":
    sys.exit(main())
