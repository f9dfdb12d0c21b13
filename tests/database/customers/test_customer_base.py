"""The customer base: its feature columns come with it and go with it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, inspect, select

from database.customers import customer_base, customers, facts
from database.engine.session import Database
from database.tables import tables
from shared.schema.features import MAX_FEATURES, Schema, built_in_schema, schema_from_dict
from tests.database.facts import Facts, clock, plain_schema

NARROW = {name: {c.name for c in tables.metadata.tables[name].columns} for name in ("customers", "customer_snapshots")}
RESERVED = ("email", "id", "label", "as_of", "user_id", "known_at", "import_id", "churn", "customer_id", "ends_on")
ODD = (
    *RESERVED, "Email", "E-mail", "watch time", "Watch Time", "watchTime", "watch_time", "größe", "grösse", "年齢", "年",
    "2nd line", "select", 'quote"d', "semi;colon", "per % cent", "a" * 200, "DROP TABLE customers", "f_email", "f_id",
    "f_id_2", "plan", "tenure_months",
)  # fmt: skip


def columns_of(database: Database, table: str) -> list[str]:
    return [column["name"] for column in inspect(database.engine).get_columns(table)]


def adopt(database: Database, schema: Schema) -> None:
    with database.write() as connection:
        customer_base.adopt(connection, schema, is_demo=False, clock=clock)


def test_adopting_adds_a_typed_column_for_every_feature_and_forgetting_drops_them(database: Database) -> None:
    schema = built_in_schema()
    adopt(database, schema)
    for table, narrow in NARROW.items():
        assert set(columns_of(database, table)) == narrow | set(customer_base.column_names(schema).values())
    kinds = {c["name"]: str(c["type"]) for c in inspect(database.engine).get_columns("customer_snapshots")}
    assert (kinds["watch_time_hours"], kinds["device_count"], kinds["plan"]) == ("FLOAT", "INTEGER", "TEXT")
    with database.write() as connection:
        customer_base.forget(connection, schema)
    for table, narrow in NARROW.items():
        assert set(columns_of(database, table)) == narrow
    with database.read() as connection:
        assert customer_base.get(connection) is None


def test_a_base_reads_back_as_it_was_adopted(database: Database) -> None:
    schema = built_in_schema()
    adopt(database, schema)
    with database.write() as connection:
        found = customer_base.get(connection)
        assert found is not None
        assert (found.schema, found.checksum, found.is_demo, found.is_ready) == (
            schema,
            schema.checksum(),
            False,
            False,
        )
        customer_base.mark_ready(connection)
        assert customer_base.get(connection).is_ready  # type: ignore[union-attr]


def test_a_second_base_is_refused(database: Database) -> None:
    adopt(database, plain_schema("x"))
    with pytest.raises(Exception, match=r"UNIQUE|duplicate"):
        adopt(database, plain_schema("x"))


def test_names_that_are_odd_reserved_or_alike_keep_their_values_apart(database: Database) -> None:
    kinds: dict[str, Any] = {name: {"kind": "number"} for name in ODD} | {"plan": {"kind": "category"}}
    schema = schema_from_dict({"features": kinds})
    names = customer_base.column_names(schema)
    assert len(set(names.values())) == len(ODD)
    own = NARROW["customers"] | NARROW["customer_snapshots"]
    assert not set(names.values()) & (own - set(customer_base.SHARED_COLUMNS))
    facts_here = Facts(database, schema)
    values: list[Any] = ["Gold" if name == "plan" else float(at) for at, name in enumerate(ODD)]
    facts_here.subscribe("a", "2026-01-01")
    facts_here.snapshot("a", "2026-03-01", values)
    with database.read() as connection:
        (row,) = facts.training_rows(connection, schema, "2026-03-01")
    assert list(row[2:]) == values
    with database.write() as connection:
        customer_base.forget(connection, schema)
    assert set(columns_of(database, "customer_snapshots")) == NARROW["customer_snapshots"]


def test_three_hundred_features_come_and_go(database: Database) -> None:
    schema = plain_schema(*(f"feature {k}" for k in range(300)))
    here = Facts(database, schema)
    here.subscribe("a", "2026-01-01")
    here.snapshot("a", "2026-03-01", [float(k) for k in range(300)])
    with database.read() as connection:
        (row,) = facts.training_rows(connection, schema, "2026-03-01")
        assert list(row[2:]) == [float(k) for k in range(300)]
        query = customers.to_score(schema, as_of="2026-06-30", after_id=0, limit=5)
        assert len(connection.execute(query).one()) == 303
    with database.write() as connection:
        customer_base.forget(connection, schema)
    assert set(columns_of(database, "customers")) == NARROW["customers"]


def test_the_most_features_a_schema_may_have_fit(database: Database) -> None:
    schema = plain_schema(*(f"x{k}" for k in range(MAX_FEATURES)))
    adopt(database, schema)
    assert len(columns_of(database, "customers")) == len(NARROW["customers"]) + MAX_FEATURES


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=30, unique=True))
def test_column_names_are_unique_and_safe_whatever_the_features_are_called(names: list[str]) -> None:
    made = customer_base.column_names(plain_schema(*names))
    assert list(made) == names
    assert len(set(made.values())) == len(names)
    assert all(name.isascii() and name.replace("_", "a").isalnum() and name[0].isalpha() for name in made.values())


def test_forgetting_leaves_no_row_of_the_base_and_keeps_people_jobs_and_models(database: Database) -> None:
    here = Facts(database, plain_schema("x"))
    here.subscribe("a", "2026-01-01")
    here.snapshot("a", "2026-03-01")
    here.model()
    with database.write() as connection:
        customer_base.forget(connection, here.schema)
    with database.read() as connection:
        left = {
            name for name, table in tables.metadata.tables.items()
            if connection.execute(select(func.count()).select_from(table)).scalar_one()
        }  # fmt: skip
    # The version of the present state stays, so that none is used twice.
    assert left == {"models", "present_state"}


def test_another_base_may_move_in_after_one_is_forgotten(database: Database) -> None:
    first, second = plain_schema("x", "email"), plain_schema("email", "y")
    here = Facts(database, first)
    here.subscribe("a", "2026-01-01")
    here.snapshot("a", "2026-03-01", [1.0, 2.0])
    with database.write() as connection:
        customer_base.forget(connection, first)
    again = Facts(database, second)
    again.subscribe("a", "2026-01-01")
    again.snapshot("a", "2026-03-01", [3.0, 4.0])
    with database.read() as connection:
        assert [tuple(row[1:]) for row in facts.training_rows(connection, second, "2026-03-01")] == [(0, 3.0, 4.0)]
