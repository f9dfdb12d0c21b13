"""Commands of webhooks: list them, replace a secret.

Law: a secret is printed once, when it is made.
"""

from __future__ import annotations

import click

from database.accounts.audit import COMMAND_LINE
from database.webhooks import endpoints as queries
from gateway.cli.setup import prepare
from gateway.services.webhooks import endpoints
from shared.commands.printing import echo


@click.group()
def webhook() -> None:
    """List webhooks, and replace their secrets."""


@webhook.command("list")
def list_command() -> None:
    """List webhooks: number, events, address."""
    with prepare().database.read() as connection:
        for each in queries.page(connection, limit=endpoints.MOST):
            echo(f"{each.id:>5}  {', '.join(each.events)}  {each.url}")


@webhook.command()
@click.argument("number", type=int)
def rotate(number: int) -> None:
    """Replace the secret of webhook NUMBER: for 24 hours, messages are signed by both."""
    env = prepare()
    made, until = endpoints.rotate(env.database, env.clock, number, actor=COMMAND_LINE)
    echo(made.secret)
    echo(f"Shown this once. The earlier secret signs beside it until {until}.", err=True)


COMMANDS = (webhook,)
