"""Reads the displayed scores as a list of changes since a cursor, page by page.

Law: a reader who applies the pages in order has the present list once `has_more` is false, whatever was published or
who was held out meanwhile; a cursor never expires silently: where a state is no longer known, or the cursor is none
of ours, the answer begins anew and says so. Every read from the beginning is audited, and so is going on by a cursor of
somebody else, or of a read that began more than an hour ago; nobody else writes a cursor: they are signed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from database.accounts import audit
from database.accounts.audit import Actor
from database.engine.bulk_insert import AnyRow
from database.engine.session import Connection, Database
from database.scoring import changes, contact_changes
from database.scoring.changes import Moment
from shared.clock import Clock, iso
from shared.errors import invalid
from shared.parsing_limits import MAX_INT64

#: For so long one row of the audit log stands for the pages that follow one another.
ONE_READ_S = 3600
#: Customers whose scores one page compares, so that a page without a change takes no longer than others.
COMPARED = 20_000
#: States that a cursor can hold; where one pass saw more, which takes as many runs while it went on, it begins anew.
MOST_SEEN = 6
MALFORMED = "expected the `cursor` of an earlier answer, or of a churn.alert event"
#: The two lists that can be read: of customers who may be contacted, and of everybody.
Contact = Literal["allowed", "any"]


@dataclass(frozen=True)
class Seen:
    """Customers up to a key (None: all others) whose scores the reader has as they were at a moment (None: not yet)."""

    moment: Moment | None
    up_to: int | None


@dataclass(frozen=True)
class Reading:
    """The reader, and the time of the audit row that stands for this read, in seconds of Unix time."""

    user_id: int
    began_s: int

    def goes_on(self, before: Reading | None) -> bool:
        """Return whether the row of the audit log for an earlier reading stands for this one too."""
        if before is None or before.user_id != self.user_id:
            return False
        return abs(self.began_s - before.began_s) <= ONE_READ_S


@dataclass(frozen=True)
class Cursor:
    """Where a reader is.

    Attributes
    ----------
    contact
        The list that is read; None for either: the cursor of an event.
    seen
        The states that the reader has of customers, by their keys.
    after_id
        The last customer of this pass.
    reading
        The read that was audited last; None: none was yet.
    """

    contact: Contact | None
    seen: tuple[Seen, ...] = (Seen(None, None),)
    after_id: int = 0
    reading: Reading | None = None

    @property
    def is_new(self) -> bool:
        return self.after_id == 0 and all(each.moment is None for each in self.seen)

    def stretch(self) -> Seen:
        """Return what the reader has of the next customers."""
        return next(each for each in self.seen if each.up_to is None or each.up_to > self.after_id)


@dataclass(frozen=True)
class Page:
    """Changes, and where to go on.

    Attributes
    ----------
    begins_anew
        The reader has to drop its list first: these are changes from nothing.
    is_new_read
        The audit log has no row yet that stands for this page.
    """

    rows: Sequence[AnyRow]
    cursor: str | None
    has_more: bool
    begins_anew: bool
    is_new_read: bool = False


def page_of(
    connection: Connection,
    since: str | None,
    *,
    contact: Contact = "allowed",
    limit: int,
    secret: str,
    reading: Reading | None = None,
) -> Page:
    """Return one page of changes since a cursor; from nothing if there is none. Raises InvalidInput."""
    cursor = _read(since, secret) if since is not None else None
    now = changes.present(connection)
    if now is None:
        return Page([], None, has_more=False, begins_anew=True)
    if cursor is None or not _goes_on(connection, cursor, contact, now):
        cursor = Cursor(contact)
    rows, following, has_more = _read_on(connection, cursor, contact, now, limit)
    # A first page can be empty, and the next ones not; a later one without a change says nothing.
    is_new = cursor.is_new or (bool(rows) and reading is not None and not reading.goes_on(cursor.reading))
    text = _text(replace(following, reading=reading if is_new else cursor.reading), secret)
    return Page(rows, text, has_more, cursor.is_new, is_new)


def _read_on(
    connection: Connection, cursor: Cursor, contact: Contact, now: Moment, limit: int
) -> tuple[Sequence[AnyRow], Cursor, bool]:
    """Return the changes behind a cursor, where to go on, and whether there are more."""
    last = changes.last_customer(connection)
    after_id, then = cursor.after_id, cursor.stretch()
    while then.moment == now and then.up_to is not None:
        after_id = then.up_to
        then = Cursor(contact, cursor.seen, after_id).stretch()
    rows: Sequence[AnyRow] = []
    if then.moment == now:
        reached = last
    else:
        up_to = min(after_id + COMPARED, last, last if then.up_to is None else then.up_to)
        only = contact == "allowed"
        rows = changes.between(
            connection, then.moment, now, only_allowed=only, after_id=after_id, up_to_id=up_to, limit=limit
        )
        reached = rows[-1].id if len(rows) == limit else up_to
    is_through = reached >= last
    seen = _after_reading(cursor.seen, after_id, None if is_through else reached, now)
    following = Cursor(contact, seen, 0 if is_through else reached)
    return rows, following, not is_through or any(each.moment != now for each in seen)


def _goes_on(connection: Connection, cursor: Cursor, contact: Contact, now: Moment) -> bool:
    """Return whether a cursor is of this list, and all its states are known."""
    moments = {each.moment for each in cursor.seen if each.moment is not None}
    return (
        cursor.contact in (None, contact)
        and len(cursor.seen) <= MOST_SEEN
        and all(changes.is_known(connection, each, now) for each in moments)
    )


def _after_reading(seen: Sequence[Seen], after_id: int, reached: int | None, now: Moment) -> tuple[Seen, ...]:
    """Return what a reader has of whom after reading from one customer to another (None: to the end)."""
    lows = [0, *(each.up_to or 0 for each in seen)]
    of_this_pass = [
        each if each.up_to is not None and each.up_to <= after_id else Seen(each.moment, after_id)
        for low, each in zip(lows, seen, strict=False)
        if low < after_id
    ]
    of_the_last = [each for each in seen if reached is not None and (each.up_to is None or each.up_to > reached)]
    return (*_joined([*of_this_pass, Seen(now, reached)]), *of_the_last)


def _joined(seen: Sequence[Seen]) -> Iterator[Seen]:
    """Join neighbours whose moments the log tells apart: the next pass reads what it has since the earlier of them."""
    before = seen[0]
    for each in seen[1:]:
        if before.moment is None or each.moment is None or not each.moment.is_logged_since(before.moment):
            yield before
            before = each
        else:
            before = Seen(before.moment, each.up_to)
    yield before


def read(
    database: Database,
    clock: Clock,
    since: str | None,
    *,
    contact: Contact,
    limit: int,
    secret: str,
    actor: Actor | None,
) -> Page:
    """Return one page of changes; a read that the audit log does not know yet is audited, as an export is.

    Parameters
    ----------
    actor
        Who reads; None if nobody is sent the page, so that nothing is to be audited.
    """
    now = clock()
    reading = None if actor is None or actor.user_id is None else Reading(actor.user_id, int(now.timestamp()))
    with database.read() as connection:
        page = page_of(connection, since, contact=contact, limit=limit, secret=secret, reading=reading)
    if page.is_new_read and actor is not None:
        subject = f"{'from the beginning' if page.begins_anew else 'on from a cursor'}, contact {contact}"
        with database.write() as connection:
            audit.record(connection, "export.changes", at=iso(now), actor=actor, subject=subject)
    return page


def cursor_at(connection: Connection, secret: str) -> str | None:
    """Return the cursor of the present state, for either list; None before the first published run."""
    shown = changes.present(connection)
    return None if shown is None else _text(Cursor(None, (Seen(shown, None),)), secret)


def _text(cursor: Cursor, secret: str) -> str:
    seen = [[None if each.moment is None else _values(each.moment), each.up_to] for each in cursor.seen]
    reading = [] if cursor.reading is None else [[cursor.reading.user_id, cursor.reading.began_s]]
    text = json.dumps([cursor.contact, seen, cursor.after_id, *reading], separators=(",", ":"))
    told = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return f"{told}.{_signature(told, secret)}"


def _signature(told: str, secret: str) -> str:
    return hmac.digest(secret.encode(), f"changes\n{told}".encode(), "sha256").hex()[:32]


def _values(moment: Moment) -> list[Any]:
    return [moment.run_id, moment.started_at, moment.position, moment.contact.position, moment.contact.known_to]


def _read(text: str, secret: str) -> Cursor | None:
    """Return a cursor that `_text` wrote; None for one of another secret, or of a version that signed none."""
    told, _, signature = text.partition(".")
    cursor = _parsed(told)
    is_ours = hmac.compare_digest(_signature(told, secret).encode(), signature.encode())
    return cursor if is_ours else None


def _parsed(text: str) -> Cursor:
    try:
        contact, seen, after_id, *reading = json.loads(
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        )
        if contact not in (None, "allowed", "any"):
            raise ValueError(MALFORMED)
        found = tuple(Seen(_moment(moment), None if up_to is None else _number(up_to)) for moment, up_to in seen)
        lows = [each.up_to for each in found]
        # Stretches follow one another, and only the last has no end.
        if lows[-1] is not None or lows[:-1] != sorted({low for low in lows[:-1] if low is not None}):
            raise ValueError(MALFORMED)
        return Cursor(contact, found, _number(after_id), _reading(*reading))
    except (binascii.Error, UnicodeError, ValueError, TypeError, IndexError, RecursionError):
        raise invalid("since", MALFORMED) from None


def _reading(given: Any = None) -> Reading | None:
    if given is None:
        return None
    user_id, began_s = given
    return Reading(_number(user_id), _number(began_s))


def _moment(given: Any) -> Moment | None:
    if given is None:
        return None
    run_id, started_at, position, contacts, known_to = given
    if not isinstance(started_at, str) or not isinstance(known_to, str):
        raise ValueError(MALFORMED)
    contact = contact_changes.Moment(_number(contacts), known_to)
    return Moment(_number(run_id), started_at, _number(position), contact)


def _number(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MAX_INT64:
        raise ValueError(MALFORMED)
    return given
