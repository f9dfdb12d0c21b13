"""No connection goes back to the pool with an open statement or transaction, whoever reads and however it ends."""

from __future__ import annotations

import ctypes
import gc
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from database.engine.session import Database
from database.engine.sqlite.connections import TrackedConnection
from database.engine.sqlite.transactions import WRITE, transaction

MANY = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5000) SELECT x FROM n, users"
DISCARDED = "connection_discarded"


@pytest.fixture
def pool(database: Database) -> Iterator[Database]:
    """A database with somebody in it, whose connections are kept between uses."""
    made = Database(database.path)
    add_user(made.path, "first@example.com")
    yield made
    made.close()


def add_user(path: Path, email: str) -> None:
    """As another process would."""
    with closing(sqlite3.connect(path, timeout=15)) as raw, raw:
        raw.execute(
            "INSERT INTO users (email, password_hash, name, role, created_at, updated_at) "
            "VALUES (?, 'x', 'A', 'viewer', 't', 't')", [email],
        )  # fmt: skip


def users(database: Database) -> int:
    with database.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM users").scalar_one())


def is_read_by_nobody(path: Path) -> bool:
    """Whether the log can be written back to its end, which a reader of an old snapshot prevents."""
    with closing(sqlite3.connect(path)) as raw:
        busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def stream(database: Database) -> Iterator[Any]:
    """Rows of an open statement, as an export reads them."""
    with database.read() as connection:
        yield from connection.execution_options(stream_results=True).exec_driver_sql(MANY)


def memory_used() -> int:
    """Return the bytes that the SQLite library of this process has taken."""
    sqlite = ctypes.CDLL(sqlite_library())
    sqlite.sqlite3_memory_used.restype = ctypes.c_int64
    return int(sqlite.sqlite3_memory_used())


def sqlite_library() -> str:
    """Return the path of the library that the driver uses; skip where that can't be told."""
    maps = Path("/proc/self/maps")
    found = {line.split()[-1] for line in maps.read_text().splitlines()} if maps.exists() else set[str]()
    paths = sorted(path for path in found if "libsqlite3" in path)
    if len(paths) != 1:
        pytest.skip("the driver's SQLite is no shared library of its own here")
    return paths[0]


def leave_the_block(database: Database) -> Any:
    with database.read() as connection:
        rows = connection.execution_options(stream_results=True).exec_driver_sql(MANY)
        next(iter(rows))
    return rows


def leave_a_connection(database: Database) -> Any:
    with database.connect() as connection:
        rows = connection.execution_options(stream_results=True).exec_driver_sql(MANY)
        next(iter(rows))
    return rows


def leave_a_write(database: Database) -> Any:
    with database.write() as connection:
        rows = connection.execution_options(stream_results=True).exec_driver_sql(MANY)
        next(iter(rows))
    return rows


def fail_within(database: Database) -> Any:
    held: list[Any] = []
    with suppress(ZeroDivisionError), database.read() as connection:
        held.append(connection.execution_options(stream_results=True).exec_driver_sql(MANY))
        _ = next(iter(held[0])) and 1 // 0
    return held


def close_the_stream(database: Database) -> Any:
    rows: Any = stream(database)
    next(rows)
    rows.close()
    return rows


def never_begin(database: Database) -> Any:
    return stream(database)


def drop_the_stream(database: Database) -> Any:
    next(stream(database))


def leave_it_to_the_collector(database: Database) -> Any:
    circle: list[Any] = [stream(database)]
    next(circle[0])
    circle.append(circle)
    del circle
    gc.collect()


ENDS = [leave_the_block, leave_a_connection, leave_a_write, fail_within, close_the_stream, never_begin, drop_the_stream,
        leave_it_to_the_collector]  # fmt: skip


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_however_a_stream_ends_the_next_reader_sees_the_newest_and_nothing_is_locked(
    pool: Database, end: Callable[[Database], Any]
) -> None:
    held = end(pool)
    add_user(pool.path, "second@example.com")
    assert is_read_by_nobody(pool.path)
    assert users(pool) == 2
    began = time.monotonic()
    with pool.write() as connection:
        connection.exec_driver_sql("UPDATE users SET name = 'B'")
    assert time.monotonic() - began < 1
    del held


def test_a_connection_that_comes_back_with_an_open_statement_is_thrown_away_and_told(pool: Database) -> None:
    with capture_logs() as said, pool.engine.connect() as connection:
        before: Any = connection.connection.dbapi_connection
        rows = connection.execution_options(stream_results=True).exec_driver_sql(MANY)
        next(iter(rows))
        connection.close()
    assert [(each["event"], each["log_level"], each["open_cursors"]) for each in said] == [(DISCARDED, "error", 1)]
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        before.execute("SELECT 1")
    assert is_read_by_nobody(pool.path)
    assert users(pool) == 1


def test_a_connection_that_comes_back_within_a_transaction_is_thrown_away_and_told(pool: Database) -> None:
    with capture_logs() as said, closing(pool.engine.raw_connection()) as raw:
        raw.cursor().execute("BEGIN IMMEDIATE")
    assert [(each["event"], each["in_transaction"]) for each in said] == [(DISCARDED, True)]
    add_user(pool.path, "second@example.com")
    assert users(pool) == 2


def test_connections_that_are_used_as_they_should_be_are_kept(pool: Database) -> None:
    with capture_logs() as said:
        used = set()
        for _ in range(5):
            with pool.write() as connection:
                used.add(id(connection.connection.dbapi_connection))
                connection.exec_driver_sql("UPDATE users SET name = 'C'")
            with pool.connect() as connection:
                used.add(id(connection.connection.dbapi_connection))
                connection.exec_driver_sql("SELECT * FROM users").all()
    assert (len(used), said) == (1, [])


def poisoned(database: Database) -> sqlite3.Cursor:
    """A statement that nobody knows of on the pool's connection, which therefore reads an old snapshot."""
    with closing(database.engine.raw_connection()) as raw:
        known: Any = raw.dbapi_connection
        assert isinstance(known, TrackedConnection)
        hidden = sqlite3.Cursor(known)
        hidden.execute(MANY).fetchone()
    add_user(database.path, "second@example.com")
    return hidden


def test_a_writer_whose_connection_reads_an_old_moment_gets_another_one_at_once(pool: Database) -> None:
    hidden = poisoned(pool)
    began = time.monotonic()
    with capture_logs() as said, pool.write() as connection:
        connection.exec_driver_sql("UPDATE users SET name = 'D'")
    assert time.monotonic() - began < 1
    assert [each["event"] for each in said] == [DISCARDED]
    del hidden
    assert users(pool) == 2


def test_a_transaction_on_a_connection_that_cannot_be_changed_fails_at_once(pool: Database) -> None:
    hidden = poisoned(pool)
    began = time.monotonic()
    with (
        pytest.raises(RuntimeError, match="old snapshot"),
        pool.engine.connect() as connection,
        transaction(connection, WRITE),
    ):
        pass
    assert time.monotonic() - began < 1
    hidden.close()


def test_a_connection_keeps_a_few_dozen_prepared_statements_however_many_are_asked(pool: Database) -> None:
    def ask(first: int, last: int) -> int:
        for number in range(first, last):
            with pool.read() as connection:
                connection.exec_driver_sql(f"SELECT *, {number} FROM customers LIMIT 1").all()
        return memory_used()

    few, some, many = ask(0, 10), ask(10, 60), ask(60, 400)
    assert some > few
    assert many - some < (some - few) / 2, (few, some, many)
