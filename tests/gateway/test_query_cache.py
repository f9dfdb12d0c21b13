"""A remembered answer is never older than the database."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from database.engine.once import State
from database.engine.session import Database
from gateway.query_cache import MAX_ENTRY_BYTES, MAX_TOTAL_BYTES, QueryCache
from tests.once.migrated import migrated
from tests.stack import Stack


@pytest.fixture
def database(tmp_path: Path) -> Database:
    migrated(tmp_path / "a.db")
    return Database(tmp_path / "a.db")


@pytest.fixture
def named(database: Database) -> Database:
    """A database with one user, whose name tells what was committed last."""
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO users (email, password_hash, name, role, created_at, updated_at) "
            "VALUES ('a@example.com', 'x', '0', 'viewer', 't', 't')"
        )
    return database


def change(database: Database) -> None:
    """As another process would."""
    with closing(sqlite3.connect(database.path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = version_num")


def test_an_answer_is_given_again_until_any_process_commits(database: Database) -> None:
    cache = QueryCache(database)
    version, found = cache.get("/a?")
    assert found is None
    cache.put("/a?", version, b"1")
    assert cache.get("/a?") == (version, b"1")
    assert cache.get("/b?")[1] is None
    change(database)
    assert cache.get("/a?")[1] is None


def test_the_apps_own_commits_count_too_and_its_reads_do_not(database: Database) -> None:
    version = database.version()
    with database.read() as connection:
        connection.exec_driver_sql("SELECT * FROM users").all()
    assert database.version() == version
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
    assert database.version() != version


def test_an_answer_that_was_begun_before_a_commit_is_not_kept_after_it(database: Database) -> None:
    cache = QueryCache(database)
    version, _ = cache.get("/a?")
    change(database)
    cache.get("/b?")
    cache.put("/a?", version, b"old")
    assert cache.get("/a?")[1] is None


def test_memory_is_bounded(database: Database) -> None:
    cache = QueryCache(database)
    version, _ = cache.get("/large")
    cache.put("/too large", version, b"x" * (MAX_ENTRY_BYTES + 1))
    fit = MAX_TOTAL_BYTES // MAX_ENTRY_BYTES
    for k in range(fit + 50):
        cache.put(k, version, b"x" * MAX_ENTRY_BYTES)
    assert cache.get("/too large")[1] is None
    assert [k for k in range(fit + 50) if cache.get(k)[1] is not None] == list(range(fit))


def test_what_fails_is_looked_for_again(database: Database) -> None:
    cache = QueryCache(database)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_read("a", lambda: 1 // 0)
    assert cache.get_or_read("a", lambda: 2) == 2
    assert cache.get_or_read("a", lambda: 3) == 2


def test_whoever_asks_again_gets_the_same_and_whoever_may_not_ask_gets_nothing(stack: Stack) -> None:
    path = "/api/dashboard/threshold?cut=0.4"
    first, again = (stack.analyst().get(path) for _ in range(2))
    assert first.json() == again.json()
    assert first.headers["X-Request-ID"] != again.headers["X-Request-ID"]
    assert stack.anonymous().get(path).status_code == 401
    assert stack.analyst().get("/api/dashboard/threshold?cut=0.5").json() != first.json()


def read_name(database: Database) -> str:
    with database.connect() as connection:
        return str(connection.exec_driver_sql("SELECT name FROM users").scalar_one())


def abandon_a_stream(database: Database) -> Any:
    """Rows of which nobody reads but the first, held by somebody all the same."""
    many = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9) SELECT name FROM n, users"
    with database.read() as connection:
        rows = connection.execution_options(stream_results=True).exec_driver_sql(many)
        next(iter(rows))
    return rows


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["commit here", "commit elsewhere", "begin", "end", "find", "abandon"]), max_size=40))
def test_whatever_happens_in_whatever_order_nothing_older_than_the_last_commit_is_found(
    named: Database, steps: list[str]
) -> None:
    cache, truth, begun, held = QueryCache(named), "0", [], []
    set_name(named, truth)
    for number, step in enumerate(steps, 1):
        if step == "commit here":
            with named.write() as connection:
                connection.exec_driver_sql("UPDATE users SET name = ?", (truth := str(number),))
        elif step == "commit elsewhere":
            set_name(named, truth := str(number))
        elif step == "begin":
            begun.append((cache.get("name")[0], read_name(named)))
        elif step == "end" and begun:
            cache.put("name", *begun.pop(0))
        elif step == "abandon":
            held.append(abandon_a_stream(named))
        assert cache.get("name")[1] in (None, truth)
        if step == "find":
            assert cache.get_or_read("name", lambda: read_name(named)) == truth


def set_name(database: Database, name: str) -> None:
    """As another process would."""
    with closing(sqlite3.connect(database.path)) as raw, raw:
        raw.execute("UPDATE users SET name = ?", [name])


def test_what_is_found_while_others_commit_and_streams_break_off_is_never_older_than_the_asking(
    named: Database,
) -> None:
    cache, last, stop = QueryCache(named), [0], threading.Event()

    def write() -> None:
        for number in range(1, 150):
            with named.write() as connection:
                connection.exec_driver_sql("UPDATE users SET name = ?", (str(number),))
            last[0] = number
        stop.set()

    def read() -> int:
        asked = 0
        while not stop.is_set():
            before = last[0]
            assert int(cache.get_or_read("name", lambda: read_name(named))) >= before
            asked += 1
        return asked

    def break_off() -> int:
        held: deque[Any] = deque(maxlen=3)
        while not stop.is_set():
            held.append(abandon_a_stream(named))
        return 1

    set_name(named, "0")
    with ThreadPoolExecutor(5) as threads:
        doing = [threads.submit(each) for each in (read, read, break_off, write)]
        assert all(each.result() != 0 for each in doing)


def test_what_was_read_in_a_state_is_given_again_beside_commits_until_the_state_is_another(database: Database) -> None:
    cache, reads = QueryCache(database), []

    def read() -> int:
        reads.append(len(reads))
        return reads[-1]

    assert [cache.get_or_read_in(State(1, 1), "others", read) for _ in range(2)] == [0, 0]
    change(database)
    assert cache.get_or_read_in(State(1, 1), "others", read) == 0
    assert cache.get_or_read_in(State(2, 1), "others", read) == 1
    assert cache.get_or_read_in(State(2, 1), "effects", read) == 2
    assert cache.get_or_read_in(State(2, 1), "others", read) == 1


def test_a_failed_read_in_a_state_is_raised_and_the_next_reader_reads_again(database: Database) -> None:
    cache = QueryCache(database)

    def fail() -> int:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        cache.get_or_read_in(State(1, 1), "others", fail)
    assert cache.get_or_read_in(State(1, 1), "others", lambda: 3) == 3
