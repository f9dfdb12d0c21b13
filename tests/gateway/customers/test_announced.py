"""Announced ends: what the columns of a base say, and nothing more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from database.customers import customer_base
from database.customers.customer_base import column_names, customers_table
from database.tables import tables
from shared.clock import days_later
from shared.schema.features import schema_from_dict
from tests.gateway.importing.test_import_file import bring, write
from tests.world import World

TODAY = "2026-06-30"
SCHEMA = schema_from_dict(
    {
        "features": {
            "Auto Renew": {"kind": "category"},
            "contract_months_left": {"kind": "number", "unit": "months"},
            "plan": {"kind": "category"},
        },
        "subscription": {"auto_renew": "Auto Renew", "contract_end": "contract_months_left"},
    }
)
#: user_id, end, auto-renew, months of the contract left, price
PEOPLE = (
    ("a", days_later(TODAY, 1), "no", 1, 10.0),
    ("b", days_later(TODAY, 30), None, None, 20.0),
    ("c", days_later(TODAY, 61), None, None, 5.0),
    ("d", days_later(TODAY, 400), None, None, 7.0),
    ("e", None, "No", 1, 3.0),
    ("f", None, "yes", 2, None),
    ("g", None, None, None, 9.0),
    ("h", days_later(TODAY, -1), "yes", 0, 9.0),
)


@pytest.fixture
def base(make_world: Callable[..., World]) -> World:
    return filled(make_world(), SCHEMA)


def filled(world: World, schema: Any) -> World:
    names, wide = column_names(schema), customers_table(schema)
    with world.database.write() as connection:
        customer_base.adopt(connection, schema, is_demo=False, clock=world.clock)
        same = {"churn": 0, "as_of": TODAY, "created_at": TODAY, "updated_at": TODAY, "currency": "EUR"}
        for key, (user_id, end, renews, months, price) in enumerate(PEOPLE, 1):
            values = (renews, months, "P")
            own = {names[f]: value for f, value in zip(SCHEMA.features, values, strict=True) if f in names}
            row = {"id": key, "user_id": user_id, "ends_on": end, "monthly_price": price, **same, **own}
            connection.execute(insert(wide).values(row))
        subscription = {"customer_id": 1, "started_at": "2025-01-01", "cancelled_at": "2026-06-20", "known_at": TODAY}
        connection.execute(
            insert(tables.subscriptions).values(**subscription, ended_at=PEOPLE[0][1], end_reason="price")
        )
    return world


def asked(world: World, query: str = "") -> Any:
    answer = world.ask("GET", f"/api/customers/announced{query}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["data"]


def test_who_cancelled_and_still_runs_is_counted_by_days_with_what_they_pay(base: World) -> None:
    found = asked(base)
    assert [(each["days"], each["customers"], each["monthly_revenue"]) for each in found["counts"]] == [
        (30, 2, 30.0), (60, 0, 0.0), (90, 1, 5.0), (None, 1, 7.0),
    ]  # fmt: skip
    assert [(each["user_id"], each["days_left"]) for each in found["customers"]] == [
        ("a", 1),
        ("b", 30),
        ("c", 61),
        ("d", 400),
    ]
    first = found["customers"][0]
    assert (first["cancelled_at"], first["end_reason"], first["ends_on"]) == ("2026-06-20", "price", "2026-07-01")
    assert [each["user_id"] for each in asked(base, "?within_days=30")["customers"]] == ["a", "b"]


def test_pages_follow_each_other(base: World) -> None:
    found, after = [], ""
    while after is not None:
        page = asked(base, f"?limit=1{after}")
        found += [each["user_id"] for each in page["customers"]]
        after = f"&after={page['next']}" if page["next"] else None
    assert found == ["a", "b", "c", "d"]
    assert base.ask("GET", "/api/customers/announced?after=x~1").status_code == 422


def test_auto_renew_that_is_off_is_told_by_a_feature(base: World) -> None:
    found = asked(base, "?kind=auto_renew_off")
    assert found["feature"] == "Auto Renew"
    assert [(each["user_id"], each["days_left"]) for each in found["customers"]] == [("e", None)], "a has cancelled"
    assert found["counts"] == [{"days": None, "customers": 1, "monthly_revenue": 3.0}]


def test_contracts_that_end_are_told_by_a_feature_in_months(base: World) -> None:
    found = asked(base, "?kind=contract_ends&within_days=90")
    assert [(each["user_id"], round(each["days_left"])) for each in found["customers"]] == [("e", 30), ("f", 61)]
    assert [(each["days"], each["monthly_revenue"]) for each in found["counts"]] == [
        (30, 0.0), (60, 3.0), (90, None), (None, 0.0),
    ], "the price of f is not known"  # fmt: skip


@pytest.mark.parametrize("kind", ["auto_renew_off", "contract_ends"])
def test_a_base_without_such_a_column_says_so(make_world: Callable[..., World], kind: str) -> None:
    world = filled(make_world(), schema_from_dict({"features": {"plan": {"kind": "category"}}}))
    found = asked(world, f"?kind={kind}")
    assert (found["counts"], found["customers"]) == ([], [])
    assert f"set {'auto_renew' if kind == 'auto_renew_off' else 'contract_end'} under [subscription]" in found["reason"]


def test_the_day_on_which_a_contract_ends_is_read_from_its_column_and_exported(world: World, tmp_path: Path) -> None:
    schema = schema_from_dict(
        {"id": "id", "features": {"x": {"kind": "number"}}, "subscription": {"contract_end": "until"}}
    )
    days = [days_later(TODAY, 10), days_later(TODAY, 400), "", days_later(TODAY, -1)]
    bring(world, write(tmp_path, "a.csv", [f"{who},1,{day}" for who, day in enumerate(days)], "id,x,until"), schema)
    found = asked(world, "?kind=contract_ends&within_days=30")
    assert (found["feature"], [(each["user_id"], each["days_left"]) for each in found["customers"]]) == (
        "until", [("0", 10)],
    )  # fmt: skip
    assert [each["customers"] for each in found["counts"]] == [1, 0, 0, 1]
    exported = world.ask("GET", "/api/customers/export?content=customers").get_data(as_text=True)
    assert f"0,1.0,{days[0]}" in exported or f"0,1,{days[0]}" in exported
    world.ask("PATCH", "/api/schema", role="admin", json={"schema": 'id = "id"\n[features.x]\nkind = "number"\n'})
    assert "set contract_end" in asked(world, "?kind=contract_ends")["reason"]


def test_an_empty_database_says_so(world: World) -> None:
    assert "import a table first" in asked(world)["reason"]


def test_prices_in_several_currencies_are_not_added_up(base: World) -> None:
    c = tables.customers
    with base.database.write() as connection:
        connection.execute(update(c).where(c.c.user_id == "b").values(currency="USD"))
    assert [each["monthly_revenue"] for each in asked(base)["counts"]] == [None, 0.0, 5.0, 7.0]
