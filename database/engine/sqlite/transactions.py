"""Transactions on one connection: begun, committed, rolled back; and which error of SQLite means what.

Law: a writer holds SQLite's lock from its first statement (BEGIN IMMEDIATE), so it never fails halfway for want of it.
A write that took longer than `SLOW_WRITE_S` is logged: requests waited for it, unless it was the commit, in which
SQLite now and then copies the log into the database after it has let go of the lock.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from database.engine.sqlite.connections import BUSY_TIMEOUT_S, end_statements
from shared.errors import DiskFull

READ, WRITE = "BEGIN", "BEGIN IMMEDIATE"
SLOW_WRITE_S = 0.25
#: A waiting writer tries this often: several times in the `REST_S` for which bulk writers leave the lock free
#: (`database.engine.batch_sizing`). SQLite itself waits up to 0.1 s between two tries.
RETRY_S = 0.002
log = structlog.get_logger()


@contextmanager
def transaction(connection: Connection, how: str) -> Iterator[None]:
    """One transaction, begun as said; committed when the block ends, rolled back when it raises.

    Raises
    ------
    DiskFull
        Nothing of it was written.
    """
    if not begin(connection, how):
        raise RuntimeError("The connection reads an old moment of the database, so it can't write.")
    with commit_at_end(connection, how):
        yield


@contextmanager
def commit_at_end(connection: Connection, how: str) -> Iterator[None]:
    """The part of a transaction after `begin`: committed when the block ends, rolled back when it raises."""
    began = time.monotonic()
    try:
        yield
        committing = time.monotonic()
        end_statements(connection)
        connection.exec_driver_sql("COMMIT")
    except BaseException as error:
        _roll_back(connection)
        if is_full(error):
            raise DiskFull from None
        raise
    ended = time.monotonic()
    if ended - began > SLOW_WRITE_S and how == WRITE:
        log.warning("slow_write", seconds=round(ended - began, 3), commit_seconds=round(ended - committing, 3))


def _roll_back(connection: Connection) -> None:
    if connection.invalidated:
        return
    end_statements(connection)
    # SQLite may have rolled back by itself: a full disk does that.
    if connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
        connection.exec_driver_sql("ROLLBACK")


def begin(connection: Connection, how: str) -> bool:
    """Begin a transaction; False where the connection still reads an old moment and so can't write.

    Raises
    ------
    DiskFull
    """
    if how == READ:
        connection.exec_driver_sql(how)
        return True
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.exec_driver_sql(how)
                return True
            except OperationalError as error:
                if _code(error) == sqlite3.SQLITE_BUSY_SNAPSHOT:
                    return False
                if is_full(error):
                    raise DiskFull from None
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_S)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")


def _is_busy(error: OperationalError) -> bool:
    """Return whether somebody else holds the lock, which they will let go of."""
    return _code(error) & 0xFF == sqlite3.SQLITE_BUSY and _code(error) != sqlite3.SQLITE_BUSY_SNAPSHOT


def _code(error: OperationalError) -> int:
    return int(getattr(error.orig, "sqlite_errorcode", 0))


def is_full(error: BaseException) -> bool:
    """Return whether an error of the database says that the disk, or the file's own limit of pages, is full."""
    cause = error.orig if isinstance(error, DatabaseError) else error
    return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
