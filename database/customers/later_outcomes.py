"""Outcomes after the 30 days of a label: whether customers left within longer horizons, and why.

Law: each horizon matures by itself; where its ends are not known yet, the answer is None and never "stayed".
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from database.customers import facts, maturity
from shared.clock import days_later
from shared.contracts.api import HORIZON_DAYS
from shared.contracts.outlook import LATER_HORIZONS
from shared.schema.features import Schema

#: The reason of an end that was dated by absence: nobody said why.
ABSENT = "absent"


@dataclass(frozen=True)
class Departures:
    """Departures of one customer, ends without a return within the grace gap, oldest first."""

    days: list[str]
    reasons: list[str | None]

    def after(self, day: str) -> tuple[str, str | None] | None:
        """Return the day and the reason of the first departure after a day."""
        at = bisect_right(self.days, day)
        return (self.days[at], self.reasons[at]) if at < len(self.days) else None


@dataclass(frozen=True)
class LaterOutcomes:
    """Departures by customer, and the dates that have matured by horizon; see docs/definitions.md#horizons."""

    schema: Schema
    departures: Mapping[int, Departures]
    matured: Mapping[int, set[str]]

    def left_within(self, day: str, ids: Sequence[int], labels: Sequence[int], horizon_days: int) -> list[int | None]:
        """Return 1 for who left within the horizon after a date, 0 for who did not, None where it has not matured."""
        if day not in self.matured[horizon_days]:
            return [None] * len(ids)
        until = days_later(day, horizon_days)
        return [
            1 if label or ((end := self._departure(customer, day)) is not None and end[0] <= until) else 0
            for customer, label in zip(ids, labels, strict=True)
        ]

    def left_involuntarily(self, day: str, ids: Sequence[int], labels: Sequence[int]) -> list[int | None]:
        """Return 1 or 0 for those with label 1 whose reason is known, else None."""
        until = days_later(day, HORIZON_DAYS)
        return [
            self._is_involuntary(self._departure(customer, day), until) if label else None
            for customer, label in zip(ids, labels, strict=True)
        ]

    def _departure(self, customer: int, day: str) -> tuple[str, str | None] | None:
        found = self.departures.get(customer)
        return None if found is None else found.after(day)

    def _is_involuntary(self, end: tuple[str, str | None] | None, until: str) -> int | None:
        if end is None or end[0] > until or end[1] is None or end[1] == ABSENT:
            return None
        return int(self.schema.is_involuntary(end[1]))


def read(connection: Connection, schema: Schema, found: maturity.Matured, today: str) -> LaterOutcomes:
    """Read the departures after the first of the matured dates, as known up to `today`."""
    matured = {days: maturity.matured_within(connection, found, today, days) for days in LATER_HORIZONS}
    by_customer: defaultdict[int, Departures] = defaultdict(lambda: Departures([], []))
    if found.dates and found.until is not None:
        for customer, day, reason in facts.departures_with_reasons(connection, found.dates[0], found.until):
            by_customer[customer].days.append(day)
            by_customer[customer].reasons.append(reason)
    return LaterOutcomes(schema, dict(by_customer), matured)
