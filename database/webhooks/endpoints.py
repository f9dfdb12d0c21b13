"""Webhooks: the addresses that are told of events.

Law: a removed webhook keeps its row, which its deliveries refer to, without its secret; a paused one keeps what waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, func, insert, select, update

from database.engine.bulk_insert import AnyRow
from database.tables import tables

w, d = tables.webhooks, tables.webhook_deliveries
REMOVED = "the webhook was removed"


@dataclass(frozen=True)
class Webhook:
    """One webhook."""

    id: int
    url: str
    events: tuple[str, ...]
    created_at: str
    paused_at: str | None
    secret: str = field(repr=False)

    @property
    def paused(self) -> bool:
        return self.paused_at is not None


def _webhook(row: AnyRow) -> Webhook:
    return Webhook(row.id, row.url, tuple(row.events.split()), row.created_at, row.paused_at, row.secret)


def add(connection: Connection, *, url: str, events: tuple[str, ...], secret: str, now: str) -> Webhook:
    """Add a webhook."""
    values = {"url": url, "events": " ".join(events), "secret": secret, "created_at": now}
    return _webhook(connection.execute(insert(w).values(values).returning(w)).one())


def get(connection: Connection, webhook_id: int) -> Webhook | None:
    """Return one webhook; None if it does not exist or was removed."""
    row = connection.execute(select(w).where(w.c.id == webhook_id, w.c.removed_at.is_(None))).one_or_none()
    return _webhook(row) if row else None


def page(connection: Connection, *, limit: int, after_id: int = 0) -> list[Webhook]:
    """Return webhooks in the order of their ids."""
    query = select(w).where(w.c.removed_at.is_(None), w.c.id > after_id).order_by(w.c.id).limit(limit)
    return [_webhook(row) for row in connection.execute(query)]


def count(connection: Connection) -> int:
    """Return the number of webhooks."""
    return connection.execute(select(func.count()).select_from(w).where(w.c.removed_at.is_(None))).scalar_one()


def replace_secret(connection: Connection, webhook_id: int, secret: str, *, until: str) -> bool:
    """Give a webhook another secret; its present one signs beside it until a moment. Return False if there is none."""
    values = {"secret": secret, "secret_before": w.c.secret, "secret_before_until": until}
    there = (w.c.id == webhook_id, w.c.removed_at.is_(None))
    return connection.execute(update(w).where(*there).values(values)).rowcount > 0


def pause(connection: Connection, webhook_id: int, at: str | None) -> bool:
    """Pause a webhook, or (None) end its pause; return False if there is none."""
    change = update(w).where(w.c.id == webhook_id, w.c.removed_at.is_(None)).values(paused_at=at)
    return connection.execute(change).rowcount > 0


def remove(connection: Connection, webhook_id: int, now: str) -> bool:
    """Remove a webhook and give up what waits for it; return False if there is none."""
    nothing = {"secret": "", "secret_before": None, "secret_before_until": None}
    gone = update(w).where(w.c.id == webhook_id, w.c.removed_at.is_(None)).values(removed_at=now, **nothing)
    if not connection.execute(gone).rowcount:
        return False
    waiting = update(d).where(d.c.webhook_id == webhook_id, d.c.state == "waiting")
    connection.execute(waiting.values(state="dead", failure=REMOVED, ended_at=now))
    return True
