"""The command that prints the calendar.

Law: it only reads; `--json` prints the fields of GET /api/schedule, one task per line.
"""

from __future__ import annotations

import json

import click

from gateway.cli.setup import prepare
from gateway.services.scheduling import calendar

NOTHING = (
    "Nothing is scheduled. Set SCHEDULE, for example: SCHEDULE='score 30 3 * * *; train 0 4 * * 0' (times are UTC)."
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def schedule(as_json: bool) -> None:
    """Show what the worker does by itself, when it did it last, and when it will again."""
    tasks = calendar.planned(prepare())
    if not tasks:
        click.echo(NOTHING, err=True)
    for each in tasks:
        if as_json:
            click.echo(json.dumps(each))
            continue
        last = f"last {each['last_at']}" if each["last_at"] else "never yet"
        job = f", job {each['last_job']} {each['last_state'] or ''}".rstrip() if each["last_job"] else ""
        note = f"  {each['note']}" if each["note"] else ""
        click.echo(f"{each['task']:<8} {each['cron']:<16} next {each['next_at']}  {last}{job}{note}")


COMMANDS = (schedule,)
