"""Deliveries: claimed by one worker at a time, tried again until they succeed or are given up, listed.

Law: a delivery whose worker died is claimed again once its claim has run out, so each is sent at least once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, case, delete, exists, func, select, update

from database.engine.bulk_insert import AnyRow
from database.tables import tables

w, e, d = tables.webhooks, tables.webhook_events, tables.webhook_deliveries
State = Literal["waiting", "delivered", "dead"]


@dataclass(frozen=True)
class Claimed:
    """A delivery that this worker may send now."""

    id: int
    url: str
    message_id: str
    body: str
    attempts: int
    give_up_at: str
    claimed_until: str
    secrets: tuple[str, ...] = field(repr=False)


def _due(now: str) -> tuple[ColumnElement[bool], ...]:
    # One at a time for each receiver: one that hangs must not hold every worker.
    other = d.alias()
    busy = exists().where(other.c.webhook_id == d.c.webhook_id, other.c.claimed_until > now)
    paused = exists().where(w.c.id == d.c.webhook_id, w.c.paused_at.is_not(None))
    return d.c.state == "waiting", d.c.next_at <= now, ~busy, ~paused


def has_due(connection: Connection, now: str) -> bool:
    """Return whether any delivery can be sent now."""
    return connection.execute(select(d.c.id).where(*_due(now)).limit(1)).one_or_none() is not None


def claim(connection: Connection, *, now: str, until: str) -> Claimed | None:
    """Claim the delivery that has been due for longest; None if there is none."""
    first = select(d.c.id).where(*_due(now)).order_by(d.c.next_at, d.c.id).limit(1).scalar_subquery()
    claimed = update(d).where(d.c.id == first).values(claimed_until=until, attempts=d.c.attempts + 1)
    delivery_id = connection.execute(claimed.returning(d.c.id)).scalar_one_or_none()
    if delivery_id is None:
        return None
    columns = (d.c.id, w.c.url, e.c.message_id, e.c.body, d.c.attempts, d.c.give_up_at, d.c.claimed_until)
    before = case((w.c.secret_before_until > now, w.c.secret_before))
    joined = select(*columns, w.c.secret, before).join_from(d, e, e.c.id == d.c.event_id)
    row = connection.execute(joined.join(w, w.c.id == d.c.webhook_id).where(d.c.id == delivery_id)).one()
    return Claimed(*row[:-2], secrets=tuple(secret for secret in row[-2:] if secret is not None))


def settle(
    connection: Connection, claimed: Claimed, *, state: State, now: str, next_at: str | None = None, **about: Any
) -> bool:
    """Record what came of an attempt; return False if another worker has claimed the delivery since.

    Parameters
    ----------
    next_at
        When a delivery that still waits is tried again.
    **about
        `status`, `failure` and `took_ms` of the attempt.
    """
    values = {"state": state, "claimed_until": None, "ended_at": None if state == "waiting" else now, **about}
    if next_at is not None:
        values["next_at"] = next_at
    held = (d.c.id == claimed.id, d.c.state == "waiting", d.c.claimed_until == claimed.claimed_until)
    return connection.execute(update(d).where(*held).values(values)).rowcount > 0


def send_again(connection: Connection, delivery_id: int, *, now: str, give_up_at: str) -> bool:
    """Make an ended delivery due again; return False if there is none, it waits, or its webhook is paused or gone."""
    there = exists().where(w.c.id == d.c.webhook_id, w.c.removed_at.is_(None), w.c.paused_at.is_(None))
    ended = update(d).where(d.c.id == delivery_id, d.c.state != "waiting", there)
    values = {"state": "waiting", "attempts": 0, "next_at": now, "give_up_at": give_up_at, "ended_at": None}
    return connection.execute(ended.values(values)).rowcount > 0


def page(
    connection: Connection,
    *,
    limit: int,
    before_id: int | None = None,
    state: State | None = None,
    webhook_id: int | None = None,
) -> Sequence[AnyRow]:
    """Return deliveries, newest first, with their events."""
    query = _listed().order_by(d.c.id.desc()).limit(limit)
    for column, value in ((d.c.state, state), (d.c.webhook_id, webhook_id)):
        if value is not None:
            query = query.where(column == value)
    return connection.execute(query if before_id is None else query.where(d.c.id < before_id)).all()


def get(connection: Connection, delivery_id: int) -> AnyRow | None:
    """Return one delivery with its event."""
    return connection.execute(_listed().where(d.c.id == delivery_id)).one_or_none()


def _listed() -> Any:
    return select(d, e.c.message_id, e.c.type, e.c.created_at).join_from(d, e, e.c.id == d.c.event_id)


def counts(connection: Connection) -> dict[str, int]:
    """Return the number of deliveries by state."""
    query = select(d.c.state, func.count()).group_by(d.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def _old(before: str) -> ColumnElement[bool]:
    return (d.c.state != "waiting") & (d.c.ended_at < before)


def count_old(connection: Connection, before: str) -> int:
    """Return the number of deliveries that ended before a timestamp."""
    return connection.execute(select(func.count()).select_from(d).where(_old(before))).scalar_one()


def drop_old(connection: Connection, before: str, limit: int) -> int:
    """Delete up to `limit` deliveries that ended before a timestamp, and events without any; return their number."""
    rows = connection.execute(select(d.c.id, d.c.event_id).where(_old(before)).order_by(d.c.id).limit(limit)).all()
    connection.execute(delete(d).where(d.c.id.in_([row.id for row in rows])))
    told = exists().where(d.c.event_id == e.c.id)
    connection.execute(delete(e).where(e.c.id.in_([row.event_id for row in rows]), ~told))
    return len(rows)
