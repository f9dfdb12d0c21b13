"""Matured dates: decided by what is known of ends, for leavers and stayers alike. T is 1 March 2026."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from database.customers import maturity
from shared.clock import days_later
from tests.database.facts import Facts, plain_schema

T = "2026-03-01"
Make = Callable[..., Facts]


def matured(here: Facts, today: str = "2027-12-31") -> list[str]:
    with here.database.read() as connection:
        return maturity.matured_dates(connection, today)


def test_a_date_is_matured_once_ends_are_known_up_to_thirty_days_and_the_grace_gap_after_it(facts_of: Make) -> None:
    here = facts_of()
    for day in (T, days_later(T, 30), days_later(T, 60)):
        here.snapshot("a", day)
    assert matured(here) == []
    for known, expected in ((59, []), (60, [T]), (90, [T, days_later(T, 30)])):
        here.known(days_later(T, known))
        assert matured(here) == expected
    assert matured(here, days_later(T, 60)) == [T], "as seen on an earlier day"


@pytest.mark.parametrize(
    ("before", "after", "is_in"),
    [
        (0, 31, True),  # 1 day from the end of the horizon
        (0, 33, True),
        (0, 34, False),
        (27, 90, True),
        (26, 90, False),
        (0, 92, False),  # quarterly exports
        (None, 30, True),
        (None, 31, False),  # nothing says who was there before
    ],
)
def test_where_ends_are_dated_by_absence_a_full_snapshot_lies_near_the_end_of_the_horizon(
    facts_of: Make, before: int | None, after: int, is_in: bool
) -> None:
    here = facts_of()
    here.snapshot("a", T)
    for at in (before, after, 120):
        if at is not None:
            here.known(days_later(T, at), "full")
    assert matured(here) == ([T] if is_in else [])
    here.known(days_later(T, 60), "told")
    assert matured(here) == [T], "ends that are told exactly need no full snapshot"


def months(here: Facts, ends: dict[int, list[int]]) -> list[str]:
    """Six dates 30 days apart; by month, the days within it on which somebody leaves."""
    days = [days_later(T, 30 * month) for month in range(6)]
    number = 0
    for month, day in enumerate(days):
        here.snapshot("a", day)
        for at in ends[month]:
            number += 1
            here.subscribe(f"m{number}", "2025-01-01", days_later(day, at))
    here.known("2027-12-31")
    return days


EVERY_DAY = [at for at in range(1, 31) for _ in range(2)]


def test_a_date_with_improbably_few_ends_is_warned_of(facts_of: Make) -> None:
    here = facts_of()
    few = list(range(1, 22))  # 21 ends, 60 are usual; none on 9 days
    days = months(here, {month: few if month == 3 else EVERY_DAY for month in range(6)})
    with here.database.read() as connection:
        found = maturity.matured(connection, "2027-12-31")
    assert (found.dates, found.left_out) == (days, [])
    assert [(each.day, each.ends, each.usual) for each in found.few] == [(days[3], 21, 60)]


def test_it_is_left_out_and_named_where_a_third_of_its_days_have_no_end_at_all(facts_of: Make) -> None:
    here = facts_of()
    lost = list(range(1, 21))  # a feed was lost for ten days
    days = months(here, {month: lost if month == 3 else EVERY_DAY for month in range(6)})
    with here.database.read() as connection:
        found = maturity.matured(connection, "2027-12-31")
    assert found.dates == [day for day in days if day != days[3]]
    assert [each.day for each in found.left_out] == [days[3]]


def test_few_ends_of_a_small_base_are_chance(facts_of: Make) -> None:
    here = facts_of()
    days = months(here, {month: [] if month == 3 else list(range(1, 12)) for month in range(6)})
    with here.database.read() as connection:
        found = maturity.matured(connection, "2027-12-31")
    assert (found.dates, found.few, found.left_out) == (days, [], [])


def test_a_base_without_known_ends_has_no_matured_dates(facts_of: Make) -> None:
    here = facts_of(plain_schema("x"))
    here.subscribe("a", "2025-01-01")
    here.snapshot("a", T)
    here.snapshot("a", "2026-12-01")
    assert matured(here) == []
