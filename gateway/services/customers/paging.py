"""Reads one page of the customer list: its default filter, its rows, the cursor of the next page, and the total.

Law: a cursor is valid only for the list it came from: the same sort and the same filters.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from database.customers import listing
from database.customers.filters import Filters
from database.customers.listing import Position, Sort
from database.engine.session import Connection
from gateway.services.customers.filtering import Pair, parse, parse_sort
from shared.errors import invalid
from shared.parsing_limits import MAX_INT64
from shared.schema.features import Schema

OTHER_LIST = "this `next` belongs to another list ({what} differ); begin again without `after`"
MALFORMED = "expected the `next` of the page before"
NAMES = ("limit", "after", "sort", "show")


@dataclass(frozen=True)
class Page:
    """Rows of `listing.page`, the cursor of the next page, and the total."""

    rows: Sequence[dict[str, Any]]
    next: str | None
    total: int
    is_exact: bool

    @property
    def total_text(self) -> str:
        return f"{self.total:,}" + ("" if self.is_exact else "+")


def page_of(
    connection: Connection,
    schema: Schema,
    pairs: Sequence[Pair],
    *,
    sort_text: str,
    limit: int,
    after: str | None,
    unsure_below: float,
    everyone: int,
) -> Page:
    """Read one page of customers.

    Parameters
    ----------
    pairs
        The query string as (name, value).
    everyone
        Number of active customers with a score, from the roll-up: the total when no filter is given.

    Raises
    ------
    InvalidInput
        A filter, the sort or the cursor can't be used.
    """
    filters = listed(parse(schema, pairs, unsure_below=unsure_below, allowed=NAMES), pairs)
    sort = parse_sort(schema, sort_text)
    position = read_cursor(filters, sort, after) if after is not None else None
    if filters == Filters(is_scored=True, unsure_below=unsure_below):
        total, is_exact = everyone, True
    else:
        total, is_exact = listing.count(connection, schema, filters)
    few = is_exact and total <= listing.GATHERED
    rows = listing.page(connection, schema, filters, sort, limit=limit + 1, after=position, by_table=few)
    page = rows[:limit]
    following = next_cursor(filters, sort, page[-1]["sort_value"], page[-1]["id"]) if len(rows) > limit else None
    return Page(page, following, total, is_exact)


def listed(filters: Filters, pairs: Sequence[Pair]) -> Filters:
    """Return filters as the list understands them, on the page and in a file: without `scored`, scored customers only.

    A customer who has left has no present score, so those who are asked for are listed without one.
    """
    if filters.is_scored is not None or filters.has_left or dict(pairs).get("scored") == "any":
        return filters
    return replace(filters, is_scored=True)


def next_cursor(filters: Filters, sort: Sort, value: Any, key: int) -> str:
    """Return the cursor of the next page: opaque to clients, valid for this list only."""
    parts = [_sort_text(sort), _fingerprint(filters), value, key]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read_cursor(filters: Filters, sort: Sort, text: str) -> Position:
    """Return the position that `next_cursor` wrote.

    Raises
    ------
    InvalidInput
        The cursor is malformed, or belongs to another sort or other filters.
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        sort_text, fingerprint, value, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, UnicodeError, ValueError, TypeError, RecursionError):
        raise invalid("after", MALFORMED) from None
    if sort_text != _sort_text(sort):
        raise invalid("after", OTHER_LIST.format(what="the sorts"))
    if fingerprint != _fingerprint(filters):
        raise invalid("after", OTHER_LIST.format(what="the filters"))
    if not (isinstance(key, int) and 0 <= key <= MAX_INT64):
        raise invalid("after", MALFORMED)
    if value is None or (sort.key == "user_id" and isinstance(value, str) and _can_be_asked_for(value)):
        return Position(value, key)
    if sort.key == "user_id" or not isinstance(value, int | float) or not abs(value) <= MAX_INT64:
        raise invalid("after", MALFORMED)
    return Position(value, key)


def _can_be_asked_for(text: str) -> bool:
    """Return whether a text can be a parameter of SQL: JSON can hold half a character (`\\ud800`), SQL can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _sort_text(sort: Sort) -> str:
    return ("-" if sort.descending else "") + sort.key


def _fingerprint(filters: Filters) -> str:
    return hashlib.sha256(json.dumps(asdict(filters), sort_keys=True).encode()).hexdigest()[:12]
