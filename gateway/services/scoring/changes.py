"""Reads the displayed scores as a list of changes since a cursor, page by page.

Law: a cursor never expires silently: where its state is no longer known, the answer begins anew and says so.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from database.accounts import audit
from database.accounts.audit import Actor
from database.engine.bulk_insert import AnyRow
from database.engine.session import Connection, Database
from database.scoring import changes
from database.scoring.changes import Moment
from shared.clock import Clock, iso
from shared.errors import invalid
from shared.parsing_limits import MAX_INT64

#: Customers whose scores one page compares, so that a page without a change takes no longer than others.
COMPARED = 20_000
MALFORMED = "expected the `cursor` of an earlier answer, or of a churn.alert event"


@dataclass(frozen=True)
class Cursor:
    """Where a reader is: the state it has seen whole, and on the way to another, that one and the last customer."""

    since: Moment | None
    then: Moment | None = None
    after_id: int = 0


@dataclass(frozen=True)
class Page:
    """Changes, and where to go on.

    Attributes
    ----------
    begins_anew
        What the reader has is to be dropped: these are changes from nothing.
    """

    rows: Sequence[AnyRow]
    cursor: str | None
    has_more: bool
    begins_anew: bool


def page_of(connection: Connection, since: str | None, *, limit: int) -> Page:
    """Return one page of changes since a cursor; from nothing if there is none. Raises InvalidInput."""
    cursor = _read(since) if since is not None else Cursor(None)
    shown = changes.present(connection)
    if shown is None:
        return Page([], None, has_more=False, begins_anew=True)
    is_lost = cursor.since is not None and not changes.is_known(connection, cursor.since)
    if is_lost:
        cursor = Cursor(None)
    begins_anew = cursor.since is None and cursor.after_id == 0
    then = cursor.then or shown
    last = changes.last_customer(connection)
    up_to = min(cursor.after_id + COMPARED, last)
    rows = changes.between(
        connection, cursor.since, shown.run_id, after_id=cursor.after_id, up_to_id=up_to, limit=limit
    )
    reached = rows[-1].id if len(rows) == limit else up_to
    has_more = reached < last
    following = replace(cursor, then=then, after_id=reached) if has_more else Cursor(then)
    return Page(rows, _text(following), has_more, begins_anew)


def read(database: Database, clock: Clock, since: str | None, *, limit: int, actor: Actor) -> Page:
    """Return one page of changes; reading everything from the beginning is audited, as an export is."""
    with database.read() as connection:
        page = page_of(connection, since, limit=limit)
    if page.begins_anew and page.rows:
        with database.write() as connection:
            audit.record(connection, "export.changes", at=iso(clock()), actor=actor, subject="from the beginning")
    return page


def cursor_at(connection: Connection) -> str | None:
    """Return the cursor of the present state; None before the first published run."""
    shown = changes.present(connection)
    return None if shown is None else _text(Cursor(shown))


def _text(cursor: Cursor) -> str:
    moments = [None if each is None else astuple(each) for each in (cursor.since, cursor.then)]
    return base64.urlsafe_b64encode(json.dumps([*moments, cursor.after_id]).encode()).decode().rstrip("=")


def _read(text: str) -> Cursor:
    try:
        since, then, after_id = json.loads(
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        )
        cursor = Cursor(_moment(since), _moment(then), _number(after_id))
    except (binascii.Error, UnicodeError, ValueError, TypeError, RecursionError):
        raise invalid("since", MALFORMED) from None
    return cursor


def _moment(given: Any) -> Moment | None:
    if given is None:
        return None
    run_id, started_at, position = given
    if not isinstance(started_at, str):
        raise ValueError(MALFORMED)
    return Moment(_number(run_id), started_at, _number(position))


def _number(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MAX_INT64:
        raise ValueError(MALFORMED)
    return given
