"""Cohorts of months, against a recount of every customer in plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable

from database.segments import cohorts
from shared.clock import days_later
from tests.database.facts import Facts

Make = Callable[..., Facts]
FIRST, TODAY = "2025-09-10", "2026-06-30"
Lives = dict[str, list[tuple[str, str | None]]]


def base(here: Facts, lives: Lives, known: str = TODAY) -> None:
    for name, parts in lives.items():
        for start, end in parts:
            here.subscribe(name, start, end)
    here.snapshot(next(iter(lives)), FIRST)
    here.known(known)


def measured(here: Facts, today: str = TODAY) -> dict[tuple[str, str], tuple[int, int]]:
    with here.database.read() as connection:
        return {(c, m): (size, active) for c, m, size, active in cohorts.measure(connection, today)}


def random_lives() -> Lives:
    rng, lives = random.Random(3), defaultdict(list)
    for number in range(90):
        at = rng.randrange(-100, 290)
        for _ in range(rng.randrange(1, 4)):
            length = rng.randrange(1, 120)
            end = None if rng.random() < 0.3 else days_later(FIRST, at + length)
            lives[f"c{number}"].append((days_later(FIRST, at), end))
            if end is None:
                break
            at += length + rng.randrange(0, 50)
    return lives


def test_each_customer_counts_in_the_months_that_they_ended_active(facts_of: Make) -> None:
    here, lives = facts_of(), random_lives()
    base(here, lives)
    found = measured(here)
    assert {cohort for cohort, _ in found} == {f"2025-{m}" for m in (10, 11, 12)} | {f"2026-0{m}" for m in range(1, 7)}
    for (cohort, month), (size, active) in found.items():
        of_cohort = [parts for parts in lives.values() if min(start for start, _ in parts)[:7] == cohort]
        year, number = int(month[:4]), int(month[5:])
        after = f"{year + number // 12}-{number % 12 + 1:02}-01"
        there = [p for p in of_cohort if any(start < after and (end is None or end >= after) for start, end in p)]
        assert (size, active) == (len(of_cohort), len(there)), (cohort, month)
    assert any(
        active > found[cohort, "2026-05"][1]
        for (cohort, month), (_, active) in found.items()
        if month == "2026-06" and cohort < "2026-06"
    ), "nobody came back in June: the recount checks too little"


def test_a_month_counts_once_its_last_day_is_known(facts_of: Make) -> None:
    here = facts_of()
    base(here, {"old": [("2024-01-01", None)], "new": [("2026-02-03", "2026-03-31")]}, known="2026-04-29")
    assert measured(here) == {("2026-02", "2026-02"): (1, 1), ("2026-02", "2026-03"): (1, 0)}
    here.known("2026-04-30")
    assert measured(here)["2026-02", "2026-04"] == (1, 0)
    assert ("2026-02", "2026-04") not in measured(here, today="2026-04-29"), "a day that has not come is not known"


def test_without_dated_starts_there_are_no_cohorts(facts_of: Make) -> None:
    here = facts_of()
    base(here, {"a": [(FIRST, None)]})
    assert measured(here) == {}


def test_what_is_stored_is_read_by_cohort(facts_of: Make) -> None:
    here = facts_of()
    with here.database.write() as connection:
        for _ in range(2):
            cohorts.store(connection, [("2026-01", "2026-01", 9, 8), ("2026-01", "2026-02", 9, 7)])
    with here.database.read() as connection:
        assert {c: [(r.month, r.active) for r in rows] for c, rows in cohorts.read(connection).items()} == {
            "2026-01": [("2026-01", 8), ("2026-02", 7)]
        }
