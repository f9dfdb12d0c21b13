"""Query results in columns: the values as they stand in the database."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Column, Float, Integer, MetaData, Table, Text, select, text

from database.engine.bulk_read import fetch_columns
from database.engine.session import Database

TOLD = Table("told", MetaData(), Column("id", Integer, primary_key=True), Column("hours", Float), Column("plan", Text))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "a.db")
    with made.write() as connection:
        TOLD.create(connection)
        rows = [(1, 0.5, "Gold"), (2**53, None, None), (-3, -0.0, ""), (4, 1e300, "\u00e9\U0001f600")]
        connection.execute(TOLD.insert(), [dict(zip(TOLD.c.keys(), row, strict=True)) for row in rows])
    return made


def test_numbers_come_as_floats_and_texts_as_they_are(database: Database) -> None:
    with database.read() as connection:
        fetched = fetch_columns(connection, select(TOLD).order_by(TOLD.c.id))
    hours, plan = fetched.columns
    assert fetched.keys.tolist() == [-3, 1, 4, 2**53]
    assert np.array_equal(hours, np.array([-0.0, 0.5, 1e300, np.nan]), equal_nan=True)
    assert plan == ["", "Gold", "\u00e9\U0001f600", None]


def test_no_rows_are_empty_columns(database: Database) -> None:
    with database.read() as connection:
        fetched = fetch_columns(connection, select(TOLD).where(TOLD.c.id > 2**60))
    assert (len(fetched.keys), [len(column) for column in fetched.columns]) == (0, [0, 0])


def test_text_in_a_column_of_numbers_is_refused(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE told SET hours = 'many' WHERE id = 1"))
    with database.read() as connection, pytest.raises(ValueError, match="many"):
        fetch_columns(connection, select(TOLD))
