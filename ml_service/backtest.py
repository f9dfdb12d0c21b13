"""`python -m ml_service.backtest`: run a backtest on the simulated subscribers or on a file.

No gateway and no database are needed; the work is done in `ml_service.training.backtest`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from ml_service.cli import atomic_write, check_writable, guarded
from ml_service.data.dataset import snapshot_of
from ml_service.data.simulated import CUSTOMERS, simulated
from ml_service.settings import load_settings
from ml_service.training.backtest import backtest
from shared.commands.printing import echo, echo_text
from shared.contracts.api import Backtest
from shared.errors import InvalidInput
from shared.schema.features import load_schema
from shared.simulation.simulate import PRESETS
from shared.tables.read import read_table


def backtest_text(result: Backtest) -> str:
    """Format a backtest as a table, one line per origin, oldest first."""
    lines = [
        f"{'as of':10} {'trained on':>10} {'n':>7} {'left':>7} {'mean p':>7} {'AUC':>7} {'log loss':>9} {'ECE':>7}"
    ]
    for origin in result.origins:
        figures = [f"{value:.4f}" if value is not None else "-" for value in (origin.auc, origin.log_loss, origin.ece)]
        mean_p = "-" if origin.mean_probability is None else f"{100 * origin.mean_probability:.2f} %"
        rates = f"{100 * origin.prevalence:5.2f} % {mean_p:>7}"
        lines.append(
            f"{origin.as_of:10} {origin.training_samples:>10,} {origin.n:>7,} {rates} "
            f"{figures[0]:>7} {figures[1]:>9} {figures[2]:>7}"
        )
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m ml_service.backtest",
        description="Train a model at each past date on the data known by then, and test it on that date's rows.",
        epilog="example: python -m ml_service.backtest --data months.csv --schema schema.toml --json backtest.json",
    )
    command.add_argument(
        "--data", type=Path, metavar="FILE", help="rows with as_of and their outcome, as CSV or Parquet"
    )
    command.add_argument(
        "--schema", metavar="FILE", default="retainstream", help="schema of the file (default: the built-in schema)"
    )
    command.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default="documented",
        help="simulated subscribers to use without --data (default: documented)",
    )
    command.add_argument(
        "--customers", type=int, default=CUSTOMERS, help=f"number of simulated customers (default: {CUSTOMERS:,})"
    )
    command.add_argument("--origins", type=int, metavar="N", help="use only the newest N dates")
    command.add_argument("--trials", type=int, default=4, help="configurations to try at each date (default: 4)")
    command.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default: 0)")
    command.add_argument("--json", type=Path, metavar="FILE", help="also write the table as JSON")
    return command


def _run(options: argparse.Namespace) -> None:
    if options.trials < 1 or options.seed < 0 or (options.origins is not None and options.origins < 1):
        raise InvalidInput("--trials and --origins must be at least 1, and --seed at least 0.")
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
            echo(f"training as of {day}", err=True)

    result = backtest(
        snapshot,
        trials=options.trials,
        seed=options.seed,
        threads=settings.ml_threads,
        most=options.origins,
        progress=progress,
    )
    echo_text(backtest_text(result))
    if options.json is not None:
        with atomic_write(options.json) as file:
            file.write(orjson.dumps(result.model_dump(), option=orjson.OPT_INDENT_2).decode() + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parser().parse_args(arguments)
    return guarded("backtest", lambda: _run(options))


if __name__ == "__main__":
    sys.exit(main())
