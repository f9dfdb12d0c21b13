"""Time as an argument, so that a test can run on any date.

Law: UTC only; text is ISO 8601 with `Z`, to the millisecond, so that it sorts chronologically.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """Return a time as text.

    >>> iso(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def days_later(day: str, days: int) -> str:
    """Return the ISO date some days later (or earlier).

    >>> days_later("2026-01-31", 30), days_later("2026-03-01", -1)
    ('2026-03-02', '2026-02-28')
    """
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def moment(text: str) -> str:
    """Convert a typed date or timestamp (UTC by default) to a timestamp as in `iso`. Raises ValueError.

    >>> moment("2026-01-31"), moment("2026-01-31T01:00+01:00")
    ('2026-01-31T00:00:00.000Z', '2026-01-31T00:00:00.000Z')
    """
    found = datetime.fromisoformat(text)
    try:
        return iso(found if found.tzinfo is not None else found.replace(tzinfo=UTC))
    except OverflowError:
        raise ValueError(f"{text!r} is out of the calendar's range") from None
