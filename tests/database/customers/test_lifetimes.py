"""The life table, against counts by hand."""

from __future__ import annotations

from collections.abc import Callable

from database.customers import lifetimes
from shared.lifetime import AtAge
from tests.database.facts import Facts

Make = Callable[..., Facts]


def table(here: Facts, today: str) -> lifetimes.LifeTable | None:
    with here.database.read() as connection:
        return lifetimes.life_table(connection, today)


def test_who_is_at_risk_when_a_month_begins_counts_by_age_and_so_do_the_ends_in_it(facts_of: Make) -> None:
    here = facts_of()
    here.snapshot("a", "2026-01-15")
    here.subscribe("a", "2025-11-20")  # still there
    here.subscribe("b", "2026-01-03", "2026-02-28")  # one month old when February begins, in which it ends
    here.subscribe("c", "2025-11-02", "2026-03-01")  # in February three, in March four months old, and then gone
    here.subscribe("d", "2026-02-10", "2026-02-20")  # at no month's beginning
    here.subscribe("e", "2025-10-01", "2026-01-31")  # gone before the first month that counts
    here.subscribe("f", "2026-01-20", "2026-04-02")  # its end is still to come
    found = table(here, "2026-03-31")
    assert found is not None
    assert (found.first_month, found.last_month) == ("2026-02", "2026-03")
    assert found.rows == [AtAge(0.5, 2, 1), AtAge(1.5, 1, 0), AtAge(2.5, 2, 0), AtAge(3.5, 2, 1)]
    assert found.ages == [1.5] * 3 + [3.5] * 7, "March began with f, and with a and c"


def test_a_month_whose_ends_are_not_all_known_is_left_out(facts_of: Make) -> None:
    here = facts_of()
    here.snapshot("a", "2026-01-01")
    here.subscribe("a", "2025-11-20")
    names = []
    for today in ("2026-01-30", "2026-01-31", "2026-02-27", "2026-02-28"):
        found = table(here, today)
        names.append(found and (found.first_month, found.last_month))
    assert names == [None, ("2026-01", "2026-01"), ("2026-01", "2026-01"), ("2026-01", "2026-02")]


def test_only_the_newest_twelve_months_count(facts_of: Make) -> None:
    here = facts_of()
    here.snapshot("a", "2023-01-01")
    here.subscribe("a", "2022-11-20")
    found = table(here, "2026-06-15")
    assert found is not None and (found.first_month, found.last_month) == ("2025-06", "2026-05")
    assert [row.at_risk for row in found.rows] == [1] * 12


def test_without_dated_starts_there_is_no_age(facts_of: Make) -> None:
    here = facts_of()
    assert table(here, "2026-06-30") is None
    here.snapshot("a", "2026-01-01")
    here.subscribe("a", "2026-01-01")  # as an import dates the start of whoever has none
    assert table(here, "2026-06-30") is None
