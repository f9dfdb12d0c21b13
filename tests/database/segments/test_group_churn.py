"""Churn by group: the group of the first day, as known on it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from database.segments import group_churn
from database.segments.group_churn import Group
from shared.clock import days_later
from shared.schema.features import schema_from_dict
from tests.database.facts import Facts

Make = Callable[..., Facts]
START, END, BEFORE = "2026-05-31", "2026-06-30", "2026-05-01"
SCHEMA = schema_from_dict(
    {"features": {"plan": {"kind": "category"}, "tenure_months": {"kind": "number", "whole": True}}}
)


def periods(here: Facts, feature: str = "plan") -> list[group_churn.GroupPeriod]:
    with here.database.write() as connection:
        group_churn.store(connection, group_churn.measure(connection, here.schema))
        return group_churn.read(connection, feature)


def test_who_left_counts_in_the_group_of_the_first_day(facts_of: Make) -> None:
    here = facts_of(SCHEMA)
    for name, plan, end in (("a", "A", "2026-06-10"), ("b", "A", None), ("c", "B", None), ("d", None, END)):
        here.subscribe(name, "2025-01-01", end)
        here.snapshot(name, START, (plan, 5))
    here.snapshot("b", END, ("B", 6))  # changed plan later
    here.snapshot("c", START, ("A", 5), known="2026-07-02")  # corrected later
    here.known(END)
    (found,) = periods(here)
    assert (found.start, found.end) == (START, END)
    assert found.groups == [Group("A", 2, 1), Group("B", 1, 0), Group(None, 1, 1)]
    assert periods(here, "tenure_months")[0].groups == [Group("3 to 5 months", 4, 2)]
    assert periods(here, "no such feature") == []


def test_groups_agree_with_a_recount_of_every_customer(facts_of: Make) -> None:
    here, rng = facts_of(SCHEMA), random.Random(2)
    expected: dict[str, dict[str | None, Counter[str]]] = {BEFORE: {}, START: {}}
    for number in range(120):
        name, at, lives = f"c{number}", rng.randrange(-200, 40), []
        for _ in range(rng.randrange(1, 3)):
            length = rng.randrange(20, 220)
            end = None if rng.random() < 0.4 else days_later(BEFORE, at + length)
            lives.append((days_later(BEFORE, at), end))
            here.subscribe(name, *lives[-1])
            if end is None:
                break
            at += length + rng.randrange(1, 20)
        for day, groups in expected.items():
            plan, later = rng.choice(("A", "B", None)), days_later(day, 30)
            here.snapshot(name, day, (plan, 1))

            def active(on: str, lives: list[tuple[str, str | None]] = lives) -> bool:
                return any(start <= on and (end is None or end > on) for start, end in lives)

            if active(day):
                groups.setdefault(plan, Counter()).update({"customers": 1, "left": int(not active(later))})
    here.snapshot("c0", END, ("A", 1))
    here.known(END)
    found = periods(here)
    assert [period.start for period in found] == [START, BEFORE]
    for period in found:
        counted = {g.value: {"customers": g.customers, "left": g.left} for g in period.groups}
        assert counted == expected[period.start]
        assert sum(g.left for g in period.groups) > 3


def test_nothing_is_counted_until_the_thirty_days_are_known(facts_of: Make) -> None:
    here = facts_of(SCHEMA)
    here.subscribe("a", "2025-01-01")
    here.snapshot("a", START, ("A", 5))
    here.snapshot("a", END, ("A", 6))
    here.known("2026-06-29")
    assert periods(here) == []


def test_tenure_falls_into_bands(facts_of: Make) -> None:
    here = facts_of(SCHEMA)
    for months in (0, 2, 3, 35, 36, None):
        here.subscribe(f"c{months}", "2025-01-01")
        here.snapshot(f"c{months}", START, ("A", months))
    here.snapshot("c0", END, ("A", 1))
    here.known(END)
    assert {g.value: g.customers for g in periods(here, "tenure_months")[0].groups} == {
        "0 to 2 months": 2, "3 to 5 months": 1, "24 to 35 months": 1, "36 months and more": 1, None: 1,
    }  # fmt: skip
