"""Nothing leaks: facts that become known after a day change no bit of the rows that it is trained on and scored with.

A world is what was known on day 0, and two futures of it. Dates are days from day 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, update

from database.customers import customer_base, facts
from database.customers.customer_base import snapshots_table
from database.engine.session import Database
from database.tables import tables
from shared.clock import days_later
from tests.database.facts import NOW, clock, plain_schema
from tests.once.migrated import migrated

T = "2026-03-01"
SCHEMA = plain_schema("x", "y")
CUSTOMERS = st.integers(1, 4)
PAST, FUTURE = st.integers(-60, 0), st.integers(1, 90)
VALUE = st.none() | st.integers(-3, 3).map(float)


@dataclass(frozen=True)
class Life:
    customer: int
    start: int
    end: int | None = None
    cancelled: int | None = None


@dataclass(frozen=True)
class News:
    """News of a lifetime on a later day: another end, an announced one, or none any more."""

    told: int
    end: int | None
    cancelled: int | None


@dataclass(frozen=True)
class Snap:
    customer: int
    as_of: int
    known: int
    values: tuple[float | None, float | None]


@st.composite
def pasts(draw: st.DrawFn) -> tuple[list[Life], list[Snap]]:
    lives = {}
    for customer, start in draw(st.lists(st.tuples(CUSTOMERS, PAST), max_size=6)):
        fate = draw(st.sampled_from(("open", "ended", "cancelled")))
        if fate == "ended":
            life = Life(customer, start, draw(st.integers(start, 0)))
        elif fate == "cancelled":
            life = Life(customer, start, draw(FUTURE), draw(st.integers(start, 0)))
        else:
            life = Life(customer, start)
        lives[customer, start] = life
    snaps = []
    for customer in draw(st.lists(CUSTOMERS, max_size=8)):
        as_of = draw(st.sampled_from((-30, 0)))
        snaps.append(Snap(customer, as_of, draw(st.integers(as_of, 0)), (draw(VALUE), draw(VALUE))))
    return list(lives.values()), snaps


@st.composite
def futures(draw: st.DrawFn, lives: list[Life]) -> tuple[dict[Life, list[News]], list[Life], list[Snap]]:
    told: dict[Life, list[News]] = {}
    for life in lives:
        told[life] = []
        for day_told in sorted(draw(st.lists(FUTURE, max_size=3))):
            end = draw(st.none() | FUTURE)
            ahead = end is not None and end > day_told
            told[life].append(News(day_told, end, day_told if ahead else None))
    new = {}
    for customer, start in draw(st.lists(st.tuples(CUSTOMERS, FUTURE), max_size=4)):
        end = draw(st.none() | st.integers(start, 120))
        new[customer, start] = Life(customer, start, end)
    snaps = []
    for customer in draw(st.lists(CUSTOMERS, max_size=5)):
        as_of = draw(st.sampled_from((-30, 0, 1, 30)))
        snaps.append(Snap(customer, as_of, max(as_of, draw(FUTURE)), (draw(VALUE), draw(VALUE))))
    return told, list(new.values()), snaps


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    past = draw(pasts())
    return past, draw(futures(past[0])), draw(futures(past[0]))


@pytest.fixture(scope="module")
def empty_base(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path: Path = tmp_path_factory.mktemp("leak") / "a.db"
    migrated(path)
    made = Database(path)
    with made.write() as connection:
        customer_base.adopt(connection, SCHEMA, is_demo=False, clock=clock)
        for key in range(1, 5):
            row = {"id": key, "user_id": f"u{key}", "churn": 0, "as_of": T, "created_at": NOW, "updated_at": NOW}
            connection.execute(insert(tables.customers).values(row))
    return made


class _Undo(Exception):
    """Ends a transaction that is not to be kept."""


def day(offset: int | None) -> str | None:
    return None if offset is None else days_later(T, offset)


def write(connection: Connection, past: Any, future: Any) -> None:
    told, new, late = future
    s = tables.subscriptions
    for life in [*past[0], *new]:
        row = {"customer_id": life.customer, "started_at": day(life.start), "ended_at": day(life.end)}
        row |= {"cancelled_at": day(life.cancelled), "monthly_price": float(life.start), "known_at": NOW}
        connection.execute(insert(s).values(row))
        for news in told.get(life, ()):
            change = {"ended_at": day(news.end), "cancelled_at": day(news.cancelled), "told_on": day(news.told)}
            mine = (s.c.customer_id == life.customer) & (s.c.started_at == day(life.start))
            connection.execute(update(s).where(mine).values(change))
    wide = snapshots_table(SCHEMA)
    for number, snap in enumerate([*late[::2], *past[1], *late[1::2]]):
        imported = {"file_name": "f", "sha256": str(number), "schema_checksum": "", "rows": 1, "created_at": NOW}
        query = insert(tables.imports).values({**imported, "customers_new": 0, "customers_updated": 0})
        import_id = connection.execute(query.returning(tables.imports.c.id)).scalar_one()
        row = {"customer_id": snap.customer, "as_of": day(snap.as_of), "known_at": day(snap.known)}
        row |= {"import_id": import_id, "x": snap.values[0], "y": snap.values[1]}
        connection.execute(insert(wide).values(row))


def seen(database: Database, past: Any, future: Any) -> dict[str, Any]:
    """The rows that days -30 and 0 are trained on and scored with, in one world."""
    found: dict[str, Any] = {}
    with pytest.raises(_Undo), database.write() as connection:  # noqa: PT012
        write(connection, past, future)
        for offset in (-30, 0):
            at = days_later(T, offset)
            found[f"scored {offset}"] = [
                tuple(row) for row in connection.execute(facts.to_score(SCHEMA, at, after_id=0, limit=99))
            ]
            rows = facts.training_rows(connection, SCHEMA, at)
            found[f"trained {offset}"] = [(row[0], *row[2:]) for row in rows]
            found[f"population {offset}"] = sorted(facts.outcomes_at(connection, at))
            found[f"labels {offset}"] = [(row[0], row[1]) for row in rows]
        raise _Undo
    return found


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_populations_features_and_score_inputs_do_not_depend_on_what_becomes_known_later(
    empty_base: Database, world: tuple[Any, Any, Any]
) -> None:
    past, one, other = world
    first, second = seen(empty_base, past, one), seen(empty_base, past, other)
    for name in first:
        if not name.startswith("labels"):
            assert repr(first[name]) == repr(second[name]), name


@settings(max_examples=20, deadline=None)
@given(worlds())
def test_labels_change_only_through_ends_after_the_day(empty_base: Database, world: tuple[Any, Any, Any]) -> None:
    past, one, other = world
    same_lives = (one[0], one[1], other[2])  # the same ends, other snapshots
    assert seen(empty_base, past, one)["labels 0"] == seen(empty_base, past, same_lives)["labels 0"]
