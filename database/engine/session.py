"""Opens the database: one engine, readers and writers.

Law: nobody commits by hand: leaving the block does, and it ends every statement that was begun in it, read to its end
or not. A reader sees one moment; a writer has the lock from its first statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DatabaseError

from database.engine.interruption import watched
from database.engine.revisions import newest_revision
from database.engine.sqlite.connections import end_statements, make_engine
from database.engine.sqlite.data_version import DataVersion
from database.engine.sqlite.transactions import READ, WRITE, begin, commit_at_end
from database.engine.waiting import AS_LONG_AS_IT_TAKES, Waiting
from shared.errors import ServiceUnavailable

__all__ = ["Connection", "Database", "require_migrated"]

log = structlog.get_logger()


class Database:
    """The customer database.

    Parameters
    ----------
    path
        Where the file is or will be.
    pooled
        Keep connections open between uses (servers), or open one each time (commands, tests).
    waiting
        How long a writer waits for the write lock, and how many do.
    cache_mb
        Pages that each connection keeps in memory.
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

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view; nothing is written."""
        with self._begin(READ) as connection:
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
    def write(self, *, waiting: Waiting | None = None) -> Iterator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises
        ------
        DatabaseBusy
            Somebody else holds the lock for longer than one waits (`waiting`, else as all writers of this process do).
        DiskFull
        """
        with self._begin(WRITE, waiting or self._waiting) as connection:
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
    def _begin(self, how: str, waiting: Waiting = AS_LONG_AS_IT_TAKES) -> Iterator[Connection]:
        while True:
            with self._connected() as connection:
                if begin(connection, how, waiting):
                    with commit_at_end(connection, how), watched(connection, how):
                        yield connection
                    return
                # It reads an old moment and can never write: another one, without waiting.
                log.error("connection_thrown_away", reason="it reads an old moment of the database")
                connection.invalidate()

    def is_reachable(self) -> bool:
        """Return whether a statement runs and the newest migration has been applied."""
        try:
            with self.read() as connection:
                revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
                return revision == newest_revision()
        except DatabaseError:
            return False

    def version(self) -> int:
        """Return a number that changes with every commit of any process: as long as it is the same, so is the data."""
        return self._version.read()

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()
        self._version.close()


def require_migrated(database: Database) -> None:
    """Raise ServiceUnavailable where the migrations have not run yet."""
    if not database.is_reachable():
        raise ServiceUnavailable("The database is not ready: run `retainstream migrate`.")
