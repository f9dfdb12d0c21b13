"""Time as text: UTC, sortable, reversible."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clock import days_later, iso, utc_now

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@settings(deadline=None)
@given(MOMENTS, MOMENTS)
def test_text_sorts_as_time_does(one: datetime, other: datetime) -> None:
    one, other = (m.replace(microsecond=m.microsecond // 1000 * 1000) for m in (one, other))
    assert (iso(one) < iso(other)) is (one < other)


@settings(deadline=None)
@given(MOMENTS)
def test_text_reads_back_to_the_millisecond(moment: datetime) -> None:
    text = iso(moment)
    assert len(text) == 24
    assert text.endswith("Z")
    assert timedelta() <= moment - datetime.fromisoformat(text) < timedelta(milliseconds=1)


def test_another_zone_is_told_in_utc() -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    assert iso(datetime(2026, 1, 1, 3, 0, tzinfo=there)) == "2025-12-31T21:30:00.000Z"


def test_now_is_in_utc() -> None:
    assert utc_now().tzinfo is UTC


@settings(deadline=None)
@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-4000, 4000))
def test_days_go_forth_and_back(day: date, days: int) -> None:
    assert days_later(days_later(day.isoformat(), days), -days) == day.isoformat()


def test_leap_days_and_years_are_counted() -> None:
    assert days_later("2024-02-28", 1) == "2024-02-29"
    assert days_later("2026-02-28", 1) == "2026-03-01"
    assert days_later("2025-12-31", 1) == "2026-01-01"
