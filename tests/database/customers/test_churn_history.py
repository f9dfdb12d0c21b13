"""Logo churn by period: hand-made cases, and a recount in plain Python."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from database.customers import churn_history, facts
from shared.clock import days_later
from tests.database.facts import Facts

Make = Callable[..., Facts]
START, END = "2026-01-01", "2026-01-31"


def between(here: Facts, start: str = START, end: str = END) -> tuple[int, int]:
    with here.database.read() as connection:
        return facts.churn_between(connection, start, end)


@pytest.mark.parametrize(
    ("lives", "expected"),
    [
        ([], (0, 0)),
        ([("2025-01-01", None)], (1, 0)),
        ([("2025-01-01", "2026-01-15")], (1, 1)),
        ([("2025-01-01", END)], (1, 1)),  # not active on the day it ends
        ([("2025-01-01", "2026-02-01")], (1, 0)),
        ([("2025-01-01", START)], (0, 0)),  # ended on the first day: not active then
        ([(START, None)], (1, 0)),
        ([("2026-01-02", None)], (0, 0)),  # new customers are in neither
        ([("2026-01-02", "2026-01-20")], (0, 0)),
        ([("2025-01-01", "2026-01-05"), ("2026-01-20", None)], (1, 0)),  # back by the end
        ([("2025-01-01", "2026-01-05"), ("2026-02-20", None)], (1, 1)),  # back too late
        ([("2025-01-01", "2026-01-05"), ("2025-06-01", None)], (1, 0)),  # two at once count once
    ],
)
def test_one_customers_part_in_a_period(
    facts_of: Make, lives: list[tuple[str, str | None]], expected: tuple[int, int]
) -> None:
    here = facts_of()
    for start, end in lives:
        here.subscribe("a", start, end)
    assert between(here) == expected


def test_periods_agree_with_a_recount_of_every_customer(facts_of: Make) -> None:
    here = facts_of()
    rng = random.Random(4)
    lives: dict[str, list[tuple[str, str | None]]] = {}
    for number in range(80):
        at = rng.randrange(-200, 120)
        for _ in range(rng.randrange(1, 3)):
            length = rng.randrange(1, 150)
            end = None if rng.random() < 0.3 else days_later(START, at + length)
            lives.setdefault(f"c{number}", []).append((days_later(START, at), end))
            if end is None:
                break
            at += length + rng.randrange(0, 60)
    for name, parts in lives.items():
        for start, end in parts:
            here.subscribe(name, start, end)
    for month in range(5):
        here.snapshot("c0", days_later(START, 30 * month))
    here.known("2026-06-30")
    with here.database.read() as connection:
        periods = churn_history.measure(connection)

    def active(parts: list[tuple[str, str | None]], day: str) -> bool:
        return any(start <= day and (end is None or end > day) for start, end in parts)

    assert [period.end for period in periods] == [days_later(START, 30 * month) for month in (4, 3, 2, 1)]
    for period in periods:
        there = [parts for parts in lives.values() if active(parts, period.start)]
        assert period.active_at_start == len(there)
        assert period.left == sum(not active(parts, period.end) for parts in there)


def test_no_period_reaches_back_before_the_first_snapshot(facts_of: Make) -> None:
    here = facts_of()
    here.subscribe("a", "2020-01-01")
    here.snapshot("a", "2026-01-15")
    here.snapshot("a", "2026-03-01")
    here.known("2026-06-30")
    with here.database.read() as connection:
        assert [(p.start, p.end) for p in churn_history.measure(connection)] == [("2026-01-30", "2026-03-01")]


def test_periods_end_where_ends_are_no_longer_known(facts_of: Make) -> None:
    here = facts_of()
    here.subscribe("a", "2020-01-01")
    for day in ("2026-01-01", "2026-04-05"):
        here.snapshot("a", day)
    with here.database.read() as connection:
        assert churn_history.measure(connection) == []
    here.known("2026-02-01")
    with here.database.read() as connection:
        assert [(p.start, p.end) for p in churn_history.measure(connection)] == [("2026-01-02", "2026-02-01")]


def test_without_lifetimes_there_are_no_periods(facts_of: Make) -> None:
    here = facts_of()
    here.snapshot("a", "2026-01-15")
    with here.database.read() as connection:
        assert churn_history.measure(connection) == []


def test_a_rate_of_nobody_is_unknown_and_of_a_quarter_is_a_quarter() -> None:
    assert churn_history.Period(START, END, 0, 0).rate is None
    assert churn_history.Period(START, END, 8, 2).rate == 0.25


def test_storing_replaces_what_was_stored_and_reads_back_newest_first(facts_of: Make) -> None:
    here = facts_of()
    old = [churn_history.Period("2025-01-01", "2025-01-31", 9, 9)]
    new = [churn_history.Period(START, END, 8, 2), churn_history.Period("2025-12-02", START, 7, 1)]
    for periods in (old, new):
        with here.database.write() as connection:
            churn_history.store(connection, periods)
    with here.database.read() as connection:
        assert churn_history.history(connection) == new
