"""What is remembered is never older than the database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from database.migrate import migrate
from database.session import Database
from gateway.memory import LARGEST, MOST, Memory
from tests.stack import Stack


@pytest.fixture
def database(tmp_path: Path) -> Database:
    migrate(tmp_path / "a.db")
    return Database(tmp_path / "a.db")


def change(database: Database) -> None:
    """As another process would."""
    with closing(sqlite3.connect(database.path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = version_num")


def test_an_answer_is_given_again_until_any_process_commits(database: Database) -> None:
    memory = Memory(database)
    version, found = memory.recall("/a?")
    assert found is None
    memory.keep("/a?", version, b"1")
    assert memory.recall("/a?") == (version, b"1")
    assert memory.recall("/b?")[1] is None
    change(database)
    assert memory.recall("/a?")[1] is None


def test_the_apps_own_commits_count_too_and_its_reads_do_not(database: Database) -> None:
    version = database.version()
    with database.read() as connection:
        connection.exec_driver_sql("SELECT * FROM users").all()
    assert database.version() == version
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
    assert database.version() != version


def test_an_answer_that_was_begun_before_a_commit_is_not_kept_after_it(database: Database) -> None:
    memory = Memory(database)
    version, _ = memory.recall("/a?")
    change(database)
    memory.recall("/b?")
    memory.keep("/a?", version, b"old")
    assert memory.recall("/a?")[1] is None


def test_memory_is_bounded(database: Database) -> None:
    memory = Memory(database)
    version, _ = memory.recall("/large")
    memory.keep("/too large", version, b"x" * (LARGEST + 1))
    fit = MOST // LARGEST
    for k in range(fit + 50):
        memory.keep(k, version, b"x" * LARGEST)
    assert memory.recall("/too large")[1] is None
    assert [k for k in range(fit + 50) if memory.recall(k)[1] is not None] == list(range(fit))


def test_what_fails_is_looked_for_again(database: Database) -> None:
    memory = Memory(database)
    with pytest.raises(ZeroDivisionError):
        memory.find("a", lambda: 1 // 0)
    assert memory.find("a", lambda: 2) == 2
    assert memory.find("a", lambda: 3) == 2


def test_whoever_asks_again_gets_the_same_and_whoever_may_not_ask_gets_nothing(stack: Stack) -> None:
    path = "/api/dashboard/threshold?cut=0.4"
    first, again = (stack.analyst().get(path) for _ in range(2))
    assert first.json() == again.json()
    assert first.headers["X-Request-ID"] != again.headers["X-Request-ID"]
    assert stack.anonymous().get(path).status_code == 401
    assert stack.analyst().get("/api/dashboard/threshold?cut=0.5").json() != first.json()
