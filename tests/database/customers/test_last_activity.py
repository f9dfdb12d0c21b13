"""The words for days since the last login: one rule in Python and in SQL."""

from __future__ import annotations

from contextlib import closing

import pytest
from sqlalchemy import Float, create_engine, literal, select

from database.customers.last_activity import last_activity, last_activity_sql


@pytest.mark.parametrize("days", [None, 0, 1, 2, 12, 400, 0.0, 0.9, 1.0, 1.99, 12.5, -0.5, -1.0])
def test_python_and_sql_say_the_same(days: float | None) -> None:
    given = select(literal(days, Float).label("days")).subquery()
    with closing(create_engine("sqlite://").connect()) as connection:
        told = connection.execute(select(last_activity_sql(given.c.days))).scalar_one()
    assert told == last_activity(days)


def test_the_words_are_those_of_the_old_backend() -> None:
    assert [last_activity(days) for days in (0, 1, 2, 12.0, None)] == [
        "Today", "Yesterday", "2 days ago", "12 days ago", None,
    ]  # fmt: skip
