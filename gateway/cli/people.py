"""Commands for accounts and for keys of machines. The first administrator is made here.

Law: a password is read from a prompt or from RETAINSTREAM_PASSWORD, never from an argument that others can see; a key's
secret is the only thing on standard output when one is made.
"""

from __future__ import annotations

from typing import Any

import click

from database.accounts import api_keys as key_queries
from database.accounts import users
from database.accounts.api_keys import Key
from database.accounts.users import User
from gateway.cli.setup import prepare
from gateway.environment import Environment
from gateway.services.accounts import accounts, api_keys
from shared.clock import iso
from shared.commands.printing import echo
from shared.errors import NotFound
from shared.parsing_limits import MAX_INT64

ROLES = click.Choice(["viewer", "analyst", "admin"])
PAGE = 500
_password = click.option(
    "--password",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    envvar="RETAINSTREAM_PASSWORD",
    help="Asked for, or read from RETAINSTREAM_PASSWORD.",
)


def _person(environment: Environment, who: str) -> User:
    with environment.database.read() as connection:
        found = users.by_id(connection, int(who)) if who.isdecimal() and len(who) < 19 else None
        found = found or users.by_email(connection, who.strip().lower())
    if found is None:
        raise NotFound(f"There is no account {who}; see `retainstream user list`.")
    return found


def _changed(who: str, **change: Any) -> User:
    environment = prepare()
    person = _person(environment, who)
    return accounts.change_user(
        environment.database, person.id, clock=environment.clock, cost=environment.settings.bcrypt_cost, **change
    )


@click.group()
def user() -> None:
    """Accounts of people; WHO is a number or an e-mail address."""


@user.command()
@click.argument("email")
@click.option("--name", required=True, help="The person's name.")
@click.option("--role", type=ROLES, default="analyst", show_default=True)
@_password
def create(email: str, name: str, role: str, password: str) -> None:
    """Make an account, including the first administrator's."""
    environment = prepare()
    made = accounts.create_user(
        environment.database,
        clock=environment.clock,
        cost=environment.settings.bcrypt_cost,
        email=email,
        password=password,
        name=name,
        role=role,  # type: ignore[arg-type]  # click has checked it
        actor=accounts.COMMAND_LINE,
    )
    echo(f"Made {made.role} {made.email}.")


@user.command("list")
def list_users() -> None:
    """List every account: number, role, state, address, name."""
    environment = prepare()
    after = 0
    with environment.database.read() as connection:
        while found := users.page(connection, limit=PAGE, after_id=after):
            for each in found:
                state = "disabled" if each.is_disabled else "demo" if each.is_demo else "enabled"
                echo(f"{each.id:>5}  {each.role:<8} {state:<9} {each.email}  {each.name}")
            after = found[-1].id


@user.command()
@click.argument("who")
@click.argument("role", type=ROLES)
def role(who: str, role: str) -> None:
    """Give WHO another role; it applies from their next request."""
    changed = _changed(who, role=role)
    echo(f"{changed.email} is {changed.role}.")


@user.command()
@click.argument("who")
def disable(who: str) -> None:
    """End every session and key of WHO, and refuse their sign-ins."""
    echo(f"{_changed(who, disabled=True).email} is disabled.")


@user.command()
@click.argument("who")
def enable(who: str) -> None:
    """Let WHO sign in again."""
    echo(f"{_changed(who, disabled=False).email} is enabled.")


@user.command("reset-password")
@click.argument("who")
@_password
def reset_password(who: str, password: str) -> None:
    """Give WHO a new password, and end all their sessions."""
    echo(f"{_changed(who, new_password=password).email} has a new password.")


@click.group()
def key() -> None:
    """API keys of machines."""


@key.command("create")
@click.argument("who")
@click.option("--name", required=True, help="The machine that will use it.")
@click.option("--scope", "scopes", type=click.Choice(api_keys.SCOPES), multiple=True, required=True)
@click.option(
    "--expires-days",
    type=click.IntRange(1, api_keys.MAX_DAYS),
    default=api_keys.DEFAULT_DAYS,
    show_default=True,
    help="Life in days.",
)
def create_key(who: str, name: str, scopes: tuple[str, ...], expires_days: int) -> None:
    """Make a key for WHO, whose role it never exceeds; print its secret once."""
    environment = prepare()
    person = _person(environment, who)
    made, secret = api_keys.create(
        environment.database,
        clock=environment.clock,
        user_id=person.id,
        name=name,
        scopes=scopes,
        expires_in_days=expires_days,
    )
    scope = ", ".join(made.scopes)
    echo(f"Key {made.id} of {person.email}: {scope}, until {made.expires_at}. Keep it now:", err=True)
    echo(secret)


@key.command("list")
@click.option("--user", "who", help="Only keys of this person.")
def list_keys(who: str | None) -> None:
    """List every key: number, first characters, owner, scopes, state, last use, name."""
    environment = prepare()
    owner_id = _person(environment, who).id if who is not None else None
    after, now = 0, iso(environment.clock())
    with environment.database.read() as connection:
        while found := key_queries.page(connection, limit=PAGE, after_id=after, user_id=owner_id):
            for each in found:
                echo(_line(each, now))
            after = found[-1].id


def _line(each: Key, now: str) -> str:
    state = "revoked" if each.revoked_at else "live" if each.is_valid_at(now) else "expired"
    scopes = ",".join(each.scopes)
    used = each.last_used_at or "never used"
    return f"{each.id:>5}  {each.prefix}…  user:{each.user_id:<5} {scopes:<17} {state:<8} {used:<24}  {each.name}"


@key.command("revoke")
@click.argument("key_id", type=click.IntRange(1, MAX_INT64))
def revoke_key(key_id: int) -> None:
    """Revoke key KEY_ID."""
    environment = prepare()
    found = api_keys.revoke(environment.database, key_id, clock=environment.clock)
    echo(f"Key {found.id} ({found.prefix}…) is revoked.")


COMMANDS = (user, key)
