"""A sample of the customers that can be scored: spread over them, the same each time, and empty only if nobody can be."""

from __future__ import annotations

from sqlalchemy import update

from database.customers import customers
from database.engine.session import Database
from database.tables import tables
from shared.schema.features import built_in_schema
from tests.database.conftest import database as database  # a fixture
from tests.database.facts import Facts

SINCE = "2026-06-01"
c = tables.customers


def with_old_facts(database: Database, keys: list[int]) -> None:
    with database.write() as connection:
        connection.execute(update(c).where(c.c.id.in_(keys)).values(as_of="2026-01-31"))


def sample(database: Database, size: int) -> list[int]:
    with database.read() as connection:
        first, again = (list(customers.spread_of_ids(connection, size, SINCE)) for _ in range(2))
    assert first == again
    return first


def test_it_is_spread_evenly_where_most_can_be_scored(database: Database) -> None:
    ids = Facts(database, built_in_schema()).people(100)
    with_old_facts(database, ids[:10])
    assert sample(database, 10) == ids[10::10]
    assert sample(database, 100) == ids[10:]


def test_the_few_who_can_be_scored_are_found_wherever_they_stand(database: Database) -> None:
    ids = Facts(database, built_in_schema()).people(100)
    few = [ids[3], ids[44], ids[77]]
    with_old_facts(database, [key for key in ids if key not in few])
    assert sample(database, 10) == few
    assert sample(database, 2) == [ids[3], ids[77]]


def test_it_is_empty_where_nobody_can_be_scored(database: Database) -> None:
    ids = Facts(database, built_in_schema()).people(20)
    with_old_facts(database, ids)
    assert sample(database, 10) == []
