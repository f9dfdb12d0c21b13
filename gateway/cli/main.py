"""`retainstream`: the use cases as commands.

Law: a command reads its arguments, calls the function that a route or the worker calls, and prints; an error is a
sentence and exit status 2, never a traceback. Only their owner may read the files that commands write.
"""

from __future__ import annotations

import io
import os
import sys

import click

from gateway import __version__
from gateway.cli import (
    auditing,
    data,
    exporting,
    high_risk,
    judging,
    keep,
    live,
    operate,
    people,
    scheduling,
    settings_in_force,
)
from gateway.cli.campaigns import commands as campaigning
from gateway.cli.trial import command as trial
from gateway.cli.webhooks import commands as webhooks
from shared.commands.printing import echo, echo_text
from shared.errors import ServiceError

SHOWN_DETAILS = 20


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="retainstream")
def retainstream() -> None:
    """Predict who will leave in the next 30 days, why, and what to do about it."""


for module in (
    operate,
    trial,
    data,
    high_risk,
    judging,
    live,
    exporting,
    campaigning,
    people,
    auditing,
    keep,
    scheduling,
    webhooks,
    settings_in_force,
):
    for command in module.COMMANDS:
        retainstream.add_command(command)


def main() -> None:
    """Run the command line."""
    os.umask(0o077)
    try:
        retainstream(standalone_mode=False)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        echo_text(shown.getvalue(), err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        echo("", "Stopped.", err=True)
        sys.exit(130)
    except ServiceError as error:
        echo(f"Error: {error.message}", fg="red", err=True)
        for detail in error.details[:SHOWN_DETAILS] if len(error.details) > 1 else ():
            # The message says whether places are lines of a CSV or rows of a Parquet file.
            where = ", ".join(str(detail[k]) for k in ("row", "field") if k in detail)
            echo(f"  {where}: {detail.get('message', '')}", err=True)
        sys.exit(2)
