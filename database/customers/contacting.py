"""The contact status of customers: held out, in an arm without contact, on the do-not-contact list, or allowed.

Law: every list that leaves marks customers by `status` and leaves out those who are not `ALLOWED`, unless asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import BigInteger, ColumnElement, Connection, and_, case, cast, delete, func, insert, literal, select

from database.engine.bulk_insert import AnyRow
from database.engine.upsert import upsert
from database.tables import tables
from shared.campaigns.draw import PRIME, Draw, limit

Status = Literal["allowed", "held out", "control", "do not contact"]
ALLOWED: Status = "allowed"
STATUSES: tuple[Status, ...] = ("allowed", "held out", "control", "do not contact")
Reason = Literal["objected", "no consent"]
c, d, h, m = tables.customers, tables.do_not_contact, tables.holdout, tables.campaign_members
campaigns, log = tables.campaigns, tables.contact_changes


@dataclass(frozen=True)
class Holdout:
    """The universal hold-out: this share of all customers, by a draw with a stored seed, since a day."""

    seed: str
    share: float
    since: str

    def contains(self, customer_id: ColumnElement[int]) -> ColumnElement[bool]:
        """A condition: a customer is held out."""
        return self._value(customer_id) < limit(self.share)

    def is_drawn_between(self, customer_id: ColumnElement[int], low: float, high: float) -> ColumnElement[bool]:
        """A condition: a customer is held out at the larger share, and not at the smaller one."""
        value = self._value(customer_id)
        return and_(value >= limit(low), value < limit(high))

    def _value(self, customer_id: ColumnElement[int]) -> ColumnElement[int]:
        """SQL of `Draw.value`."""
        key = cast(customer_id, BigInteger)
        value: ColumnElement[int] = literal(0, BigInteger)
        for coefficient in Draw(self.seed).coefficients:
            value = (value * key + coefficient) % PRIME
        return value


def holdout(connection: Connection) -> Holdout | None:
    """Return the universal hold-out; None if there is none."""
    row = connection.execute(select(h.c.seed, h.c.share, h.c.since)).one_or_none()
    return Holdout(*row) if row is not None else None


def set_holdout(connection: Connection, found: Holdout) -> None:
    """Store the universal hold-out."""
    before = holdout(connection)
    connection.execute(insert(log).values(share_before=before.share if before else 0.0, share=found.share))
    values = {"seed": found.seed, "share": found.share, "since": found.since}
    connection.execute(upsert(h, {"id": 1, **values}, key=["id"], changes=lambda new: values))


def known_to(connection: Connection) -> str:
    """Return the day up to which all ends are known; "" if there is none."""
    return connection.execute(select(func.coalesce(func.max(tables.known_ends.c.day), ""))).scalar_one()


def running(connection: Connection) -> Sequence[int]:
    """Return the campaigns whose outcomes are not all known yet: their arms without contact are left alone."""
    query = select(campaigns.c.id).where(campaigns.c.state == "drawn", campaigns.c.matures_on > known_to(connection))
    return connection.execute(query).scalars().all()


def _exceptions(connection: Connection, customer_id: ColumnElement[int]) -> list[tuple[ColumnElement[bool], Status]]:
    """Return conditions under which a customer may not be contacted, the strongest first; none that nobody passes."""
    found: list[tuple[ColumnElement[bool], Status]] = []
    if connection.execute(select(d.c.customer_id).limit(1)).first() is not None:
        found.append((customer_id.in_(select(d.c.customer_id)), "do not contact"))
    held = holdout(connection)
    if held is not None and held.share > 0:
        found.append((held.contains(customer_id), "held out"))
    waiting = running(connection)
    if waiting:
        controls = select(m.c.customer_id).where(m.c.is_control == 1, m.c.campaign_id.in_(waiting))
        found.append((customer_id.in_(controls), "control"))
    return found


def status(connection: Connection, customer_id: ColumnElement[int]) -> ColumnElement[str]:
    """Return SQL of a customer's status."""
    found = _exceptions(connection, customer_id)
    return case(*found, else_=ALLOWED) if found else literal(ALLOWED)


def is_allowed(connection: Connection, customer_id: ColumnElement[int]) -> list[ColumnElement[bool]]:
    """Return the conditions that a customer may be contacted; empty if everybody may."""
    return [~condition for condition, _ in _exceptions(connection, customer_id)]


def as_status(text: str) -> Status:
    """Return a status that was read."""
    return next(each for each in STATUSES if each == text)


def status_of(connection: Connection, customer_id: int) -> Status:
    """Return one customer's status."""
    return as_status(connection.execute(select(status(connection, literal(customer_id)))).scalar_one())


def count_held_out(connection: Connection, held: Holdout) -> int:
    """Return the number of active customers who are held out."""
    query = select(func.count()).select_from(c).where(c.c.churn == 0, held.contains(c.c.id))
    return connection.execute(query).scalar_one()


# --- do not contact ---------------------------------------------------------------------------------------------------


def suppress(connection: Connection, customer_ids: Iterable[int], reason: Reason, since: str) -> int:
    """Add customers to those who must not be contacted; return how many were not on the list before.

    A customer on the list keeps the earlier row.
    """
    wanted = sorted(set(customer_ids))
    known = set(connection.execute(select(d.c.customer_id).where(d.c.customer_id.in_(wanted))).scalars())
    rows = [{"customer_id": key, "reason": reason, "since": since} for key in wanted if key not in known]
    if rows:
        connection.execute(insert(d), rows)
        connection.execute(insert(log), [{"customer_id": row["customer_id"]} for row in rows])
    return len(rows)


def allow(connection: Connection, customer_id: int) -> bool:
    """Take a customer off the list; return whether the customer was on it."""
    was_listed = connection.execute(delete(d).where(d.c.customer_id == customer_id)).rowcount > 0
    if was_listed:
        connection.execute(insert(log).values(customer_id=customer_id))
    return was_listed


def suppressed(connection: Connection, *, limit_to: int, after_id: int) -> Sequence[AnyRow]:
    """Return (id, user_id, reason, since) of those who must not be contacted, by id after `after_id`."""
    query = select(d.c.customer_id.label("id"), c.c.user_id, d.c.reason, d.c.since)
    query = query.join(c, c.c.id == d.c.customer_id).where(d.c.customer_id > after_id)
    return connection.execute(query.order_by(d.c.customer_id).limit(limit_to)).all()


def count_suppressed(connection: Connection) -> int:
    """Return how many customers must not be contacted."""
    return connection.execute(select(func.count()).select_from(d)).scalar_one()
