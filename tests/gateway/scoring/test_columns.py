"""The ML service is sent the values that the database holds, missing values and foreign letters included."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, Float, Integer, MetaData, Table, Text, select

from database.engine.bulk_read import fetch_columns
from database.engine.session import Database
from gateway.services.scoring.columns import predict_batch
from shared.contracts import arrow
from shared.schema.features import schema_from_dict

SCHEMA = schema_from_dict({"id": "key", "features": {"hours": {"kind": "number"}, "plan": {"kind": "category"}}})
PLANS = ["Gold", None, "é😀", "", "x\0y", "a" * 200, None, "Gold", "ß"]


@pytest.mark.parametrize("plans", [PLANS * 3, ["Gold"], [None], [None] * 9, [""]], ids=lambda plans: str(len(plans)))
def test_every_row_arrives_as_it_stands_in_the_database(tmp_path: Path, plans: list[str | None]) -> None:
    database = Database(tmp_path / "a.db")
    rows = [(at + 1, None if at % 4 == 1 else at / 8, plan) for at, plan in enumerate(plans)]
    told = Table("told", MetaData(), Column("id", Integer), Column("hours", Float), Column("plan", Text))
    with database.write() as connection:
        told.create(connection)
        connection.execute(told.insert(), [dict(zip(told.c.keys(), row, strict=True)) for row in rows])
    with database.read() as connection:
        fetched = fetch_columns(connection, select(told))
    batch = predict_batch(SCHEMA, fetched.keys, fetched.columns)
    sent = arrow.decode(arrow.encode(arrow.predict_schema(SCHEMA), [batch]))
    assert [tuple(row.values()) for row in sent.to_pylist()] == rows
