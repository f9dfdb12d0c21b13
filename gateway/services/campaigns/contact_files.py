"""Imports files of contacts that came back, and of customers who must not be contacted.

Law: a file is read as an import of customers reads it, and checked whole before anything is written; each row that
can't be used is counted, and the first are named. Importing it again changes nothing. From the first row written on, a
job can't be cancelled, so that it writes all rows or none; a further attempt goes on where the one before ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, TypeVar

from database.accounts import audit
from database.campaigns import campaigns
from database.campaigns.campaigns import Campaign
from database.customers import contacting, customers
from database.engine import interruption
from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.session import Connection
from database.jobs import jobs
from gateway.services.campaigns import contacts
from gateway.services.campaigns.contacts import AT, CUSTOMER
from gateway.services.importing import uploads
from gateway.services.jobs import locks
from gateway.services.jobs.params import FileParams, SuppressParams
from gateway.services.jobs.work import Work
from shared.clock import iso
from shared.errors import Detail, InvalidTable
from shared.plural import plural
from shared.schema.features import Schema, Subscription
from shared.tables import messages
from shared.tables.batch_checks import Reject, located
from shared.tables.open import OpenTable, open_table
from shared.tables.read import Rows, read_rows

T = TypeVar("T")
CAMPAIGN = "campaign"
NO_COLUMN = "The file has no column {!r}: it needs {}."
NO_CAMPAIGN = "there is no campaign of this name"
SHOWN, AT_ONCE = 100, 10_000
#: Rows are Python objects here: some 500 bytes each.
MOST_ROWS = 1_000_000
#: Progress once the file is read; the rest is writing.
LOOKED_UP = 0.4


def _schema(as_of: str | None, name: str | None) -> Schema:
    # Not checked as a customer base's schema would be: the file has no features of customers.
    return Schema.model_construct(
        name=None, id=CUSTOMER, email=name, label=None, positive=(), ignore=(), as_of=as_of,
        subscription=Subscription(), features={},
    )  # fmt: skip


#: Names of campaigns are read as they are written, as e-mails are; a category makes 2026.10 and 2026.1 the same.
CONTACTS = _schema(AT, CAMPAIGN)
CUSTOMERS = _schema(None, None)


@dataclass(frozen=True)
class _Contact:
    """A row of a file of contacts, and its record in the file."""

    record: int
    campaign: Campaign
    customer_id: int
    is_control: int
    day: str


def import_contacts(work: Work, params: FileParams) -> Mapping[str, Any]:
    """Store the contacts of a file with the columns campaign (its name), customer and contacted_at."""
    with _opened(work, params, CAMPAIGN, CUSTOMER, AT) as table:
        today = work.clock().date()
        rows = read_rows(table, CONTACTS, today, most=MOST_ROWS)
        work.step(LOOKED_UP, f"Looking up the customers of {plural(len(rows.records), 'row')}")
        with work.database.read() as connection:
            found = _checked(table, rows, *_contacts(connection, rows, today))
        written = _Written(work, len(found))
        told = [_store(work, written, campaign, own) for campaign, own in _by_campaign(found)]
        return {"file_name": params.file_name, "rows": len(found), "campaigns": told, "notes": list(rows.notes)}


def suppress(work: Work, params: SuppressParams) -> Mapping[str, Any]:
    """Put the customers of a file, whose ids are in the column customer, on the list of those not to be contacted."""
    with _opened(work, params, CUSTOMER) as table:
        rows = read_rows(table, CUSTOMERS, work.clock().date(), most=MOST_ROWS)
        names = rows.columns["user_id"].to_pylist()
        work.step(LOOKED_UP, f"Looking up {plural(len(names), 'customer')}")
        with work.database.read() as connection:
            known = customers.ids_by_user_id(connection, set(names))
        unknown = [
            Reject(int(record), CUSTOMER, name, contacts.UNKNOWN)
            for record, name in zip(rows.records, names, strict=True)
            if name not in known
        ]
        keys, now = sorted(set(_checked(table, rows, known.values(), unknown))), iso(work.clock())

        def say(connection: Connection, new: int) -> None:
            subject = f"{new} customers: {params.reason}"
            audit.record(connection, "contact.suppressed", at=now, actor=work.actor, subject=subject)

        new = _Written(work, len(keys)).write(
            CUSTOMER, keys, lambda connection, part: contacting.suppress(connection, part, params.reason, now), say
        )
        return {"file_name": params.file_name, "rows": len(names), "new": new, "notes": list(rows.notes)}


class _Written:
    """The rows of a job that can't be cancelled any more, written part by part.

    How many are written, and how many of these were new, stands in the job's row: if the worker dies, the next attempt
    goes on from there, and counts what the one before wrote. Raises Cancelled if the job was asked to stop before, or
    if another attempt took it over.

    Parameters
    ----------
    total
        Rows of all lists, for the progress.
    """

    def __init__(self, work: Work, total: int) -> None:
        self._work, self._total, self._done = work, total, 0
        self._lists: dict[str, tuple[int, int]] = (work.job.result or {}).get("written", {})
        with work.database.write() as connection:
            jobs.bind(connection, work.job)

    def write(
        self,
        name: str,
        rows: Sequence[T],
        add: Callable[[Connection, Sequence[T]], int],
        say: Callable[[Connection, int], None],
    ) -> int:
        """Write the rest of a list, in the order of every attempt, and return how many of the whole list were new.

        Parameters
        ----------
        add
            Writes some rows and returns how many are new.
        say
            Called with the number of new rows in the transaction of the last.
        """
        at, new = self._lists.get(name, (0, 0))
        self._done += at
        sizes = AdaptiveBatchSize()
        while at < len(rows):
            part = rows[at : at + sizes.size]
            with sizes.timed(self._work.database.write()) as connection:
                new += add(connection, part)
                at += len(part)
                self._lists[name] = (at, new)
                jobs.note_result(connection, self._work.job, {"written": self._lists})
                if at == len(rows):
                    say(connection, new)
            self._done += len(part)
            done = LOOKED_UP + (1 - LOOKED_UP) * self._done / self._total
            self._work.note(done, f"Wrote {self._done:,} of {plural(self._total, 'row')}")
        return new


@contextmanager
def _opened(work: Work, params: FileParams, *names: str) -> Iterator[OpenTable]:
    """Open a file that has these columns, while no customer is erased; it is removed once the job's end is written."""
    work.afterwards(partial(uploads.discard, params.path))
    spool = uploads.folder(work.settings.data_folder)
    with (
        locks.kept_customers(work),
        closing(open_table(uploads.present(params), folder=spool, between=work.check)) as table,
    ):
        if lacking := [name for name in names if name not in {each.strip() for each in table.names}]:
            details: list[Detail] = [{"field": name, "message": messages.NO_SUCH_COLUMN} for name in lacking]
            raise InvalidTable(NO_COLUMN.format(lacking[0], ", ".join(names)), details=details)
        work.step(0.0, "Reading the file")
        yield table


def _checked(table: OpenTable, rows: Rows, found: Iterable[Any], refused: Sequence[Reject]) -> list[Any]:
    """Return what was found, if no row was refused. Raises InvalidTable that names the rows."""
    if not refused:
        return list(found)
    details = located(table, refused[:SHOWN])
    wrong = messages.rows_rejected(len(refused), len(rows.records), table.place_name, details[0])
    raise InvalidTable(wrong + messages.first_listed(len(details), len(refused)), details=details)


def _contacts(connection: Connection, rows: Rows, today: date) -> tuple[list[_Contact], list[Reject]]:
    names, users = rows.columns["email"].to_pylist(), rows.columns["user_id"].to_pylist()
    days = rows.columns["as_of"].cast("string").to_pylist()
    numbers = campaigns.id_by_name(connection)
    drawn = {name: campaigns.get(connection, numbers[name]) for name in set(names) & set(numbers)}
    ids = customers.ids_by_user_id(connection, set(users))
    arms = {name: _arms(connection, numbers[name], list(ids.values())) for name in drawn}
    found: list[_Contact] = []
    refused: list[Reject] = []
    for at, (record, name, user, day) in enumerate(zip(rows.records.tolist(), names, users, days, strict=True)):
        if at % AT_ONCE == 0:
            interruption.check()
        campaign = drawn.get(name)
        if campaign is None:
            refused.append(Reject(record, CAMPAIGN, name, NO_CAMPAIGN))
            continue
        why = contacts.refusal(contacts.Contact(user, day), ids, arms[name], campaign.starts_on, today)
        if why is None:
            key = ids[user]
            found.append(_Contact(record, campaign, key, arms[name][key], day))
        else:
            refused.append(Reject(record, why["field"], why["value"], why["message"]))
    return found, refused


def _arms(connection: Connection, campaign_id: int, keys: Sequence[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for at in range(0, len(keys), AT_ONCE):
        interruption.check()
        found |= campaigns.arms_of(connection, campaign_id, keys[at : at + AT_ONCE])
    return found


def _by_campaign(found: Sequence[_Contact]) -> Iterator[tuple[Campaign, list[_Contact]]]:
    parts: dict[int, list[_Contact]] = {}
    for each in found:
        parts.setdefault(each.campaign.id, []).append(each)
    yield from ((part[0].campaign, part) for part in parts.values())


def _store(work: Work, written: _Written, campaign: Campaign, found: Sequence[_Contact]) -> dict[str, Any]:
    """Write the contacts of one campaign, which are all checked."""
    rows, now = sorted({(campaign.id, each.customer_id, each.day) for each in found}), iso(work.clock())

    def say(connection: Connection, new: int) -> None:
        subject = f"campaign:{campaign.id} {new} new contacts"
        audit.record(connection, "campaign.contacts", at=now, actor=work.actor, subject=subject)

    new = written.write(str(campaign.id), rows, campaigns.record_contacts, say)
    known, control = len(found) - new, sum(each.is_control for each in found)
    return {"campaign_id": campaign.id, "name": campaign.name, "new": new, "known": known, "in_control": control}
