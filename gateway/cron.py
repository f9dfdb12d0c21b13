"""Cron lines: five fields (minute, hour, day of the month, month, weekday), in UTC.

Law: as in cron(8), where both days are restricted either is enough; a line that never comes is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART = re.compile(r"(\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")
#: A 29th of February comes within eight years, also around 2100.
_DAYS = 8 * 366


@dataclass(frozen=True)
class Cron:
    """A cron line.

    Attributes
    ----------
    text
        As it was written.
    allowed
        The allowed values of each field, by its name; weekdays count from Sunday, 0.
    """

    text: str
    allowed: Mapping[str, frozenset[int]]

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read a line.

        Raises
        ------
        ValueError
            It is no cron line, or never comes.

        Examples
        --------
        >>> Cron.parse("*/15 8-17 * * 1-5").after(datetime(2026, 1, 2, 17, 50, tzinfo=UTC)).isoformat()
        '2026-01-05T08:00:00+00:00'
        """
        words = text.split()
        if len(words) != len(_FIELDS):
            raise ValueError("expected five fields: minute hour day month weekday")
        allowed = {name: _values(word, name, low, high) for word, (name, low, high) in zip(words, _FIELDS, strict=True)}
        allowed["weekday"] = frozenset(day % 7 for day in allowed["weekday"])
        made = cls(" ".join(words), allowed)
        made.after(datetime(2000, 1, 1, tzinfo=UTC))
        return made

    def after(self, moment: datetime) -> datetime:
        """Return the first time after a moment. Raises ValueError if there is none."""
        start = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for ahead in range(_DAYS):
            day = start.date() + timedelta(days=ahead)
            if not self._has_day(day):
                continue
            for hour in sorted(self.allowed["hour"]):
                for minute in sorted(self.allowed["minute"]):
                    at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    if at >= start:
                        return at
        raise ValueError("that day never comes")

    def _has_day(self, day: date) -> bool:
        if day.month not in self.allowed["month"]:
            return False
        in_month, in_week = day.day in self.allowed["day"], day.isoweekday() % 7 in self.allowed["weekday"]
        _, _, month_day, _, weekday = self.text.split()
        if month_day.startswith("*") or weekday.startswith("*"):
            return in_month and in_week
        return in_month or in_week


def _values(word: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"the {name} can't be read: write it like *, 5, 1-5, */15 or 0,30")
        whole, first, last, step = match.groups()
        start = low if whole == "*" else int(first)
        end = high if whole == "*" or (last is None and step) else int(last or first)
        if not (low <= start <= end <= high) or (step and int(step) == 0):
            raise ValueError(f"the {name} must be within {low}-{high}")
        found |= set(range(start, end + 1, int(step or 1)))
    return frozenset(found)
