"""The log stays short while readers follow one another, and no commit is lost or refused for it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from database.engine.session import Database
from database.engine.sqlite import connections, write_ahead_log
from tests.stack import wait_until

MB = 1024 * 1024
WRITES, SIZE = 60, 200_000


@pytest.fixture
def pool(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database whose log counts as long above a megabyte, and which tries after every commit."""
    pragmas = (*connections.PRAGMAS[:-1], "wal_autocheckpoint=100")
    monkeypatch.setattr(connections, "PRAGMAS", pragmas)
    monkeypatch.setattr(write_ahead_log, "LONG_BYTES", MB)
    monkeypatch.setattr(write_ahead_log, "EVERY_S", 0.0)
    made = Database(database.path)
    with made.write() as connection:
        connection.exec_driver_sql("CREATE TABLE written (number INTEGER PRIMARY KEY, content BLOB)")
    yield made
    made.close()


def written(database: Database) -> int:
    with database.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM written").scalar_one())


def write(database: Database, times: int = WRITES) -> int:
    """Write so many times; return the longest that the log was, in bytes."""
    longest = 0
    for _ in range(times):
        with database.write() as connection:
            connection.exec_driver_sql("INSERT INTO written (content) VALUES (zeroblob(?))", (SIZE,))
        longest = max(longest, log_of(database).stat().st_size)
    return longest


def log_of(database: Database) -> Path:
    return Path(f"{database.path}-wal")


@contextmanager
def overlapping_readers(database: Database) -> Iterator[list[int]]:
    """Two threads of which one always reads: each ends its read only once the other has begun one."""
    begun, stop, reads = [threading.Event(), threading.Event()], threading.Event(), list[int]()

    def ask(mine: threading.Event, others: threading.Event) -> None:
        while not stop.is_set():
            with database.read() as connection:
                reads.append(int(connection.exec_driver_sql("SELECT count(*) FROM written").scalar_one()))
                mine.set()
                while not others.wait(0.01) and not stop.is_set():
                    pass
                others.clear()

    threads = [threading.Thread(target=ask, args=pair) for pair in (begun, begun[::-1])]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(reads) >= len(threads), "the readers read")
        yield reads
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def write_beside_reads(database: Database, times: int) -> int:
    """Write as `write`; a read begins after each write and ends after the next, so that one always goes on."""
    longest = 0
    with ExitStack() as reading:
        for _ in range(times):
            longest = max(longest, write(database, 1))
            before = reading.pop_all()
            reading.enter_context(database.read()).exec_driver_sql("SELECT count(*) FROM written").scalar_one()
            before.close()
    return longest


def test_readers_who_follow_one_another_leave_the_log_short(pool: Database) -> None:
    with overlapping_readers(pool) as reads:
        longest = write(pool)
    assert len(reads) > WRITES
    assert longest < 3 * MB  # 12 MB were written
    assert written(pool) == WRITES


def test_the_log_grows_for_as_long_as_one_reads_and_is_short_after_that(pool: Database) -> None:
    with pool.read() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM written").scalar_one()
        longest = write(pool, 7)
        assert connection.exec_driver_sql("SELECT count(*) FROM written").scalar_one() == before
    assert longest > MB
    write(pool, 1)
    assert log_of(pool).stat().st_size < MB
    assert written(pool) == 8


@pytest.mark.usefixtures("unfiltered_logs")
def test_a_log_that_cannot_be_written_back_costs_nobody_what_was_committed(
    pool: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write_ahead_log.Connection.exec_driver_sql

    def refuse(connection: Any, statement: str, *more: Any) -> Any:
        if "wal_checkpoint" in statement:
            raise OperationalError(statement, None, sqlite3.OperationalError("disk I/O error"))
        return real(connection, statement, *more)

    monkeypatch.setattr(write_ahead_log.Connection, "exec_driver_sql", refuse)
    with capture_logs() as logs:
        write_beside_reads(pool, 20)
    assert {(line["event"], line["reason"]) for line in logs} == {("write_ahead_log_not_emptied", "disk I/O error")}
    assert written(pool) == 20
    with pool.write() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 15_000


def test_who_keeps_others_waiting_does_so_seldom(pool: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_ahead_log, "EVERY_S", 3600.0)
    assert write_beside_reads(pool, WRITES) > 3 * MB
