"""`python -m ml_service.backtest`: a backtest on the simulated subscribers or on a file.

Law: needs no gateway and no database; the work is `ml_service.training.backtest`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from ml_service.cli import check_writable, guarded, written_whole
from ml_service.data.dataset import snapshot_of
from ml_service.data.simulated import CUSTOMERS, simulated
from ml_service.settings import load_settings
from ml_service.training.backtest import backtest
from shared.contracts.api import Backtest
from shared.errors import InvalidInput
from shared.schema.features import load_schema
from shared.simulation.simulate import PRESETS
from shared.tables.read import read_table


def backtest_text(result: Backtest) -> str:
    """An origin a line, oldest first."""
    lines = [f"{'as of':10} {'trained on':>10} {'n':>7} {'left':>7} {'said':>7} {'AUC':>7} {'log loss':>9} {'ECE':>7}"]
    for origin in result.origins:
        figures = [f"{value:.4f}" if value is not None else "-" for value in (origin.auc, origin.log_loss, origin.ece)]
        said = "-" if origin.mean_probability is None else f"{100 * origin.mean_probability:.2f} %"
        rates = f"{100 * origin.prevalence:5.2f} % {said:>7}"
        lines.append(
            f"{origin.as_of:10} {origin.training_samples:>10,} {origin.n:>7,} {rates} "
            f"{figures[0]:>7} {figures[1]:>9} {figures[2]:>7}"
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
    settings, announced = load_settings(), set[str]()

    def progress(_done: float, stage: str) -> None:
        day = stage.partition(":")[0]
        if day not in announced:
            announced.add(day)
            print(f"training as of {day}", file=sys.stderr, flush=True)

    result = backtest(
        snapshot,
        trials=options.trials,
        seed=options.seed,
        threads=settings.ml_threads,
        most=options.origins,
        progress=progress,
    )
    print(backtest_text(result))
    if options.json is not None:
        with written_whole(options.json) as file:
            file.write(orjson.dumps(result.model_dump(), option=orjson.OPT_INDENT_2).decode() + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    options = parser().parse_args(arguments)
    return guarded("backtest", lambda: _run(options))


if __name__ == "__main__":
    sys.exit(main())
