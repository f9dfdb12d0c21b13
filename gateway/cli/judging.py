"""The backtest: how a model would have done at each past date.

Law: no model is kept or goes live; an unknown figure is printed as a dash.
"""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.setup import ProgressLine, prepare
from shared.commands.printing import echo


@click.command()
@click.option("--trials", type=click.IntRange(1, 1000), default=4, show_default=True, help="Configurations per date.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the table here too.")
def backtest(trials: int, json_file: Path | None) -> None:
    """Train at each matured date on what was known then, and test on that date's customers (needs the ML service)."""
    from gateway.services.models import training

    environment = prepare()
    line = ProgressLine()
    folder = environment.settings.data_folder
    found = training.backtest(environment.database, environment.ml, data_folder=folder, trials=trials, show=line.show)
    line.end()
    echo(f"{'as of':10} {'trained on':>10} {'n':>7} {'left':>8} {'expected':>8} {'AUC':>7} {'log loss':>9} {'ECE':>7}")
    for each in found.origins:
        rates = [f"{100 * each.prevalence:.2f} %", _format(each.mean_probability, 100, 2, " %")]
        figures = [_format(value, 1, 4) for value in (each.auc, each.log_loss, each.ece)]
        echo(
            f"{each.as_of:10} {each.training_samples:>10,} {each.n:>7,} {rates[0]:>8} {rates[1]:>8} "
            f"{figures[0]:>7} {figures[1]:>9} {figures[2]:>7}"
        )
        if each.note is not None:
            echo(f"  {each.note}")
    if json_file is not None:
        json_file.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _format(value: float | None, scale: float, digits: int, unit: str = "") -> str:
    return "-" if value is None else f"{scale * value:.{digits}f}{unit}"


COMMANDS = (backtest,)
