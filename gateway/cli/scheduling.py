"""The commands that print the calendar and the digest.

Law: they only read, unless `--send` is given; `schedule --json` prints the fields of GET /api/schedule, a task a line.
"""

from __future__ import annotations

import json

import click

from gateway.cli.setup import prepare, run_here
from gateway.services import digest as composing
from gateway.services import kinds
from gateway.services.jobs.params import NoParams
from gateway.services.scheduling import calendar
from shared.commands.printing import echo, echo_text

NOTHING = (
    "Nothing is scheduled. Set SCHEDULE, for example: SCHEDULE='score 30 3 * * *; train 0 4 * * 0' (times are UTC)."
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def schedule(as_json: bool) -> None:
    """Show what the worker does by itself, when it did it last, and when it will again."""
    tasks = calendar.planned(prepare(), with_reasons=True)
    if not tasks:
        echo(NOTHING, err=True)
    for each in tasks:
        if as_json:
            echo(json.dumps(each))
            continue
        last = f"last {each['last_at']}" if each["last_at"] else "never yet"
        job = f", job {each['last_job']} {each['last_state'] or ''}".rstrip() if each["last_job"] else ""
        note = f"  {each['note']}" if each["note"] else ""
        echo(f"{each['task']:<8} {each['cron']:<16} next {each['next_at']}  {last}{job}{note}")


@click.command()
@click.option("--send", is_flag=True, help="Send it, as the task `digest` of SCHEDULE does.")
def digest(send: bool) -> None:
    """Print who is newly at risk, what is due, which campaigns matured, and how the model does."""
    environment = prepare()
    if send:
        done = run_here(environment, kinds.DIGEST, NoParams())
        echo(f"Sent by {done['sent_by']}.")
        return
    found = composing.compose(environment)
    echo_text(f"{found.subject}\n\n{found.text}")


COMMANDS = (schedule, digest)
