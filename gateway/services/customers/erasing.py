"""Erases one customer who asks for it, for the route and the command.

Law: all rows or none, never while a job reads or writes them; the audit log keeps the key, which leads to nobody any
more, and no name. Stored filters that find this customer alone go too.
"""

from __future__ import annotations

from database.accounts import audit
from database.accounts.audit import Actor
from database.customers import customers
from database.engine.session import Database
from database.importing import erase_customer, imports
from database.jobs import job_lists
from gateway.services.jobs import locks
from gateway.settings import Settings
from shared.clock import Clock, iso
from shared.errors import Conflict, NotFound
from shared.plural import plural

BUSY = (
    "An import, a scoring run, a training, the drawing of a campaign or a file of contacts is under way: "
    "erase the customer once it has ended. Nothing was changed."
)


def erase(database: Database, settings: Settings, user_id: str, *, clock: Clock, actor: Actor) -> dict[str, int]:
    """Delete a customer and everything stored of them; return how many rows of each table.

    Raises
    ------
    NotFound
        There is no customer with this user_id.
    Conflict
        Facts, scores or lists of customers are being read or written, or a file that was accepted waits for it.
    """
    with locks.customers_alone(settings, BUSY):
        with database.read() as connection:
            dates = erase_customer.fact_dates(connection)
        with database.write() as connection:
            # A job whose worker died holds no lock, and will still write the rest of its file.
            if imports.pending(connection) is not None or job_lists.has_bound(connection):
                raise Conflict(BUSY)
            key = customers.ids_by_user_id(connection, [user_id]).get(user_id)
            if key is None:
                raise NotFound("There is no customer with this user_id.")
            found, segments = erase_customer.erase(connection, key, dates)
            at, subject = iso(clock()), f"customer:{key} {plural(sum(found.values()), 'row')}"
            audit.record(connection, "customer.erased", at=at, actor=actor, subject=subject)
            for each in segments:
                audit.record(connection, "segment.deleted", at=at, actor=actor, subject=f"segment {each}")
    return found
