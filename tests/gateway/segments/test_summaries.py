"""Customers by group, against plain sums over the same customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from database.scoring import runs
from database.segments import group_churn
from database.tables import tables
from gateway.services.segments.summary import BY_RISK, FILTERED, NO_RUN
from shared.risk import risk_level
from shared.wilson import wilson
from tests.gateway.customers_conftest import BEFORE, DAY, Small, small

One = dict[str, Any]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    made = small(tmp_path_factory.mktemp("summaries"))
    with made.database.write() as connection:
        connection.execute(update(tables.models).values(report_json='{"training_period": 1, "horizon_days": 30}'))
        connection.execute(update(tables.customers).values(currency="USD"))
        rows = [(BEFORE, "2026-06-19", "plan", 0, "Standard", 40, 3), (BEFORE, "2026-06-19", "plan", 1, None, 10, 0)]
        group_churn.store(connection, rows)
    yield made
    made.database.close()


def band(months: int | None) -> str | None:
    return (
        None
        if months is None
        else "0 to 2 months"
        if months < 3
        else "3 to 5 months"
        if months < 6
        else "12 to 23 months"
    )


BY: dict[str, Callable[[One], Any]] = {
    "plan": lambda one: one["plan"],
    "risk": lambda one: None if one["probability"] is None else risk_level(one["probability"]),
    "=risky": lambda one: one["risky"],
    "risky": lambda one: one["risky"],
    "tenure_months": lambda one: band(one["tenure_months"]),
}


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(
    ("filters", "keeps"),
    [
        ("", lambda one: True),
        ("&min_probability=0.3", lambda one: one["probability"] is not None and one["probability"] >= 0.3),
        ("&plan=Standard&feature.last_login_days.max=3", lambda one: one["plan"] == "Standard" and (one["last_login_days"] or 99 if one["last_login_days"] != 0 else 0) <= 3),
    ],
)  # fmt: skip
def test_each_group_is_the_plain_sum_over_its_customers(
    base: Small, by: str, filters: str, keeps: Callable[[One], bool]
) -> None:
    groups: dict[Any, list[One]] = defaultdict(list)
    for one in base.people:
        if not one["left"] and keeps(one):
            groups[BY[by](one)].append(one)
    found = base.data("/api/segments/summary", query_string=f"by={by}{filters}")
    assert [each["value"] for each in found["groups"]] == [
        value
        for value, _ in sorted(groups.items(), key=lambda each: (-len(each[1]), each[0] is not None, each[0] or ""))
    ]
    for each in found["groups"]:
        members = groups[each["value"]]
        scored = [one for one in members if one["probability"] is not None]
        assert (each["customers"], each["scored"]) == (len(members), len(scored))
        expected = sum(one["probability"] for one in scored)
        assert each["expected_leavers"] == pytest.approx(expected)
        assert each["expected_rate"] == (pytest.approx(expected / len(scored)) if scored else None)
        is_priced = all(one["price"] is not None for one in members)
        total = sum(one["price"] for one in members) if is_priced else None
        assert each["monthly_revenue"] == (None if total is None else pytest.approx(total))
        assert is_priced == (each["reason"] is None) or not scored
        if is_priced and scored:
            at_risk = sum(one["price"] * one["probability"] for one in scored)
            assert each["revenue_at_risk"] == pytest.approx(at_risk)
            assert each["value_at_risk"] > at_risk


def test_the_churn_rate_is_of_a_past_period_with_its_interval(base: Small) -> None:
    found = base.data("/api/segments/summary?by=plan")
    assert found["churn_period"] == {"start": BEFORE, "end": "2026-06-19"}
    churn = {each["value"]: each["churn"] for each in found["groups"]}
    assert churn["Standard"] == {"customers": 40, "left": 3, "rate": 0.075, "interval": pytest.approx(wilson(3, 40))}
    assert churn[None]["rate"] == 0.0
    assert churn["Basic Ads"] is None
    assert found["as_of"] == DAY


@pytest.mark.parametrize(("query", "reason"), [("?by=plan&risk=High", FILTERED), ("?by=risk", BY_RISK)])
def test_where_churn_can_not_be_told_the_reason_is(base: Small, query: str, reason: str) -> None:
    found = base.data(f"/api/segments/summary{query}")
    assert (found["churn_period"], found["churn_reason"]) == (None, reason)
    assert all(each["churn"] is None for each in found["groups"])


@pytest.mark.parametrize(
    ("query", "field"),
    [("by=last_login_days", "by"), ("by=nothing", "by"), ("churned=true", "churned"), ("by=plan&colour=red", "colour"),
     ("months=3", "months")],
)  # fmt: skip
def test_what_can_not_be_grouped_is_refused_by_name(base: Small, query: str, field: str) -> None:
    assert base.problems(f"/api/segments/summary?{query}") == {field}


def test_before_the_first_run_groups_have_customers_and_no_expectation(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = small(tmp_path_factory.mktemp("unscored"), 12)
    with made.database.write() as connection:
        connection.execute(tables.published_run.delete())
        assert runs.published(connection) is None
        present = len(connection.execute(select(tables.customers.c.id).where(tables.customers.c.churn == 0)).all())
    found = made.data("/api/segments/summary")["groups"]
    assert sum(each["customers"] for each in found) == present
    assert {(each["scored"], each["expected_leavers"]) for each in found} == {(0, None)}
    assert any(each["reason"] == NO_RUN for each in found)
    made.database.close()


def test_an_empty_database_says_so(world: Any) -> None:
    assert world.ask("GET", "/api/segments/summary").status_code == 409
