"""Movement of monthly revenue over REST."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select

from database.segments import movement
from database.tables import tables
from gateway.routes.segments.movement import NO_MONTHS
from gateway.services.importing.publish_import import refresh_figures
from tests.world import World


def asked(world: World, query: str = "") -> Any:
    return world.ask("GET", f"/api/dashboard/movement{query}").get_json()["data"]


def test_the_months_of_the_demo_join_and_add_up(
    make_world: Callable[..., World], demo_file: Any, demo_clock: Any
) -> None:
    world = make_world(demo_file, at=demo_clock)
    refresh_figures(world.work("score"))
    months = asked(world, "?limit=36")["months"]
    assert len(months) >= 10
    for each in months:
        parts = {name: each[name]["revenue"] for name in each if isinstance(each[name], dict)}
        came = parts["new"] + parts["returned"] + parts["expansion"]
        assert parts["start"] + came - parts["contraction"] - parts["churned"] == pytest.approx(parts["end"], abs=0.05)
        assert 0.8 < each["net_retention"] < 1
        assert each["net_retention"] == pytest.approx(1 - each["gross_churn"]), "no price changes in the simulation"
    for before, after in pairwise(months):
        assert after["start"] == before["end"]
    assert asked(world, "?limit=2")["months"] == months[-2:]


def test_amounts_are_null_where_a_price_is_not_known(world: World) -> None:
    day = "2026-06-30"
    row = {"user_id": "a", "churn": 0, "as_of": day, "created_at": day, "updated_at": day}
    with world.database.write() as connection:
        connection.execute(tables.customers.insert().values(row))
        key = connection.execute(select(tables.customers.c.id)).scalar_one()
        connection.execute(tables.subscriptions.insert().values(customer_id=key, started_at=day, known_at=day))
        movement.store(connection, [("2026-05", 1, 0.0, 1, 0.0, *([0] * 8))])
    found = asked(world)
    assert found["reason"] == "The monthly price of 1 of 1 customer is not known."
    assert (found["months"][0]["new"], found["months"][0]["net_retention"]) == ({"customers": 1, "revenue": None}, None)


def test_without_months_the_reason_is_told(world: World) -> None:
    assert asked(world) == {"months": [], "reason": NO_MONTHS}
