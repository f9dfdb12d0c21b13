"""SQL that SQLite alone understands stands in database/engine; all other SQL is compiled for PostgreSQL too."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Float, Text, column, func, literal, select, table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from database.engine.expressions import (
    begins_with,
    ceiling,
    days_after,
    days_between,
    floor,
    larger,
    middle,
    smaller,
)
from database.engine.session import Database
from database.engine.upsert import upsert
from database.tables import tables
from tests.portable_sql import NotPortable, PortableSql, compiled_for_postgresql

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "database" / "engine"


class _OnlySqlite(FunctionElement[str]):
    inherit_cache = True
    type = Text()


@compiles(_OnlySqlite, "sqlite")
def _one(element: object, compiler: object, **how: object) -> str:
    return "1"


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the database package that is outside its engine."""
    for path in sorted((ROOT / "database").rglob("*.py")):
        if ENGINE not in path.parents:
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def text_as_sql(tree: ast.Module) -> list[int]:
    """Lines on which text becomes SQL, but for the default of a column in the schema."""
    defaults = {
        id(word.value) for node in ast.walk(tree) if isinstance(node, ast.Call)
        for word in node.keywords if word.arg == "server_default"
    }  # fmt: skip
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and id(node) not in defaults]
    return [
        node.lineno for node in calls
        if (isinstance(node.func, ast.Name) and node.func.id in ("text", "DDL"))
        or (isinstance(node.func, ast.Attribute) and node.func.attr in ("exec_driver_sql", "collate"))
    ]  # fmt: skip


def test_no_module_outside_the_engine_imports_what_only_sqlite_has() -> None:
    for name, tree in modules():
        foreign = {one for one in imported(tree) if one == "sqlite3" or one.startswith("sqlalchemy.dialects")}
        assert not foreign, (name, foreign)


def test_sql_as_text_stands_in_the_engine_alone() -> None:
    for name, tree in modules():
        assert not text_as_sql(tree), (name, text_as_sql(tree))


def test_no_number_is_cast_to_a_whole_one_outside_the_engine() -> None:
    """PostgreSQL rounds and SQLite truncates: `floor` and `ceiling` are the same in both."""
    for name, tree in modules():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) == 2]
        casts = [node for node in calls if ast.unparse(node.func) == "cast" and ast.unparse(node.args[1]) == "Integer"]
        assert not [node.lineno for node in casts if ast.unparse(node.args[0]) != "null()"], name


def test_a_statement_that_postgresql_can_not_run_fails_the_test_that_executes_it(database: Database) -> None:
    with compiled_for_postgresql(), database.read() as connection:
        connection.execute(select(tables.users.c.id))
        with pytest.raises(NotPortable):
            connection.execute(select(_OnlySqlite()))


def test_each_form_of_a_statement_is_compiled_once(database: Database) -> None:
    looked = PortableSql()
    with database.read() as connection:
        for _ in range(2):
            looked.look_at(connection, select(tables.users.c.id))
    assert looked.statements == 1


def test_what_both_databases_spell_differently_is_spelt_for_each() -> None:
    t = table("t", column("a", Text), column("b", Text))
    spelt = {
        begins_with(t.c.a, "x"): ("t.a COLLATE NOCASE >= 'x' COLLATE NOCASE", "lower(t.a) >= lower('x')"),
        days_between(t.c.a, t.c.b): (
            "CAST(julianday(t.b) - julianday(t.a) AS INTEGER)",
            "(CAST(t.b AS date) - CAST(t.a AS date))",
        ),
        days_after(t.c.a, literal(3)): (
            "date(t.a, (3) || ' days')",
            "to_char(CAST(t.a AS date) + CAST(3 AS integer), 'YYYY-MM-DD')",
        ),
        t.c.a.is_distinct_from(t.c.b): ("t.a IS NOT t.b", "t.a IS DISTINCT FROM t.b"),
    }
    for expression, parts in spelt.items():
        for dialect, part in zip((sqlite.dialect(), postgresql.dialect()), parts, strict=True):
            assert part in str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


@pytest.mark.parametrize(("a", "b"), [("1", "2"), ("2", "1"), ("1", "1")])
def test_the_smaller_and_the_larger_of_two_values(database: Database, a: str, b: str) -> None:
    with database.read() as connection:
        found = connection.execute(select(smaller(literal(a), literal(b)), larger(literal(a), literal(b)))).one()
    assert tuple(found) == (min(a, b), max(a, b))


@pytest.mark.parametrize(
    ("first", "last", "days", "halfway"),
    [
        ("2026-01-01", "2026-02-01", 31, "2026-01-17"),
        ("2026-02-01", "2026-03-01", 28, "2026-02-15"),
        ("2024-02-28", "2024-02-29", 1, "2024-02-29"),
        ("2026-01-01", "2026-01-01", 0, "2026-01-01"),
        ("2025-12-31", "2026-04-01", 91, "2026-02-15"),
    ],
)
def test_days_are_counted_and_halved(database: Database, first: str, last: str, days: int, halfway: str) -> None:
    a, b = literal(first), literal(last)
    with database.read() as connection:
        found = connection.execute(select(days_between(a, b), days_after(a, literal(days)), middle(a, b))).one()
    assert tuple(found) == (days, last, halfway)


@pytest.mark.parametrize("number", [0.0, 0.4, 0.5, 1.5, 2.5, 2.999, 3.0, 1e6, -0.4, -0.5, -2.5, -3.0, None])
def test_floor_and_ceiling_are_the_same_where_a_cast_truncates_and_where_it_rounds(
    database: Database, number: float | None
) -> None:
    value = literal(number, Float)
    expected = (None, None) if number is None else (math.floor(number), math.ceil(number))
    for dialect, cast_to in ((sqlite.dialect(), "CAST("), (postgresql.dialect(), "CAST(round(")):
        query = str(
            select(floor(value), ceiling(value)).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        )
        # PostgreSQL's CAST rounds: this one's is made to.
        asked = re.sub(r"CAST\((\S+) AS", rf"{cast_to}\1{')' * (cast_to.count('(') - 1)} AS", query)
        with database.read() as connection:
            assert tuple(connection.execute(text(asked)).one()) == expected, asked


def test_an_upsert_inserts_changes_or_leaves_as_it_is(database: Database) -> None:
    r = tables.rate_limits
    first, again = {"key": "k", "count": 1, "expires_at_s": 9.0}, {"key": "k", "count": 5, "expires_at_s": 3.0}
    with database.write() as connection:

        def row() -> tuple[object, ...]:
            return tuple(connection.execute(select(r)).one())

        connection.execute(upsert(r, first, key=["key"]))
        connection.execute(upsert(r, again, key=["key"]))
        assert row() == ("k", 1, 9.0)
        connection.execute(upsert(r, again, key=["key"], changes=lambda new: {"count": r.c.count + new.count}))
        assert row() == ("k", 6, 9.0)
        source = select(r.c.key, (r.c.count + 1).label("count"), literal(1.0).label("expires_at_s")).where(
            r.c.key == "k"
        )
        later = upsert(
            r, source, key=["key"], changes=lambda new: {"count": new.count},
            only_if=lambda new: new.expires_at_s > r.c.expires_at_s,
        )  # fmt: skip
        connection.execute(later)
        assert row() == ("k", 6, 9.0), "only if it is newer"
        assert connection.execute(select(func.count()).select_from(r)).scalar_one() == 1
