"""A real, migrated database file for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from database.engine.session import Database
from tests.database.facts import Facts, plain_schema
from tests.once.migrated import migrated
from tests.portable_sql import compiled_for_postgresql


@pytest.fixture(autouse=True, scope="session")
def _portable() -> Iterator[None]:
    """No statement of these tests is one that PostgreSQL could not run."""
    with compiled_for_postgresql():
        yield


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A fresh migrated database of this test."""
    path = tmp_path / "retainstream.db"
    migrated(path)
    made = Database(path)
    yield made
    made.close()


@pytest.fixture
def facts_of(database: Database) -> Callable[..., Facts]:
    """Make this test's database a base of the given schema."""
    return lambda schema=None: Facts(database, schema or plain_schema("x"))
