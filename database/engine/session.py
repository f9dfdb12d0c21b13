"""Opens the database: one engine, readers and writers.

Law: leaving the block commits, and ends every statement that was begun in it, whether or not all its rows were read.
A reader reads one snapshot; a writer has the lock from its first statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DatabaseError

from database.engine.interruption import watched
from database.engine.once import OncePerState
from database.engine.revisions import newest_revision
from database.engine.sqlite.connections import end_statements, make_engine
from database.engine.sqlite.data_version import DataVersion
from database.engine.sqlite.transactions import READ, WRITE, begin, commit_at_end
from database.engine.sqlite.write_ahead_log import WriteAheadLog
from database.engine.waiting import AS_LONG_AS_IT_TAKES, Waiting
from shared.errors import ServiceUnavailable

__all__ = ["Connection", "Database", "require_migrated"]

log = structlog.get_logger()
#: Figures of the present state that a process keeps in memory (`database.engine.kept_figures`).
MEASURED_MOST = 64


class Database:
    """The customer database.

    Parameters
    ----------
    path
        The database file; it need not exist yet.
    pooled
        Keep connections open between uses (servers), or open one each time (commands, tests).
    waiting
        How long a writer waits for the write lock, and how many may wait.
    cache_mb
        Size of each connection's page cache.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        pooled: bool = True,
        waiting: Waiting = AS_LONG_AS_IT_TAKES,
        cache_mb: int = 64,
    ) -> None:
        self.path = Path(path)
        self._waiting = waiting
        self.engine: Engine = make_engine(self.path, pooled=pooled, cache_mb=cache_mb)
        self._in_use: set[Connection] = set()
        self._version = DataVersion(self.path)
        self._log = WriteAheadLog(self.path)
        self._measured = OncePerState(MEASURED_MOST)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one snapshot; nothing is written."""
        with self._begin(READ) as connection:
            # Readers alone: the state that a writer sees is nobody's if it is rolled back.
            yield connection.execution_options(measured=self._measured)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """For a single statement, which reads one snapshot without a transaction."""
        with self._connected() as connection:
            try:
                yield connection
            finally:
                end_statements(connection)

    @contextmanager
    def write(self, *, waiting: Waiting | None = None) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises
        ------
        DatabaseBusy
            Another process holds the lock for longer than `waiting` allows (by default, the rule of this database).
        DiskFull
        """
        with self._begin(WRITE, waiting or self._waiting) as connection:
            yield connection

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            # Referenced here, so that the garbage collector finds a lost stream, which ends its transaction, before its
            # connection, which would return to the pool in the middle of the transaction.
            self._in_use.add(connection)
            try:
                yield connection
            finally:
                self._in_use.discard(connection)

    @contextmanager
    def _begin(self, how: str, waiting: Waiting = AS_LONG_AS_IT_TAKES) -> Iterator[Connection]:
        while True:
            with self._connected() as connection:
                if begin(connection, how, waiting):
                    with commit_at_end(connection, how), watched(connection, how):
                        yield connection
                    if how == WRITE:
                        self._log.keep_short(connection)
                    return
                # The connection reads an old snapshot and can never write: take another one now.
                log.error("connection_discarded", reason="it reads an old snapshot of the database")
                connection.invalidate()

    def is_reachable(self) -> bool:
        """Return whether the database answers and has the newest migration."""
        # A connection to an empty file would change its journal beside the migration that does so, and one would fail.
        if not self.path.exists() or self.path.stat().st_size == 0:
            return False
        try:
            with self.read() as connection:
                revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
                return revision == newest_revision()
        except DatabaseError:
            return False

    def version(self) -> int:
        """Return a number that changes with every commit of any process: if it is the same, so is the data."""
        return self._version.read()

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()
        self._version.close()


def require_migrated(database: Database) -> None:
    """Raise ServiceUnavailable if the newest migration has not been applied."""
    if not database.is_reachable():
        raise ServiceUnavailable("The database is not ready: run `retainstream migrate`.")
