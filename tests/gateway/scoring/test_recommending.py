"""Recommended actions: their order, and doses that others like the customer have; through the route, with a real model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import update

from database.customers import customers
from database.customers.customer_base import customers_table
from database.engine import kept_figures
from database.engine.session import Database
from database.tables import tables
from database.tables.tables import users
from gateway.query_cache import QueryCache
from gateway.services.scoring import others as comparing
from gateway.services.scoring.others import Others, others
from gateway.services.scoring.reasons import ESTIMATE
from gateway.services.scoring.recommending import Dose, better_is_up, dose
from shared.contracts.api import Cell
from shared.schema.features import Feature, built_in_schema, load_schema, schema_from_dict
from tests.stack import ROOT
from tests.world import World

SCHEMA = built_in_schema()


def of_numbers(values: Sequence[float | None], value: Cell, **about: Any) -> Dose | None:
    """The dose of a customer among all customers with these values."""
    schema = schema_from_dict({"features": {"x": {"kind": "number", "actionable": True, **about}}})
    return dose(schema, "x", {"x": value}, Others(schema, ["x"], [(each,) for each in values]))


def target(values: Sequence[float | None], value: Cell, **about: Any) -> Cell:
    found = of_numbers(values, value, **about)
    return None if found is None else found.value


HUNDRED = list(range(1, 101))


@pytest.mark.parametrize(("value", "expected"), [(0, 25), (20, 45), (50, 75), (70, 90), (75, None), (200, None)])
def test_a_dose_is_the_value_of_who_stands_a_quarter_of_the_others_ahead(value: int, expected: Cell) -> None:
    assert target(HUNDRED, value, direction="down") == expected
    mirrored = target([-each for each in HUNDRED], -value, direction="up")
    assert mirrored == (None if expected is None else -float(str(expected)))


@pytest.mark.parametrize(
    ("about", "value", "expected", "bound"),
    [
        ({"direction": "down"}, 20, 45, None),
        ({"direction": "down", "step": 10}, 20, 30, "step"),
        ({"direction": "down", "step": 40}, 20, 45, None),
        ({"direction": "down", "target": 33}, 20, 33, "target"),
        ({"direction": "down", "target": 33, "step": 5}, 20, 25, "step"),
        ({"direction": "up", "step": -10}, 80, 70, "step"),
        ({"direction": "up", "target": 70}, 80, 70, "target"),
        ({"direction": "up", "target": 1}, 81, 56, None),
    ],
)
def test_step_and_target_of_the_schema_bound_the_dose(
    about: dict[str, Any], value: int, expected: float, bound: str | None
) -> None:
    found = of_numbers(HUNDRED, value, **about)
    assert found is not None
    assert (found.value, found.bounded_by) == (expected, bound)


@pytest.mark.parametrize(
    ("value", "about"),
    [
        (None, {"direction": "down"}),
        (5, {"direction": "down", "actionable": False}),
        (5, {}),
        (5, {"direction": "down", "target": 4}),
        (5, {"direction": "down", "step": 0.4, "whole": True}),
    ],
)
def test_nothing_is_aimed_at_where_nothing_is_known_or_better(value: Cell, about: dict[str, Any]) -> None:
    assert target(HUNDRED, value, **about) is None


def test_a_fact_of_whole_numbers_gets_whole_doses_and_others_three_digits() -> None:
    assert target(HUNDRED, 5, step=2.5, whole=True) == 7
    assert target([each * 1.23456 for each in HUNDRED], 0.0, direction="down") == 30.9


@pytest.mark.parametrize(
    ("about", "is_up"),
    [
        ({"direction": "down", "step": -3}, True),
        ({"direction": "up", "step": 3}, False),
        ({"step": 3}, True),
        ({"step": -3}, False),
        ({"target": 3}, False),
        ({}, None),
    ],
)
def test_the_models_direction_says_what_is_better_else_the_step(about: dict[str, Any], is_up: bool | None) -> None:
    assert better_is_up(Feature.model_validate({"kind": "number", **about})) is is_up


def test_a_category_is_aimed_at_where_others_of_the_same_plan_have_it() -> None:
    telco = load_schema(ROOT / "examples" / "telco.toml")
    names = ["TechSupport", "Contract"]
    rows = [("Yes" if k < 30 else "No", "One year") for k in range(120)] + [("No", "Two year")] * 110
    compared = Others(telco, names, rows)

    def of(feature: str, **facts: str) -> Dose | None:
        return dose(telco, feature, facts, compared)

    found = of("TechSupport", TechSupport="No", Contract="One year")
    assert found is not None
    assert (found.value, found.share, found.alike.plan) == ("Yes", 0.25, "One year")
    assert of("TechSupport", TechSupport="Yes", Contract="One year") is None
    assert of("TechSupport", TechSupport="No", Contract="Two year") is None, "nobody with this contract has it"
    contract = of("Contract", TechSupport="No", Contract="Month-to-month")
    assert contract is not None
    assert (contract.value, contract.alike.plan) == ("One year", None), "the plan itself is compared with all"


def test_customers_of_a_rare_plan_or_of_none_are_compared_with_all() -> None:
    schema = schema_from_dict(
        {"features": {"x": {"kind": "number", "actionable": True, "step": 99}, "plan": {"kind": "category"}}}
    )
    rows = [(each, "many") for each in HUNDRED] + [(1000, "few")] * 99 + [(None, "few")]
    compared = Others(schema, ["x", "plan"], rows)
    plans = [compared.like({"x": 1, "plan": plan}, "x").plan for plan in ("many", "few", "unheard of", None)]
    assert plans == ["many", None, None, None], "99 with a known value are too few"


# --- through the route, with the real ML service --------------------------------------------------------------------


def asked(world: World, user_id: str) -> dict[str, Any]:
    answer = world.ask("GET", f"/api/customers/{user_id}/actions")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json()["data"])


def riskiest(world: World, limit: int) -> list[Mapping[str, Any]]:
    with world.database.read() as connection:
        return list(customers.ranked(connection, SCHEMA, limit=limit))


def better(feature: str, value: float, than: float) -> bool:
    return value >= than if better_is_up(SCHEMA.features[feature]) else value <= than


def test_actions_come_by_the_points_of_their_reasons_with_the_score_that_a_what_if_gives(demo_world: World) -> None:
    seen = 0
    for row in riskiest(demo_world, 12):
        told = asked(demo_world, row["user_id"])
        points = {each["feature"]: each["points"] for each in told["score"]["reasons"]}
        found = [each["points"] for each in told["actions"]]
        assert found == sorted(found, reverse=True)
        assert all(each > 0 for each in found)
        for each in told["actions"]:
            assert SCHEMA.features[each["feature"]].actionable
            assert each["points"] == points[each["feature"]]
            assert each["note"] == ESTIMATE
            body = {"customer_id": row["user_id"], "changes": {each["feature"]: each["target"]}}
            again = demo_world.ask("POST", "/api/predictions/what-if", json=body).get_json()["data"]
            assert again["score_if_changed"] == again["after"]["churn_probability"]
            assert each["score_if_changed"] == pytest.approx(again["score_if_changed"], abs=1e-12)
            assert each["difference"] == pytest.approx(again["difference"], abs=1e-12)
            assert each["difference"] < 0
            assert each["difference"] == each["score_if_changed"] - told["score"]["churn_probability"]
            seen += 1
    assert seen > 12


def test_doses_differ_and_are_values_that_the_said_share_of_others_of_the_plan_have(demo_world: World) -> None:
    everybody = riskiest(demo_world, 10_000)
    targets = set()
    for row in everybody[:25]:
        for each in asked(demo_world, row["user_id"])["actions"]:
            name, compared = each["feature"], each["dose"]
            alike = [other[name] for other in everybody if compared["plan"] in (None, other["plan"])]
            known = [value for value in alike if value is not None]
            assert compared["plan"] in (None, row["plan"])
            assert compared["customers"] == len(known)
            assert compared["share"] == sum(better(name, value, each["target"]) for value in known) / len(known)
            assert f"{compared['share']:.0%}".replace("%", " %") in compared["text"]
            assert (compared["plan"] or "all customers") in compared["text"]
            assert better(name, each["target"], each["value"]) and each["target"] != each["value"]
            if name == "watch_time_hours":
                targets.add(each["target"] - each["value"])
    assert len(targets) > 3, "not one step for all"


def test_who_has_left_is_not_compared_and_a_large_base_is_sampled(
    demo_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compared(database: Database) -> int:
        return others(database, QueryCache(database), SCHEMA).like({"plan": None}, "device_count").known("device_count")

    present = compared(demo_world.database)
    monkeypatch.setattr(comparing, "MOST", 200)
    assert 80 < compared(demo_world.database) < 220 < present
    monkeypatch.undo()
    with demo_world.database.write() as connection:
        connection.execute(update(tables.customers).where(tables.customers.c.id % 2 == 0).values(churn=1))
    assert present / 3 < compared(demo_world.database) < present * 2 / 3


def test_others_are_read_once_for_all_customers_until_customers_change(
    demo_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    real = comparing.facts_of_many
    monkeypatch.setattr(comparing, "facts_of_many", lambda *a, **k: reads.append(1) or real(*a, **k))
    people = [row["user_id"] for row in riskiest(demo_world, 3)]
    for user_id in people:
        asked(demo_world, user_id)
    assert len(reads) == 1
    with demo_world.database.write() as connection:
        connection.execute(update(users).values(name="somebody"))
    asked(demo_world, people[0])
    assert len(reads) == 1
    with demo_world.database.write() as connection:
        connection.execute(update(customers_table(SCHEMA)).values(device_count=1))
        kept_figures.changed(connection)
    found = asked(demo_world, people[0])["actions"]
    assert len(reads) == 2
    assert "device_count" not in {each["feature"] for each in found}, "nobody has more than one device any more"
