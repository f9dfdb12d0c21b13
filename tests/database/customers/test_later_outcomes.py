"""Outcomes of a row after its 30 days: by horizon, each with its own maturity, and by cause. T is 1 March 2026."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update

from database.customers import facts, later_outcomes, maturity
from database.customers.later_outcomes import LaterOutcomes
from database.tables import tables
from shared.clock import days_later
from shared.contracts.outlook import LATER_HORIZONS
from tests.database.facts import Facts, plain_schema

T = "2026-03-01"
Make = Callable[..., Facts]


def read(here: Facts, today: str = "2027-12-31") -> LaterOutcomes:
    with here.database.read() as connection:
        return later_outcomes.read(connection, here.schema, maturity.matured(connection, today), today)


def by_horizon(here: Facts, key: int) -> list[int | None]:
    with here.database.read() as connection:
        labels = [row[1] for row in facts.training_rows(connection, here.schema, T) if row[0] == key]
    return [read(here).left_within(T, [key], labels, days)[0] for days in LATER_HORIZONS]


def with_reason(here: Facts, key: int, reason: str | None) -> None:
    with here.database.write() as connection:
        query = update(tables.subscriptions).where(tables.subscriptions.c.customer_id == key)
        connection.execute(query.values(end_reason=reason))


@pytest.mark.parametrize(
    ("known", "expected"),
    [(89, [None, None, None]), (90, [0, None, None]), (120, [0, 1, None]), (210, [0, 1, 1])],
)
def test_each_horizon_is_known_once_its_days_and_the_grace_gap_are_over(
    facts_of: Make, known: int, expected: list[int | None]
) -> None:
    here = facts_of()
    key = here.subscribe("a", "2025-01-01", days_later(T, 75))
    here.snapshot("a", T)
    here.known(days_later(T, known))
    assert by_horizon(here, key) == expected


@pytest.mark.parametrize(("back", "expected"), [(65, [0, 0, 0]), (95, [1, 1, 1])])
def test_who_is_back_within_the_grace_gap_has_not_left_within_any_horizon(
    facts_of: Make, back: int, expected: list[int]
) -> None:
    here = facts_of()
    key = here.subscribe("a", "2025-01-01", days_later(T, 40))
    here.subscribe("a", days_later(T, back))
    here.snapshot("a", T)
    here.known(days_later(T, 300))
    assert by_horizon(here, key) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("Payment failed", 1), ("involuntary", 1), ("card-expired", 1), ("price", 0), (None, None), ("absent", None)],
)
def test_the_schema_says_which_reasons_are_involuntary(
    facts_of: Make, reason: str | None, expected: int | None
) -> None:
    here = facts_of(plain_schema(involuntary_reasons=["payment_failed", "Involuntary", "card expired"]))
    key = here.subscribe("a", "2025-01-01", days_later(T, 10))
    with_reason(here, key, reason)
    here.snapshot("a", T)
    here.known(days_later(T, 60))
    found = read(here)
    assert found.left_involuntarily(T, [key], [1]) == [expected]
    assert found.left_involuntarily(T, [key], [0]) == [None], "who stayed has no cause"


def test_ends_dated_by_absence_need_a_full_snapshot_near_the_end_of_each_horizon(facts_of: Make) -> None:
    here = facts_of()
    for at in (0, 31, 61, 101, 300):
        here.known(days_later(T, at), "full")
    here.snapshot("a", T)
    assert {days: T in dates for days, dates in read(here).matured.items()} == {60: True, 90: False, 180: False}
