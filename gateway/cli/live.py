"""Commands that print how the model has performed since it went live.

Law: a figure stands beside its interval and what training promised; what is provisional or pending is called so.
"""

from __future__ import annotations

from typing import get_args

import click

from gateway.cli.setup import prepare
from gateway.services.monitoring import live_state
from gateway.services.monitoring import performance as live_performance
from gateway.services.monitoring.performance import By, Estimate, Group
from shared.commands.printing import echo
from shared.plural import plural

COLUMNS = "{:<23} {:<9} {:>9} {:>7} {:>17} {:>20} {:>20} {:>8} {:>8}"


@click.command()
@click.option("--by", type=click.Choice(get_args(By)), default="run", show_default=True, help="Group by this.")
@click.option("--limit", type=click.IntRange(1, 100), default=24, show_default=True, help="Groups, newest first.")
@click.option("--feature", help="With --by segment: one category, or a number in bands.")
def performance(by: By, limit: int, feature: str | None) -> None:
    """Compare past predictions with what happened: leavers expected and come, AUC, log loss."""
    environment = prepare()
    with environment.database.read() as connection:
        found = live_performance.read(connection, by, limit, feature)
    if found.note is not None:
        echo(found.note)
    else:
        titles = ("", "model", "n", "left", "expected", "observed/expected", "AUC", "promised", "log loss")
        echo(COLUMNS.format(*titles))
    for group in found.groups:
        echo(_line(group))
    waiting = found.pending
    if waiting.predictions:
        unmatured = f"{plural(waiting.predictions, 'prediction')} of {plural(waiting.runs, 'run')}"
        echo(
            f"Pending: {unmatured} since {waiting.oldest}, "
            f"{waiting.expected:,.0f} leavers expected; they are in no matured figure."
        )


def _line(group: Group) -> str:
    interval = group.expected_interval
    expected = f"{group.expected:,.0f}"
    if interval is not None:
        expected += f" ({interval[0]:,.0f}-{interval[1]:,.0f})"
    auc = None if group.promised is None else group.promised.auc
    shown = COLUMNS.format(
        _name(group), ",".join(group.versions), f"{group.n:,}", f"{group.leavers:,}", expected,
        _told(group.observed_expected, 2), _told(group.auc, 3), "-" if auc is None else f"{auc:.3f}",
        _told(group.log_loss, 4).split(" ")[0],
    )  # fmt: skip
    return shown + ("  provisional" if group.stage == "provisional" else "")


def _name(group: Group) -> str:
    if group.feature is not None:
        return f"{group.feature} {group.value or 'unknown'}"
    first, last = group.as_of
    return first if first == last else f"{first} - {last}"


def _told(estimate: Estimate, digits: int) -> str:
    if estimate.value is None:
        return "-"
    text = f"{estimate.value:.{digits}f}"
    if estimate.interval is not None:
        text += f" ({estimate.interval[0]:.{digits}f}-{estimate.interval[1]:.{digits}f})"
    return text


@click.command("live")
def live_command() -> None:
    """Say how the live model does: status, alarm on the level, alerts."""
    environment = prepare()
    with environment.database.read() as connection:
        found = live_state.read(connection, environment.settings.alert_auc)
    if found.version is None:
        echo("No model is live yet.")
        return
    echo(f"Model {found.version}: {found.status}. {found.status_reason}")
    alarm = found.alarm
    if alarm.evidence is None:
        echo(alarm.note or "")
    else:
        echo(f"Evidence for a shift of the level: {alarm.evidence:.2g} (an alarm is raised from {alarm.limit:.0f}).")
    if alarm.answered_by is not None:
        echo(f"The alarm of {alarm.raised_by} is answered: {alarm.answered_by} has learned from these outcomes.")


COMMANDS = (performance, live_command)
