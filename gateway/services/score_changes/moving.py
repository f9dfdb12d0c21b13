"""Reads the customers whose scores moved between two dates: a page of them, with the cursor of the next, or all.

Law: the first date is not after the second; a cursor is valid only for the list it came from.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from database.customers import customer_base
from database.engine.session import Connection
from database.models import models
from database.models.models import Model
from database.scoring import movers
from database.scoring.movers import Direction, Place, Question, Run
from shared.errors import NotFound, invalid
from shared.parsing_limits import MAX_INT64

MALFORMED = "expected the `next` of the page before"
OTHER_LIST = "this `next` belongs to another list, or new scores were published; begin again without `after`"
NO_TWO = "There are no two scoring runs of everybody to compare on these dates."


@dataclass(frozen=True)
class Dates:
    """The days up to which the last scores are compared; None where the caller leaves the choice.

    Raises
    ------
    InvalidInput
        The first is after the second.
    """

    since: date | None
    until: date | None

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since > self.until:
            raise invalid("since", f"{self.since} is after `until`, {self.until}")

    @property
    def texts(self) -> tuple[str | None, str | None]:
        since, until = (None if day is None else day.isoformat() for day in (self.since, self.until))
        return since, until

    def runs(self, connection: Connection) -> tuple[Run | None, Run | None]:
        """Return the later run and the earlier; None where there is none."""
        since, until = self.texts
        pair = movers.compared(connection, since=since, until=until)
        return pair or (movers.latest(connection, until), None)


@dataclass(frozen=True)
class Page:
    """Customers who moved, and the cursor of the next page.

    Attributes
    ----------
    scored_by
        The models of the later run and of the earlier.
    """

    rows: Sequence[dict[str, Any]]
    now: Run | None
    then: Run | None
    scored_by: Sequence[Model | None]
    next: str | None


def page_of(
    connection: Connection, dates: Dates, direction: Direction, cut: float, *, limit: int, after: str | None
) -> Page:
    """Read one page; without rows where there are no two runs. Raises InvalidInput for a cursor of another list."""
    now, then = dates.runs(connection)
    present = customer_base.get(connection)
    if present is None or now is None or then is None:
        return Page([], now, then, [], None)
    asked = Question(now, then, direction, cut)
    place = None if after is None else _place(asked, after)
    found = movers.movers(connection, present.schema, asked, limit=limit + 1, after=place)
    rows = found[:limit]
    following = _cursor(asked, rows[-1]) if len(found) > limit else None
    return Page(rows, now, then, [models.get(connection, each.version) for each in (now, then)], following)


def question_of(connection: Connection, dates: Dates, direction: str, cut: float) -> Question:
    """Return the question whose whole answer is exported. Raises NotFound where there are no two runs."""
    now, then = dates.runs(connection)
    if now is None or then is None:
        raise NotFound(NO_TWO)
    return Question(now, then, cast(Direction, direction), cut)


def _list_of(asked: Question) -> list[Any]:
    return [asked.direction, asked.now.run_id, asked.then.run_id, asked.cut]


def _cursor(asked: Question, row: dict[str, Any]) -> str:
    text = json.dumps([*_list_of(asked), row["place_value"], row["id"]])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(asked: Question, text: str) -> Place:
    try:
        padded = text + "=" * (-len(text) % 4)
        *own, value, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, UnicodeError, ValueError, TypeError, RecursionError):
        raise invalid("after", MALFORMED) from None
    is_place = isinstance(value, int | float) and abs(value) <= 1 and isinstance(key, int) and 0 <= key <= MAX_INT64
    if not is_place:
        raise invalid("after", MALFORMED)
    if own != _list_of(asked):
        raise invalid("after", OTHER_LIST)
    return Place(float(value), key)
