"""How the database is opened: one engine, readers and writers.

Law: a writer holds SQLite's lock from its first statement (BEGIN IMMEDIATE), so it never fails halfway for want of
it; a reader sees one moment. Nobody commits by hand: leaving the block does, and it ends every statement that was begun
in it, read to its end or not. A write that took longer than `SLOW_WRITE_S` is logged: requests waited for it, unless it
was the commit, in which SQLite now and then copies the log into the database after it has let go of the lock.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from database.engine.connections import TrackedConnection, end_statements, guard_pool
from database.engine.revisions import newest_revision
from shared.errors import DiskFull, ServiceUnavailable

__all__ = ["Connection", "Database", "is_full", "require_migrated", "transaction"]

BUSY_TIMEOUT_S = 15
SLOW_WRITE_S = 0.25
#: A waiting writer tries this often, and who writes chunk after chunk leaves the lock free for longer than that: so
#: nobody waits for more than the chunk under way. (SQLite itself waits up to 0.1 s between two tries.)
RETRY_S = 0.002
REST_S = 0.008
#: The log may grow to 64 MB before it is written back: each time, the disk is waited for.
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "cache_size=-65536",
    "wal_autocheckpoint=16000",
)
log = structlog.get_logger()


class Database:
    """The customer database.

    Parameters
    ----------
    path
        Where the SQLite file is or will be.
    pooled
        Keep connections open between uses (servers), or open one each time (commands, tests).
    """

    def __init__(self, path: Path | str, *, pooled: bool = True) -> None:
        self.path = Path(path)
        options: dict[str, Any] = {"pool_size": 32, "max_overflow": 8} if pooled else {"poolclass": NullPool}
        self.engine: Engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "factory": TrackedConnection},
            # A transaction that is left open is a mistake that the guard tells of: nothing hides it.
            pool_reset_on_return=None,
            **options,
        )
        event.listen(self.engine, "connect", _prepare)
        guard_pool(self.engine)
        self._in_use: set[Connection] = set()
        self._watching = threading.Lock()
        self._watch: sqlite3.Connection | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view; nothing is written."""
        with self._begin("BEGIN") as connection:
            yield connection

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """For a single statement, which sees one moment by itself: no transaction to begin and to end."""
        with self._connected() as connection:
            try:
                yield connection
            finally:
                end_statements(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        with self._begin("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            # Held here, so that of a stream that is lost the collector finds the stream first, which ends its
            # transaction, and not the connection below it, which would go back to the pool in the middle of one.
            self._in_use.add(connection)
            try:
                yield connection
            finally:
                self._in_use.discard(connection)

    @contextmanager
    def _begin(self, how: str) -> Iterator[Connection]:
        while True:
            with self._connected() as connection:
                if _begin(connection, how):
                    with _until_the_end(connection, how):
                        yield connection
                    return
                # It sees an old moment and can never write: another one, and no waiting.
                log.error("connection_thrown_away", reason="it reads an old moment of the database")
                connection.invalidate()

    def is_reachable(self) -> bool:
        """Whether a statement runs and the newest migration has been applied."""
        try:
            with self.read() as connection:
                revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
                return revision == newest_revision()
        except DatabaseError:
            return False

    def version(self) -> int:
        """A number that changes with every commit, of whatever process. Equal numbers: nothing has changed."""
        with self._watching:
            if self._watch is None:
                # A connection that never writes, for it would not see its own commits.
                self._watch = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Give back every open connection."""
        self.engine.dispose()
        with self._watching:
            if self._watch is not None:
                self._watch.close()
                self._watch = None


@contextmanager
def transaction(connection: Connection, how: str) -> Iterator[None]:
    """One transaction, begun as said; committed when the block ends, rolled back when it raises.

    Raises
    ------
    DiskFull
        Nothing of it was written.
    """
    if not _begin(connection, how):
        raise RuntimeError("The connection reads an old moment of the database, so it can't write.")
    with _until_the_end(connection, how):
        yield


@contextmanager
def _until_the_end(connection: Connection, how: str) -> Iterator[None]:
    """The part of a transaction after its beginning."""
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
    if ended - began > SLOW_WRITE_S and how != "BEGIN":
        log.warning("slow_write", seconds=round(ended - began, 3), commit_seconds=round(ended - committing, 3))


def _roll_back(connection: Connection) -> None:
    if connection.invalidated:
        return
    end_statements(connection)
    # SQLite may have rolled back by itself: a full disk does that.
    if connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
        connection.exec_driver_sql("ROLLBACK")


def _begin(connection: Connection, how: str) -> bool:
    """Begin a transaction; False where the connection still reads an old moment and so can't write.

    Raises
    ------
    DiskFull
    """
    if how == "BEGIN":
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
    """Whether somebody else holds the lock, which they will let go of."""
    return _code(error) & 0xFF == sqlite3.SQLITE_BUSY and _code(error) != sqlite3.SQLITE_BUSY_SNAPSHOT


def _code(error: OperationalError) -> int:
    return int(getattr(error.orig, "sqlite_errorcode", 0))


def _prepare(raw: sqlite3.Connection, _: object) -> None:
    # Driver autocommit: BEGIN and COMMIT are ours alone, so that BEGIN IMMEDIATE is possible.
    raw.isolation_level = None
    cursor = raw.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def require_migrated(database: Database) -> None:
    """Raise ServiceUnavailable where the migrations have not run yet."""
    if not database.is_reachable():
        raise ServiceUnavailable("The database is not ready: run `retainstream migrate`.")


def is_full(error: BaseException) -> bool:
    """Whether the disk, or the file's own limit of pages, is what an error of the database is about."""
    cause = error.orig if isinstance(error, DatabaseError) else error
    return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
