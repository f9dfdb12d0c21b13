"""Staged outcomes become the ends of lifetimes.

Law: every statement may be repeated: who was ended is ended again on the same day.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy import Connection

from database.importing.staging import role_column
from shared.tables import messages

_START, _END, _REASON = (f'r."{role_column(role)}"' for role in ("start", "end", "end_reason"))
Rejects = list[tuple[int, str | None, str | None, str]]


def without_end(raw: sqlite3.Connection) -> Rejects:
    """Rows that name no end."""
    rows = raw.execute(f"SELECT n FROM rows AS r WHERE {_END} IS NULL")
    return [(n, "ended_at", None, messages.END_MISSING) for (n,) in rows]


def strangers(raw: sqlite3.Connection) -> Rejects:
    """Rows about people who are no customers."""
    rows = raw.execute("SELECT n, user_id FROM rows WHERE is_new = 1")
    return [(n, "user_id", user_id[:80], messages.unknown_customer(user_id)) for n, user_id in rows]


def without_lifetime(connection: Connection, has_start: bool) -> Rejects:
    """Rows that end a lifetime nobody knows of: none began by that day. Needs the scratch file attached."""
    given = f"AND {_START} IS NULL" if has_start else ""
    rows = connection.exec_driver_sql(
        f"SELECT r.n, {_END} FROM staged.rows AS r WHERE r.is_new IS NULL {given} AND NOT EXISTS (SELECT 1 FROM "
        f"main.subscriptions AS s WHERE s.customer_id = r.customer_id AND s.started_at <= {_END})"
    )
    rejects: Rejects = [(n, "ended_at", end, messages.no_subscription_by(end)) for n, end in rows]
    return rejects + (_other_lifetime(connection) if has_start else [])


def _other_lifetime(connection: Connection) -> Rejects:
    """Rows that end another lifetime than the one that runs on that day: the customer would stay for all that."""
    rows = connection.exec_driver_sql(
        f"SELECT r.n, {_START}, s.started_at FROM staged.rows AS r JOIN main.subscriptions AS s "
        f"ON s.customer_id = r.customer_id WHERE r.is_new IS NULL AND {_START} <> s.started_at "
        f"AND s.started_at <= {_END} AND coalesce(s.ended_at, '9999') > {_END} GROUP BY r.n"
    )
    return [(n, "started_at", start, messages.other_subscription(runs)) for n, start, runs in rows]


def end_lifetimes(
    connection: Connection, *, roles: tuple[str, ...], today: str, now: str, after: int, until: int
) -> tuple[int, int]:
    """Apply the rows with `after` < n <= `until`; how many have left, and how many will."""
    _end_contracts(connection, roles=roles, today=today, now=now, after=after, until=until)
    execute = connection.exec_driver_sql
    back = (  # a lifetime of one day, begun and ended on it, is no return
        f"(SELECT 1 FROM main.subscriptions AS s WHERE s.customer_id = r.customer_id AND s.started_at >= {_END} "
        f"AND coalesce(s.ended_at, '9999') > {_END})"
    )
    mine = f"FROM staged.rows AS r WHERE r.n > ? AND r.n <= ? AND customers.id = r.customer_id AND NOT EXISTS {back}"
    left = execute(
        f"UPDATE customers SET churn = 1, ends_on = NULL, updated_at = ? {mine} AND {_END} <= ?",
        (now, after, until, today),
    ).rowcount
    ahead = execute(
        f"UPDATE customers SET ends_on = {_END}, updated_at = ? {mine} AND {_END} > ?", (now, after, until, today)
    ).rowcount
    return left, ahead


def _end_contracts(
    connection: Connection, *, roles: tuple[str, ...], today: str, now: str, after: int, until: int
) -> None:
    reason = _REASON if "end_reason" in roles else "NULL"
    announced = f"CASE WHEN {_END} > ? THEN ? END"
    execute = connection.exec_driver_sql
    if "start" in roles:
        execute(
            "INSERT INTO main.subscriptions (customer_id, started_at, cancelled_at, ended_at, end_reason, plan, "
            f"monthly_price, currency, known_at, told_on) SELECT c.id, {_START}, {announced}, {_END}, {reason}, "
            "c.plan, c.monthly_price, c.currency, ?, ? FROM staged.rows AS r "
            "JOIN main.customers AS c ON c.id = r.customer_id "
            f"WHERE r.n > ? AND r.n <= ? AND {_START} IS NOT NULL ON CONFLICT (customer_id, started_at) DO UPDATE SET "
            "cancelled_at = excluded.cancelled_at, ended_at = excluded.ended_at, "
            "end_reason = coalesce(excluded.end_reason, subscriptions.end_reason), known_at = excluded.known_at, "
            "told_on = excluded.told_on",
            (today, today, now, today, after, until),
        )
    latest = (
        "(SELECT max(o.started_at) FROM main.subscriptions AS o "
        f"WHERE o.customer_id = r.customer_id AND o.started_at <= {_END})"
    )
    # With a start given, another lifetime ends only if it runs on that day: one of `open_lifetimes`.
    other = f" AND ({_START} IS NULL OR coalesce(subscriptions.ended_at, '9999') > {_END})" if "start" in roles else ""
    execute(
        f"UPDATE subscriptions SET cancelled_at = {announced}, ended_at = {_END}, "
        f"end_reason = coalesce({reason}, end_reason), known_at = ?, told_on = ? FROM staged.rows AS r "
        "WHERE r.n > ? AND r.n <= ? AND subscriptions.customer_id = r.customer_id "
        f"AND subscriptions.started_at = {latest}{other}",
        (today, today, now, today, after, until),
    )
