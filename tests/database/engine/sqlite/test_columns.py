"""Columns of numbers reach their table as they were, in order, and nobody else sees them on the way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sqlalchemy import Column, Connection, Float, Integer, MetaData, Table, func, select

from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.session import Database
from database.engine.sqlite.column_image import FIRST_ROW, MOST_ROWS, image
from database.engine.sqlite.columns import column_inserter

KINDS = ("float64", "bool", "int8", "int16", "int32", "int64")


def read(columns: dict[str, np.ndarray]) -> list[tuple[Any, ...]]:
    """The rows as SQLite reads them, row number first, after it has checked every page."""
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.deserialize(image(columns))
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return raw.execute("SELECT rowid, * FROM incoming_rows").fetchall()


def stated(columns: dict[str, np.ndarray]) -> list[tuple[Any, ...]]:
    """The rows as they should be: NaN becomes NULL."""
    values = [[None if value != value else value for value in column.tolist()] for column in columns.values()]
    return [(FIRST_ROW + at, *row) for at, row in enumerate(zip(*values, strict=True))]


@settings(deadline=None, max_examples=150)
@given(st.data(), st.integers(1, 40), st.lists(st.sampled_from(KINDS), min_size=1, max_size=11))
def test_every_number_comes_out_as_it_went_in(data: st.DataObject, rows: int, kinds: list[str]) -> None:
    columns = {f"c{at}": data.draw(arrays.arrays(kind, rows)) for at, kind in enumerate(kinds)}
    assert read(columns) == stated(columns)


@pytest.mark.parametrize("width", [1, 11])
@pytest.mark.parametrize("rows", [1, 2, 324, 325, 326, 649, 650, 651, 20_000])
def test_rows_fill_pages_to_the_last(rows: int, width: int) -> None:
    rng = np.random.default_rng(rows)
    columns = {f"c{at}": rng.random(rows) for at in range(width)}
    assert read(columns) == stated(columns)


def test_as_many_rows_as_promised_fit_and_no_more() -> None:
    most = {f"c{at}": np.arange(MOST_ROWS, dtype=np.int64) for at in range(14)}  # 127 bytes a row
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.deserialize(image(most))
        assert raw.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        found = raw.execute("SELECT count(*), max(rowid), sum(c0 = c13), max(c13) FROM incoming_rows").fetchone()
    assert found == (MOST_ROWS, FIRST_ROW + MOST_ROWS - 1, MOST_ROWS, MOST_ROWS - 1)
    with pytest.raises(ValueError, match=f"at most {MOST_ROWS}"):
        image({"c": np.zeros(MOST_ROWS + 1)})
    with pytest.raises(ValueError, match="of 127 bytes fit"):
        image({f"c{at}": np.zeros(3) for at in range(15)})


KEPT = Table(
    "kept",
    MetaData(),
    Column("run_id", Integer, primary_key=True),
    Column("a", Integer, primary_key=True),
    Column("b", Float),
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "a.db")
    with made.write() as connection:
        KEPT.create(connection)
    return made


def kept(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(select(KEPT).order_by(KEPT.c.run_id, KEPT.c.a))]


def numbers(*values: int) -> dict[str, np.ndarray]:
    return {"a": np.array(values), "b": np.array(values) / 2}


def test_columns_arrive_row_by_row_under_their_run_in_transactions_of_the_paces_size(database: Database) -> None:
    parts: list[tuple[int, int]] = []

    def count(connection: Connection, part: slice) -> None:
        inserted = connection.execute(select(func.count()).select_from(KEPT)).scalar_one()
        parts.append((part.stop - part.start, inserted))

    pace = AdaptiveBatchSize(2, fewest=2, most=2)
    with column_inserter(database.engine) as inserter:
        inserter.insert(KEPT, numbers(1, 2, 3, 4, 5), run_id=7, pace=pace, check=count)
        inserter.insert(KEPT, numbers(), run_id=7, pace=pace)
        inserter.insert(KEPT, numbers(1), run_id=8, pace=pace)
    assert parts == [(2, 2), (2, 4), (1, 5)]
    assert kept(database) == [*((7, k, k / 2) for k in (1, 2, 3, 4, 5)), (8, 1, 0.5)]


def test_a_transaction_that_fails_leaves_nothing_of_itself_and_the_next_one_goes_on(database: Database) -> None:
    with column_inserter(database.engine) as inserter:
        with pytest.raises(Exception, match="UNIQUE"):
            inserter.insert(KEPT, numbers(1, 2, 2, 3), run_id=1, pace=AdaptiveBatchSize())
        assert kept(database) == []
        inserter.insert(KEPT, numbers(2, 3), run_id=1, pace=AdaptiveBatchSize())
    assert kept(database) == [(1, 2, 1.0), (1, 3, 1.5)]


def test_a_check_that_raises_rolls_its_transaction_back(database: Database) -> None:
    def refuse(connection: Connection, part: slice) -> None:
        if part.start:
            raise LookupError("not there")

    with column_inserter(database.engine) as inserter, pytest.raises(LookupError):
        inserter.insert(KEPT, numbers(1, 2, 3, 4), run_id=1, pace=AdaptiveBatchSize(2, fewest=2, most=2), check=refuse)
    assert [row[1] for row in kept(database)] == [1, 2]


def test_nobody_else_sees_what_is_attached_and_it_is_gone_with_its_block_even_after_a_failure(
    database: Database,
) -> None:
    def attached() -> list[str]:
        with database.read() as other:
            return [row[1] for row in other.exec_driver_sql("PRAGMA database_list")]

    def break_off() -> None:
        with column_inserter(database.engine) as inserter:
            inserter.insert(KEPT, numbers(1, 2), run_id=1, pace=AdaptiveBatchSize())
            assert attached() == ["main"]
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        break_off()
    assert [attached() for _ in range(3)] == [["main"]] * 3


def test_a_connection_that_could_not_be_prepared_is_given_to_nobody_else(database: Database) -> None:
    with database.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    with pytest.raises(Exception, match="too many attached"), column_inserter(database.engine):
        pass
    with column_inserter(database.engine) as inserter:
        inserter.insert(KEPT, numbers(1), run_id=1, pace=AdaptiveBatchSize())
