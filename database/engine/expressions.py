"""Expressions that differ between SQLite and PostgreSQL, each under one name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Integer, Text, and_, case, cast, literal, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


def smaller(a: ColumnElement[Any], b: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the smaller of two values, neither of them NULL."""
    return case((a < b, a), else_=b)


def larger(a: ColumnElement[Any], b: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the larger of two values, neither of them NULL."""
    return case((a > b, a), else_=b)


# A CAST to a whole number rounds in PostgreSQL and truncates in SQLite: either way the result is less than 1 off.


def floor(number: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the largest whole number not above a number; NULL for NULL."""
    whole = cast(number, Integer)
    return whole - case((whole > number, 1), else_=0)


def ceiling(number: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the smallest whole number not below a number; NULL for NULL."""
    whole = cast(number, Integer)
    return whole + case((whole < number, 1), else_=0)


class _AnyCase(FunctionElement[str]):
    """A text whose comparisons ignore case."""

    inherit_cache = True
    type = Text()


@compiles(_AnyCase)
def _lower(element: _AnyCase, compiler: Any, **how: Any) -> str:
    return f"lower({compiler.process(element.clauses, **how)})"


@compiles(_AnyCase, "sqlite")
def _nocase(element: _AnyCase, compiler: Any, **how: Any) -> str:
    # The any-case indexes have this collation (`database.engine.sqlite.ddl`).
    return f"{compiler.process(element.clauses, **how)} COLLATE NOCASE"


def begins_with(column: ColumnElement[Any], prefix: str) -> ColumnElement[bool]:
    """A condition: a text begins with a prefix, ignoring the case of A to Z."""
    text, above = _AnyCase(column), prefix + chr(0x10FFFF)
    return and_(text >= _AnyCase(literal(prefix)), text < _AnyCase(literal(above)))


class _JsonMember(FunctionElement[str]):
    """A member of a JSON object stored as text, as JSON text."""

    inherit_cache = True
    type = Text()


@compiles(_JsonMember)
def _arrow(element: _JsonMember, compiler: Any, **how: Any) -> str:
    column, name = element.clauses
    return f"(CAST({compiler.process(column, **how)} AS json) -> {compiler.process(name, **how)})"


@compiles(_JsonMember, "sqlite")
def _extract(element: _JsonMember, compiler: Any, **how: Any) -> str:
    column, name = element.clauses
    # json_extract gives a number for a number; the operator -> is younger than the oldest SQLite that is supported.
    member = f"json_extract({compiler.process(column, **how)}, '$.' || {compiler.process(name, **how)})"
    return f"nullif(json_quote({member}), 'null')"


def json_member(column: ColumnElement[Any], name: str) -> ColumnElement[str]:
    """Return a member of a JSON object stored as text, as JSON text; NULL if it has none."""
    return _JsonMember(column, literal_column(f"'{name}'"))


class _DaysBetween(FunctionElement[int]):
    """The number of days from one ISO date to another."""

    inherit_cache = True
    type = Integer()


@compiles(_DaysBetween)
def _subtracted(element: _DaysBetween, compiler: Any, **how: Any) -> str:
    first, last = (compiler.process(each, **how) for each in element.clauses)
    return f"(CAST({last} AS date) - CAST({first} AS date))"


@compiles(_DaysBetween, "sqlite")
def _julian(element: _DaysBetween, compiler: Any, **how: Any) -> str:
    first, last = (compiler.process(each, **how) for each in element.clauses)
    return f"CAST(julianday({last}) - julianday({first}) AS INTEGER)"


class _DaysAfter(FunctionElement[str]):
    """The ISO date some days after another."""

    inherit_cache = True
    type = Text()


@compiles(_DaysAfter)
def _added(element: _DaysAfter, compiler: Any, **how: Any) -> str:
    day, days = (compiler.process(each, **how) for each in element.clauses)
    return f"to_char(CAST({day} AS date) + CAST({days} AS integer), 'YYYY-MM-DD')"


@compiles(_DaysAfter, "sqlite")
def _date(element: _DaysAfter, compiler: Any, **how: Any) -> str:
    day, days = (compiler.process(each, **how) for each in element.clauses)
    return f"date({day}, ({days}) || ' days')"


def days_between(first: ColumnElement[Any], last: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the number of days from one ISO date to another."""
    return _DaysBetween(first, last)


def days_after(day: ColumnElement[Any], days: ColumnElement[int]) -> ColumnElement[str]:
    """Return the ISO date some days after another, as text."""
    return _DaysAfter(day, days)


def middle(first: ColumnElement[Any], last: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the ISO date halfway between two others; of two such days the later, so that it is after the first."""
    return days_after(first, (days_between(first, last) + 1) // 2)
