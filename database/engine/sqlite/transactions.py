"""Transactions on one connection, and the meaning of SQLite's errors.

Law: a writer holds SQLite's lock from its first statement (BEGIN IMMEDIATE), so it never fails halfway for lack of it.
A write of more than `SLOW_WRITE_S` is logged: other writers waited for it, except during a commit in which SQLite
checkpoints the log, after releasing the lock.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from database.engine.interruption import CANCELLED, watched
from database.engine.sqlite.connections import end_statements
from database.engine.waiting import AS_LONG_AS_IT_TAKES, BUSY_TIMEOUT_S, Waiting
from shared.errors import Cancelled, DatabaseBusy, DiskFull

READ, WRITE = "BEGIN", "BEGIN IMMEDIATE"
SLOW_WRITE_S = 0.25
BUSY = "Another process keeps the database locked for writing; nothing was changed. Try again in a few seconds."
BUSY_RETRY_S = 5
log = structlog.get_logger()


@contextmanager
def transaction(connection: Connection, how: str) -> Iterator[None]:
    """One transaction, begun by `how`; committed when the block ends, rolled back when it raises.

    Raises
    ------
    DiskFull
        Nothing was written.
    """
    if not begin(connection, how):
        raise RuntimeError("The connection reads an old snapshot of the database, so it can't write.")
    with commit_at_end(connection, how), watched(connection, how):
        yield


@contextmanager
def commit_at_end(connection: Connection, how: str) -> Iterator[None]:
    """The rest of a transaction after `begin`: committed when the block ends, rolled back when it raises."""
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
        if isinstance(error, OperationalError):
            _refuse_known(error)
        raise
    ended = time.monotonic()
    if ended - began > SLOW_WRITE_S and how == WRITE:
        log.warning("slow_write", seconds=round(ended - began, 3), commit_seconds=round(ended - committing, 3))


def _refuse_known(error: OperationalError) -> None:
    """Raise our own error for a locked database or an interrupted read."""
    if _is_busy(error):
        raise DatabaseBusy(BUSY, retry_after_s=BUSY_RETRY_S) from None
    if _code(error) == sqlite3.SQLITE_INTERRUPT:
        raise Cancelled(CANCELLED) from None


def _roll_back(connection: Connection) -> None:
    if connection.invalidated:
        return
    end_statements(connection)
    # SQLite may have rolled back already, as it does when the disk is full.
    if connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
        connection.exec_driver_sql("ROLLBACK")


def begin(connection: Connection, how: str, waiting: Waiting = AS_LONG_AS_IT_TAKES) -> bool:
    """Begin a transaction; return False if the connection still reads an old snapshot and so can't write.

    Raises
    ------
    DatabaseBusy, DiskFull
    """
    if how == READ:
        connection.exec_driver_sql(how)
        return True
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    try:
        with waiting.turns() as turns:
            for _ in turns:
                try:
                    connection.exec_driver_sql(how)
                    return True
                except OperationalError as error:
                    if _code(error) == sqlite3.SQLITE_BUSY_SNAPSHOT:
                        return False
                    if is_full(error):
                        raise DiskFull from None
                    if not _is_busy(error):
                        raise
        raise DatabaseBusy(BUSY, retry_after_s=BUSY_RETRY_S)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")


def _is_busy(error: OperationalError) -> bool:
    """Return whether another process holds the lock, so that waiting can help."""
    return _code(error) & 0xFF == sqlite3.SQLITE_BUSY and _code(error) != sqlite3.SQLITE_BUSY_SNAPSHOT


def _code(error: OperationalError) -> int:
    return int(getattr(error.orig, "sqlite_errorcode", 0))


def is_full(error: BaseException) -> bool:
    """Return whether an error means that the disk is full or the file has reached its page limit."""
    cause = error.orig if isinstance(error, DatabaseError) else error
    return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
