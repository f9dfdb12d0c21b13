"""Reasons and what-ifs: the same code as every score, told in words."""

from __future__ import annotations

from typing import Any

import pytest

from database.customers import customers
from gateway.query_cache import QueryCache
from gateway.services.scoring import reasons
from gateway.services.scoring.lookups import changed_facts, given_facts, live_schema, present_facts
from gateway.services.scoring.reasons import (
    facts_by_feature,
    in_words,
    risk_level,
    score,
    stored_reasons,
)
from shared.errors import InvalidInput, NoCustomers, NoModel, NotFound
from shared.schema.features import Schema, built_in_schema, schema_from_dict
from tests.world import World

SCHEMA = built_in_schema()
real_ml = pytest.mark.xdist_group("real ml service")


@pytest.mark.parametrize(
    ("probability", "level"),
    [(0.0, "Low"), (0.6, "Low"), (0.61, "Medium"), (0.8, "Medium"), (0.81, "High"), (1.0, "High")],
)
def test_risk_levels_have_their_documented_edges(probability: float, level: str) -> None:
    assert risk_level(probability) == level


@pytest.mark.parametrize(
    ("feature", "value", "points", "text"),
    [
        ("payment_failures", 3, 0.081, "Payment Failures 3 failures: +8.1 points"),
        ("watch_time_hours", 1234.5, -0.02, "Watch Time 1,234.5 hours: -2.0 points"),
        ("plan", "Basic Ads", 0.0, "Plan Basic Ads: +0.0 points"),
        ("last_login_days", None, 0.5, "Last Login unknown: +50.0 points"),
        ("payment_failures", 1, 0.081, "Payment Failures 1 failure: +8.1 points"),
        ("device_count", 0, -0.001, "Device Count 0 devices: -0.1 points"),
    ],
)
def test_a_reason_is_a_sentence(feature: str, value: Any, points: float, text: str) -> None:
    assert in_words(SCHEMA, feature, value, points)["text"] == text


def test_stored_reasons_are_those_that_exist_largest_first() -> None:
    row = {"watch_time_hours": 5.0, "plan": "Standard"}
    row |= {"reason_1": 0, "points_1": 0.2, "reason_2": 6, "points_2": -0.1, "reason_3": -1, "points_3": 0.0}
    assert [(r["feature"], r["points"]) for r in stored_reasons(SCHEMA, row)] == [
        ("watch_time_hours", 0.2),
        ("plan", -0.1),
    ]
    assert stored_reasons(SCHEMA, {f"reason_{k}": None for k in (1, 2, 3)}) == []


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_only_what_can_be_acted_on_can_be_changed() -> None:
    facts = {"watch_time_hours": 1.0, "tenure_months": 5}
    assert changed_facts(SCHEMA, facts, {"watch_time_hours": 2.0}) == {"watch_time_hours": 2.0, "tenure_months": 5}
    assert facts["watch_time_hours"] == 1.0
    with pytest.raises(InvalidInput) as caught:
        changed_facts(SCHEMA, facts, {"tenure_months": 6, "shoe_size": 43})
    assert [detail["field"] for detail in caught.value.details] == ["changes.tenure_months", "changes.shoe_size"]


def test_features_are_named_one_by_one_where_they_are_wrong() -> None:
    schema: Schema = schema_from_dict(
        {"features": {"x": {"kind": "number", "missing": False}, "y": {"kind": "category"}}}
    )
    assert given_facts(schema, {"x": 1}) == {"x": 1, "y": None}
    for features, field in (({"z": 1, "x": 1}, "features.z"), ({"y": "a"}, "features.x"), ({"x": None}, "features.x")):
        with pytest.raises(InvalidInput) as caught:
            given_facts(schema, features)
        assert caught.value.details[0]["field"] == field


@pytest.mark.parametrize(("value", "said"), [(False, "false"), (True, "true"), ("3", '"3"')])
def test_what_is_no_number_is_refused_by_the_name_of_its_feature(value: bool | str, said: str) -> None:
    for ask, field in (
        (lambda: given_facts(SCHEMA, {"payment_failures": value, "plan": "Standard"}), "features.payment_failures"),
        (lambda: changed_facts(SCHEMA, {}, {"payment_failures": value}), "changes.payment_failures"),
    ):
        with pytest.raises(InvalidInput, match=f"{said} was given, but payment_failures is a number") as caught:
            ask()
        assert [detail["field"] for detail in caught.value.details] == [field]


@pytest.mark.parametrize(
    ("value", "said"), [(-3, "-3 is negative, which failures can't be"), (1.5, "1.5 is not a whole number")]
)
def test_a_number_that_an_import_would_refuse_is_refused_of_a_single_score_too(value: float, said: str) -> None:
    for ask in (
        lambda: given_facts(SCHEMA, {"payment_failures": value, "plan": "Standard"}),
        lambda: changed_facts(SCHEMA, {}, {"payment_failures": value}),
    ):
        with pytest.raises(InvalidInput, match=said):
            ask()


def test_without_customers_or_a_model_it_says_what_to_do(world: World) -> None:
    with pytest.raises(NoCustomers, match="import a table"):
        live_schema(world.database, QueryCache(world.database))


# --- with the real ML service ----------------------------------------------------------------------------------------


def riskiest(world: World, limit: int = 12) -> list[dict[str, Any]]:
    with world.database.read() as connection:
        return list(customers.ranked(connection, SCHEMA, limit=limit))


@real_ml
def test_points_add_up_from_the_base_to_the_probability(demo_world: World) -> None:
    schema, version = live_schema(demo_world.database, QueryCache(demo_world.database))
    for row in riskiest(demo_world, 5):
        facts = facts_by_feature(schema, row)
        for shown, many in (("top", 3), ("all", len(schema.features)), ("none", 0)):
            answer = score(demo_world.ml, schema, version, [facts], as_of=None, reasons=shown)
            told = reasons.explain(schema, facts, answer)
            points = sum(reason["points"] for reason in told.reasons) + told.other_points
            assert told.churn_probability == pytest.approx(told.base_probability + points, abs=1e-9)
            assert len(told.reasons) == many


@real_ml
def test_a_present_score_is_what_asking_for_it_gives(demo_world: World) -> None:
    schema, version = live_schema(demo_world.database, QueryCache(demo_world.database))
    for row in riskiest(demo_world, 5):
        key, facts = present_facts(demo_world.database, schema, row["user_id"])
        answer = score(demo_world.ml, schema, version, [facts], as_of=None, row_key=key)
        assert answer.predictions[0].churn_probability == pytest.approx(row["churn_probability"], abs=1e-12)
        assert [r["feature"] for r in stored_reasons(schema, row)] == [
            r["feature"] for r in answer.predictions[0].reasons
        ]


@real_ml
def test_a_customer_that_is_not_there_is_not_found(demo_world: World) -> None:
    with pytest.raises(NotFound, match="Customer not found"):
        present_facts(demo_world.database, SCHEMA, "usr_0")


@real_ml
def test_a_base_without_a_live_model_says_to_train_one(demo_world: World) -> None:
    with demo_world.database.write() as connection:
        from sqlalchemy import delete

        from database.tables import tables

        connection.execute(delete(tables.model_timeline))
    with pytest.raises(NoModel, match="train one first"):
        live_schema(demo_world.database, QueryCache(demo_world.database))
