"""The engine's connections: set up by pragmas, aware of their open cursors, watched by the pool.

Law: a connection in the pool holds no statement and no transaction; one that comes back with either is thrown away.
SQLite keeps the moment that a reader sees for as long as one of its statements is open, COMMIT or not: such a
connection would go on reading old data, could never write again, and would keep the log from being written back.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from database.engine.waiting import BUSY_TIMEOUT_S

#: The log may grow to 64 MB before it is written back: each time, the disk is waited for.
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "wal_autocheckpoint=16000",
)
log = structlog.get_logger()


class _Cursor(sqlite3.Cursor):
    """A cursor that tells its connection when it is closed."""

    connection: TrackedConnection

    def close(self) -> None:
        # Once: where the connection is gone meanwhile, a second time would be an error.
        if self in self.connection.open_cursors:
            self.connection.open_cursors.discard(self)
            super().close()


class TrackedConnection(sqlite3.Connection):
    """A connection that knows which of its cursors nobody has closed or dropped yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.open_cursors: WeakSet[_Cursor] = WeakSet()

    def cursor(self, factory: Any = None) -> Any:
        """A cursor; the driver's own `execute` makes its cursors here too."""
        made = super().cursor(factory or _Cursor)
        self.open_cursors.add(made)
        return made

    def end_statements(self) -> None:
        """Close every open cursor, and with it its statement."""
        for cursor in list(self.open_cursors):
            cursor.close()


def end_statements(connection: Connection) -> None:
    """End whatever is still being read by a connection: nobody reads on once a transaction is over."""
    raw: Any = connection.connection.dbapi_connection
    raw.end_statements()


def make_engine(path: Path, *, pooled: bool, cache_mb: int) -> Engine:
    """Return an engine for a database file; its connections are kept between uses where `pooled`."""
    # The one that came back last goes first: page caches are filled by as many connections as are used at once.
    options: dict[str, Any] = (
        {"pool_size": 32, "max_overflow": 8, "pool_use_lifo": True} if pooled else {"poolclass": NullPool}
    )
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "factory": TrackedConnection},
        # A transaction that is left open is a mistake, which `_check_returned` logs: nothing hides it.
        pool_reset_on_return=None,
        **options,
    )
    event.listen(engine, "connect", partial(_prepare, cache_mb))
    event.listen(engine, "checkin", _check_returned)
    return engine


def _prepare(cache_mb: int, raw: sqlite3.Connection, _: object) -> None:
    # Driver autocommit: BEGIN and COMMIT are ours alone, so that BEGIN IMMEDIATE is possible.
    raw.isolation_level = None
    cursor = raw.cursor()
    for pragma in (*PRAGMAS, f"cache_size=-{cache_mb * 1024}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _check_returned(raw: TrackedConnection | None, record: Any) -> None:
    if raw is None:  # thrown away already
        return
    cursors, in_transaction = len(raw.open_cursors), raw.in_transaction
    if cursors or in_transaction:
        log.error("connection_thrown_away", open_cursors=cursors, in_transaction=in_transaction)
        raw.end_statements()  # closing a connection leaves a statement open that somebody still holds
        record.invalidate()
