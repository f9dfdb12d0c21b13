"""Commands for accounts. The first administrator is made here.

Law: a password is read from a prompt or from RETAINSTREAM_PASSWORD, never from an argument that others can see.
"""

from __future__ import annotations

import click

from gateway.cli.setup import prepare
from gateway.services import accounts


@click.group()
def user() -> None:
    """Accounts of people."""


@user.command()
@click.argument("email")
@click.option("--name", required=True, help="The person's name.")
@click.option("--role", type=click.Choice(["viewer", "analyst", "admin"]), default="analyst", show_default=True)
@click.option(
    "--password",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    envvar="RETAINSTREAM_PASSWORD",
    help="Asked for, or read from RETAINSTREAM_PASSWORD.",
)
def create(email: str, name: str, role: str, password: str) -> None:
    """Make an account, the first administrator too."""
    context = prepare()
    made = accounts.create_user(
        context.database,
        clock=context.clock,
        cost=context.settings.bcrypt_cost,
        email=email,
        password=password,
        name=name,
        role=role,  # type: ignore[arg-type]  # click has checked it
        by=accounts.COMMAND_LINE,
    )
    click.echo(f"Made {made.role} {made.email}.")


COMMANDS = (user,)
