"""Columns taken out: what SQLite holds, value by value, however long the rows are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Float, Integer, MetaData, Select, Table, Text, select

from database.engine.session import Database
from database.engine.sqlite import column_reader
from database.engine.sqlite.column_image import FIRST_ROW, PAGE, image
from database.engine.sqlite.column_reader import Taken, Texts
from database.engine.sqlite.columns import exchange_with

#: What a column without a type keeps as it is.
NUMBERS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.sampled_from([0, 1, 0.0, 1.0])
TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
KEYS = st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return Database(tmp_path_factory.mktemp("pages") / "a.db")


def table(kinds: Sequence[str]) -> Table:
    columns = [Column(f"c{at}", Text() if kind == "text" else Float()) for at, kind in enumerate(kinds)]
    return Table("told", MetaData(), Column("id", Integer, primary_key=True), *columns)


def fill(database: Database, kinds: Sequence[str], rows: Sequence[Sequence[Any]]) -> Select[Any]:
    """The query for all of `rows`, entered into a table whose columns have no type."""
    names = [f"c{at}" for at in range(len(kinds))]
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS told")
        connection.exec_driver_sql(f"CREATE TABLE told (id INTEGER PRIMARY KEY, {', '.join(names)})")
        marks = ", ".join("?" for _ in ["id", *kinds])
        for row in rows:
            connection.exec_driver_sql(f"INSERT INTO told VALUES ({marks})", tuple(row))
    return select(table(kinds)).order_by(table(kinds).c.id)


def take(database: Database, query: Select[Any]) -> Taken:
    with exchange_with(database) as exchange:
        return exchange.take(query)


def rows_of(taken: Taken) -> list[tuple[Any, ...]]:
    columns = [texts(each) if isinstance(each, Texts) else numbers(each) for each in taken.columns]
    return list(zip(taken.keys.tolist(), *columns, strict=True))


def numbers(values: np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def texts(column: Texts) -> list[str | None]:
    whole, ends = column.utf8.tobytes(), column.ends.tolist()
    parts = [whole[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]
    return [part if known else None for part, known in zip(parts, column.known.tolist(), strict=True)]


def as_float(row: Sequence[Any]) -> tuple[Any, ...]:
    key, *values = row
    return key, *(float(value) if isinstance(value, int) else value for value in values)


@settings(deadline=None, max_examples=150)
@given(st.data(), KEYS, st.lists(st.sampled_from(["number", "text"]), min_size=1, max_size=9))
def test_every_value_comes_out_as_sqlite_holds_it(
    database: Database, data: st.DataObject, keys: set[int], kinds: list[str]
) -> None:
    columns = [NUMBERS if kind == "number" else TEXTS for kind in kinds]
    told = [(key, *data.draw(st.tuples(*columns))) for key in keys]
    assert rows_of(take(database, fill(database, kinds, told))) == sorted(map(as_float, told))


@settings(deadline=None, max_examples=30)
@example([PAGE - 60 + k for k in range(60)])
@example([3 * (PAGE - 4) + k for k in range(-60, 60)])
@given(st.lists(st.integers(0, 5 * PAGE), min_size=1, max_size=12))
def test_rows_that_go_on_in_other_pages_are_put_together(database: Database, lengths: list[int]) -> None:
    told = [(at, at / 7, "é" * (length // 2) + "x" * (length % 2), at) for at, length in enumerate(lengths)]
    assert rows_of(take(database, fill(database, ["number", "text", "number"], told))) == told


@pytest.mark.parametrize("rows", [0, 1, 2_000, 70_000])
def test_many_rows_come_in_the_order_of_their_keys(database: Database, rows: int) -> None:
    told = [(3 * at, at * 0.1, None if at % 5 == 0 else f"plan {at % 3}") for at in range(rows)]
    query = fill(database, ["number", "text"], told)
    assert rows_of(take(database, query)) == told
    assert rows_of(take(database, query.order_by(None).order_by(table(["number", "text"]).c.c1))) == told


def test_hundreds_of_columns_come_out(database: Database) -> None:
    told = [(row, *(row + at / 1000 for at in range(500))) for row in range(300)]
    assert rows_of(take(database, fill(database, ["number"] * 500, told))) == told


@pytest.mark.parametrize(("kind", "value", "wanted"), [("number", "7", "numbers"), ("number", b"7", "numbers"),
                                                       ("text", 7, "text"), ("text", b"7", "text")])  # fmt: skip
def test_a_value_of_another_kind_is_an_error_that_names_the_column(
    database: Database, kind: str, value: Any, wanted: str
) -> None:
    query = fill(database, ["number", kind], [(1, 2.0, None), (2, 3.0, value)])
    with pytest.raises(ValueError, match=f"Column c1 holds something else than {wanted}"):
        take(database, query)


def test_each_taking_sees_what_stands_there_now_beside_what_is_handed_over(database: Database) -> None:
    query = fill(database, ["number"], [(1, 1.5)])
    with exchange_with(database) as exchange:
        exchange.hand_over(image({"a": np.arange(5)}))
        assert rows_of(exchange.take(query)) == [(1, 1.5)]
        with exchange.write() as connection:
            connection.exec_driver_sql(
                f"INSERT INTO told SELECT a + 10, a FROM incoming_rows WHERE rowid > {FIRST_ROW}"
            )
        assert rows_of(exchange.take(query)) == [(1, 1.5), *((10 + k, float(k)) for k in range(1, 5))]


def test_taking_waits_for_no_writer_and_leaves_nothing_that_a_writer_waits_for(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db")
    query = fill(database, ["number"], [(1, 1.5)])
    with exchange_with(database) as exchange:
        with database.write() as connection:
            connection.exec_driver_sql("INSERT INTO told VALUES (2, 2.5)")
            assert rows_of(exchange.take(query)) == [(1, 1.5)], "what is not committed is not there yet"
        with database.connect() as connection:
            # Who still reads keeps the log from being written back whole.
            assert connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one() == (0, 0, 0)
        assert len(take(database, query).keys) == 2


def test_columns_of_one_name_are_two(database: Database) -> None:
    fill(database, ["number", "text"], [(1, 1.5, "a")])
    told = table(["number", "text"]).c
    twice = select(told.id, told.c0, told.c1.label("c0"), told.c0.label("x").label("c0"))
    assert rows_of(take(database, twice)) == [(1, 1.5, "a", 1.5)]


@pytest.mark.parametrize("width", [50, 200_000])
def test_texts_are_gathered_part_by_part(database: Database, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_reader, "_AT_ONCE", 1_000)
    told = [(at, "é" * (at * 37 % width), None) for at in range(101)]
    assert rows_of(take(database, fill(database, ["text", "text"], told))) == told
