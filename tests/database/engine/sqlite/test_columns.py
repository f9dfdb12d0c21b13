"""Columns handed over: SQLite finds the numbers as they were, copies them in order, and nobody else sees them."""

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
from sqlalchemy import text

from database.engine.session import Database
from database.engine.sqlite.column_image import FIRST_ROW, MOST_ROWS, image
from database.engine.sqlite.columns import exchange_with

KINDS = ("float64", "bool", "int8", "int16", "int32", "int64")


def read(columns: dict[str, np.ndarray]) -> list[tuple[Any, ...]]:
    """The rows as SQLite reads them, row number first, after it has checked every page."""
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.deserialize(image(columns))
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return raw.execute("SELECT rowid, * FROM incoming_rows").fetchall()


def stated(columns: dict[str, np.ndarray]) -> list[tuple[Any, ...]]:
    """What they should be: NaN is no number."""
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


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "a.db")
    with made.write() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (a INTEGER PRIMARY KEY, b REAL)")
    return made


COPY = text("INSERT INTO kept SELECT a, b FROM incoming_rows WHERE rowid BETWEEN :first AND :last")


def kept(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT a, b FROM kept ORDER BY a")]


def test_what_is_handed_over_is_copied_part_by_part_and_replaced_by_the_next(database: Database) -> None:
    with exchange_with(database) as exchange:
        for start in (0, 100):
            exchange.hand_over(image({"a": np.arange(start, start + 5), "b": np.full(5, start / 2)}))
            for first, last in ((0, 2), (3, 4)):
                with exchange.write() as connection:
                    connection.execute(COPY, {"first": FIRST_ROW + first, "last": FIRST_ROW + last})
                assert len(kept(database)) == start / 20 + last + 1
    assert kept(database) == [(start + k, start / 2) for start in (0, 100) for k in range(5)]


def test_a_part_that_fails_leaves_nothing_of_itself_and_the_next_one_goes_on(database: Database) -> None:
    with exchange_with(database) as exchange:
        exchange.hand_over(image({"a": np.array([1, 2, 2, 3]), "b": np.zeros(4)}))
        with pytest.raises(Exception, match="UNIQUE"), exchange.write() as connection:
            connection.execute(COPY, {"first": FIRST_ROW, "last": FIRST_ROW + 3})
        assert kept(database) == []
        with exchange.write() as connection:
            connection.execute(COPY, {"first": FIRST_ROW + 2, "last": FIRST_ROW + 3})
    assert kept(database) == [(2, 0.0), (3, 0.0)]


def test_nobody_else_sees_it_and_it_is_gone_with_its_block_even_after_a_failure(database: Database) -> None:
    def break_off() -> None:
        with exchange_with(database) as exchange:
            exchange.hand_over(image({"a": np.arange(3), "b": np.zeros(3)}))
            with database.read() as other:
                assert [row[1] for row in other.exec_driver_sql("PRAGMA database_list")] == ["main"]
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        break_off()
    for _ in range(3):
        with database.read() as connection:
            assert [row[1] for row in connection.exec_driver_sql("PRAGMA database_list")] == ["main"]


def test_a_place_that_is_half_made_is_given_to_nobody_else(database: Database) -> None:
    with database.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)
    with pytest.raises(Exception, match="too many attached"), exchange_with(database):
        pass
    with exchange_with(database) as exchange:
        exchange.hand_over(image({"a": np.arange(3), "b": np.zeros(3)}))
