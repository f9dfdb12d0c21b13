"""Labels and populations, case by case as docs/definitions.md#churn-label tells them. Each is seen from 1 March 2026."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from database.customers import facts
from shared.clock import days_later
from tests.database.facts import Facts, plain_schema

T = "2026-03-01"
LAST_DAY = days_later(T, 30)
Make = Callable[..., Facts]


def labels(here: Facts, day: str = T) -> dict[int, int]:
    with here.database.read() as connection:
        rows = facts.training_rows(connection, here.schema, day)
    assert len(rows) == len({row[0] for row in rows}), "one row per customer"
    return {row[0]: row[1] for row in rows}


def outcomes(here: Facts, day: str = T) -> dict[int, int]:
    with here.database.read() as connection:
        return facts.outcomes_at(connection, day)


@pytest.mark.parametrize(
    ("end", "label"),
    [
        (None, 0),
        (days_later(T, 1), 1),
        (days_later(T, 29), 1),
        (LAST_DAY, 1),
        (days_later(T, 31), 0),
        (days_later(T, 400), 0),
    ],
)
def test_an_end_counts_within_thirty_days_and_the_thirtieth_is_one_of_them(
    facts_of: Make, end: str | None, label: int
) -> None:
    here = facts_of()
    key = here.subscribe("a", "2025-01-01", end)
    here.snapshot("a", T)
    assert labels(here) == {key: label} == outcomes(here)


@pytest.mark.parametrize("end", ["2026-02-01", T])
def test_who_has_ended_by_the_day_itself_is_not_in_the_population(facts_of: Make, end: str) -> None:
    here = facts_of()
    here.subscribe("a", "2025-01-01", end)
    here.snapshot("a", T)
    assert labels(here) == {} == outcomes(here)


@pytest.mark.parametrize(("start", "is_in"), [(T, True), (days_later(T, 1), False)])
def test_who_starts_on_the_day_is_in_and_who_starts_the_day_after_is_not(
    facts_of: Make, start: str, is_in: bool
) -> None:
    here = facts_of()
    here.subscribe("a", start)
    here.snapshot("a", T)
    assert bool(labels(here)) is is_in


@pytest.mark.parametrize(
    ("back", "label"),
    [("2026-03-11", 0), (days_later("2026-03-11", 30), 0), (days_later("2026-03-11", 31), 1), (None, 1)],
)
def test_who_comes_back_within_the_grace_gap_has_not_left(facts_of: Make, back: str | None, label: int) -> None:
    here = facts_of()
    key = here.subscribe("a", "2025-01-01", "2026-03-11")
    if back is not None:
        here.subscribe("a", back)
    here.snapshot("a", T)
    assert labels(here) == {key: label} == outcomes(here)


def test_somebody_elses_new_subscription_saves_nobody(facts_of: Make) -> None:
    here = facts_of()
    key = here.subscribe("a", "2025-01-01", "2026-03-11")
    here.subscribe("b", "2026-03-12")
    here.snapshot("a", T)
    assert labels(here) == {key: 1}


@pytest.mark.parametrize(
    ("cancelled", "is_in"), [("2026-02-20", False), (T, False), (days_later(T, 1), True), (None, True)]
)
def test_who_has_cancelled_by_the_day_is_certain_and_left_out(
    facts_of: Make, cancelled: str | None, is_in: bool
) -> None:
    here = facts_of()
    key = here.subscribe("a", "2025-01-01", "2026-03-15", cancelled=cancelled)
    here.snapshot("a", T)
    assert labels(here) == ({key: 1} if is_in else {})


def test_a_second_life_is_judged_by_itself(facts_of: Make) -> None:
    here = facts_of()
    key = here.subscribe("a", "2024-01-01", "2025-01-01")
    here.subscribe("a", "2026-01-01", "2026-03-05")
    here.snapshot("a", T)
    assert labels(here) == {key: 1} == outcomes(here)


def test_a_customer_with_two_subscriptions_at_once_is_one_row_and_stays_while_one_of_them_does(facts_of: Make) -> None:
    here = facts_of()
    key = here.subscribe("a", "2025-01-01", "2026-03-10")
    here.subscribe("a", "2026-02-15")
    here.snapshot("a", T)
    assert labels(here) == {key: 0} == outcomes(here)


def test_a_new_subscription_that_begins_before_the_old_one_ends_is_no_departure(facts_of: Make) -> None:
    here = facts_of()
    key = here.subscribe("a", "2025-01-01", "2026-03-10")
    here.subscribe("a", "2026-03-05")
    here.snapshot("a", T)
    assert labels(here) == {key: 0} == outcomes(here)


def test_a_customer_whose_two_subscriptions_both_end_has_left(facts_of: Make) -> None:
    here = facts_of()
    key = here.subscribe("a", "2025-01-01", "2026-03-10")
    here.subscribe("a", "2026-02-15", "2026-03-20")
    here.snapshot("a", T)
    assert labels(here) == {key: 1} == outcomes(here)


def test_without_a_snapshot_of_the_day_there_is_no_row(facts_of: Make) -> None:
    here = facts_of()
    here.subscribe("a", "2025-01-01")
    here.snapshot("a", "2026-02-28")
    assert labels(here) == {}


def test_a_correction_known_in_time_is_used_and_a_later_one_is_not(facts_of: Make) -> None:
    here = facts_of()
    here.subscribe("a", "2025-01-01")
    here.snapshot("a", T, [1.0])
    here.snapshot("a", T, [2.0], known=T)
    here.snapshot("a", T, [3.0], known=days_later(T, 1))
    with here.database.read() as connection:
        (trained,) = facts.training_rows(connection, here.schema, T)
        (scored,) = connection.execute(facts.to_score(here.schema, T, after_id=0, limit=9)).all()
    assert (trained[2], scored[2]) == (2.0, 2.0)


def test_a_fact_that_became_known_later_leaves_the_day_empty(facts_of: Make) -> None:
    here = facts_of()
    here.subscribe("a", "2025-01-01")
    here.snapshot("a", T, [1.0], known=days_later(T, 1))
    assert labels(here) == {}


def test_an_empty_base_has_no_dates_and_no_lifetimes(facts_of: Make) -> None:
    here = facts_of()
    with here.database.read() as connection:
        assert facts.last_date(connection) is None
        assert facts.first_start(connection) is None
        assert not facts.has_subscriptions(connection)


def test_given_labels_are_each_customers_newest_where_the_table_has_no_dates(facts_of: Make) -> None:
    here = facts_of()
    here.snapshot("a", "2026-01-01", [1.0], label=0)
    here.snapshot("a", "2026-02-01", [2.0], label=1)
    here.snapshot("b", "2026-01-01", [3.0], label=0)
    here.snapshot("c", "2026-01-01", [4.0])
    assert given(here) == [("b", 0, 3.0), ("a", 1, 2.0)]


def given(here: Facts) -> list[tuple[Any, ...]]:
    names = {here.customer(name): name for name in ("a", "b", "c")}
    with here.database.read() as connection:
        rows = facts.given_label_rows(connection, here.schema)
    return [(names[row[0]], row[2], row[3]) for row in rows]


def test_given_labels_of_a_dated_table_are_one_per_customer_and_date(facts_of: Make) -> None:
    here = facts_of(plain_schema("x", as_of="day"))
    here.snapshot("a", "2026-01-01", [1.0], label=0)
    here.snapshot("a", "2026-02-01", [2.0], label=1)
    assert given(here) == [("a", 0, 1.0), ("a", 1, 2.0)]


def test_a_corrected_row_of_a_dated_table_counts_once_with_its_newest_label(facts_of: Make) -> None:
    here = facts_of(plain_schema("x", as_of="day"))
    here.snapshot("a", "2026-01-01", [1.0], label=0)
    here.snapshot("a", "2026-01-01", [1.0], label=1, known="2026-04-01")
    assert [(name, label) for name, label, _ in given(here)] == [("a", 1)]
