"""The command that lists the audit log, page by page.

Law: the log is only read here; `--json` prints the fields of GET /api/audit, one row per line.
"""

from __future__ import annotations

import json
from typing import Any

import click

from database.accounts import audit as queries
from database.accounts import users
from gateway.cli.setup import prepare
from shared.clock import moment
from shared.commands.printing import echo
from shared.errors import InvalidInput, NotFound
from shared.parsing_limits import MAX_INT64

FIELDS = ("id", "at", "actor", "user_id", "key_id", "action", "subject", "request_id")


@click.command()
@click.option("--action", help="An action (`user.disabled`) or a group of them (`user`).")
@click.option("--user", "who", help="Only what this person or their keys did: a number or an e-mail address.")
@click.option("--since", help="Date or timestamp, ISO 8601; without an offset UTC.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Rows to show.")
@click.option("--after", type=click.IntRange(1, MAX_INT64), help="Only rows older than this one: the next page.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def audit(action: str | None, who: str | None, since: str | None, limit: int, after: int | None, as_json: bool) -> None:
    """List the audit log, newest entries first."""
    environment = prepare()
    try:
        from_then = moment(since) if since is not None else None
    except ValueError:
        raise InvalidInput("--since: expected a date such as 2026-01-31 or a timestamp with Z.") from None
    with environment.database.read() as connection:
        user_id = _person(connection, who) if who is not None else None
        found = queries.page(
            connection, limit=limit + 1, before_id=after, action=action or None, user_id=user_id, since=from_then
        )
    for row in found[:limit]:
        entry = {name: getattr(row, name) for name in FIELDS}
        echo(json.dumps(entry) if as_json else _line(entry))
    if len(found) > limit:
        echo(f"There are more: --after {found[limit - 1].id}", err=True)


def _person(connection: Any, who: str) -> int:
    """Return a person's id. A number is not looked up: the log outlives accounts."""
    if who.isdecimal() and len(who) < 19:
        return int(who)
    found = users.by_email(connection, who.strip().lower())
    if found is None:
        raise NotFound(f"There is no account {who}; see `retainstream user list`.")
    return found.id


def _line(entry: dict[str, Any]) -> str:
    by = entry["actor"]
    if entry["user_id"] is not None:
        by += f":{entry['user_id']}" if entry["key_id"] is None else f":{entry['key_id']} of user:{entry['user_id']}"
    return f"{entry['id']:>8}  {entry['at']}  {by:<22} {entry['action']:<28} {entry['subject'] or ''}".rstrip()


COMMANDS = (audit,)
