"""Changes of who may be contacted since a moment: by the list of those who must not be, by campaigns, by the hold-out.

Law: whoever's status can have changed since a moment is named; customers whose status is what it was may be named too.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, insert, select

from database.customers import contacting
from database.tables import tables

log, campaigns, m = tables.contact_changes, tables.campaigns, tables.campaign_members


@dataclass(frozen=True)
class Moment:
    """A state of who may be contacted.

    Attributes
    ----------
    position
        The last change that is logged.
    known_to
        The day up to which ends are known, which ends campaigns without a change in the log; "" if there is none.
    """

    position: int
    known_to: str


def present(connection: Connection) -> Moment:
    """Return the present state."""
    last = connection.execute(select(func.coalesce(func.max(log.c.id), 0))).scalar_one()
    return Moment(last, contacting.known_to(connection))


def note_erasure(connection: Connection) -> None:
    """Log that a customer was erased, without saying who: a row that names nothing."""
    connection.execute(insert(log).values(customer_id=None))


def has_erased_since(connection: Connection, then: Moment) -> bool:
    """Return whether a customer was erased since a moment: no list of changes can name them any more."""
    names = (log.c.customer_id, log.c.campaign_id, log.c.share)
    query = select(log.c.id).where(log.c.id > then.position, *(name.is_(None) for name in names))
    return connection.execute(query.limit(1)).first() is not None


def since(
    connection: Connection, customer_id: ColumnElement[int], then: Moment, now: Moment
) -> list[ColumnElement[bool]]:
    """Return conditions: a customer who passes none of them has the status of an earlier moment."""
    later = log.c.id > then.position
    found: list[ColumnElement[bool]] = []
    if now.position > then.position:
        found.append(customer_id.in_(select(log.c.customer_id).where(later, log.c.customer_id.is_not(None))))
    ids = set(connection.execute(select(log.c.campaign_id).where(later, log.c.campaign_id.is_not(None))).scalars())
    first, last = sorted((then.known_to, now.known_to))
    ended = select(campaigns.c.id).where(campaigns.c.matures_on > first, campaigns.c.matures_on <= last)
    ids |= set(connection.execute(ended).scalars())
    if ids:
        controls = select(m.c.customer_id).where(m.c.is_control == 1, m.c.campaign_id.in_(sorted(ids)))
        found.append(customer_id.in_(controls))
    shares = connection.execute(select(log.c.share_before, log.c.share).where(later, log.c.share.is_not(None))).all()
    held = contacting.holdout(connection)
    if held is not None and shares:
        ends = [share for row in shares for share in row]
        found.append(held.is_drawn_between(customer_id, min(ends), max(ends)))
    return found
