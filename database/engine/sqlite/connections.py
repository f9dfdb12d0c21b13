"""The engine's connections: configured by pragmas, tracking their open cursors, checked when they return to the pool.

Law: a pooled connection has no open statement and no transaction; one that returns with either is discarded.
SQLite keeps a reader's snapshot while one of its statements is open, COMMIT or not: such a connection would go on
reading old data, could never write again, and would keep the write-ahead log from being checkpointed.
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

#: The write-ahead log can grow to 64 MB between checkpoints: each checkpoint waits for the disk.
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "wal_autocheckpoint=16000",
)
#: Prepared statements that a connection keeps: 11 KB for one of customers. With the driver's 128 what SQLite held in
#: the gateway grew for as long as fifty users asked (51, then 70 MB after six minutes); with 32 it stands at 30 to 45.
KEPT_STATEMENTS = 32
log = structlog.get_logger()


class _Cursor(sqlite3.Cursor):
    """A cursor that tells its connection when it is closed."""

    connection: TrackedConnection

    def close(self) -> None:
        # Closed once only: a second close would fail if the connection has been closed since.
        if self in self.connection.open_cursors:
            self.connection.open_cursors.discard(self)
            super().close()


class TrackedConnection(sqlite3.Connection):
    """A connection that tracks its open cursors."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.open_cursors: WeakSet[_Cursor] = WeakSet()

    def cursor(self, factory: Any = None) -> Any:
        """Return a new cursor; the driver's own `execute` also makes its cursors here."""
        made = super().cursor(factory or _Cursor)
        self.open_cursors.add(made)
        return made

    def end_statements(self) -> None:
        """Close every open cursor and its statement."""
        for cursor in list(self.open_cursors):
            cursor.close()


def end_statements(connection: Connection) -> None:
    """End the open statements of a connection: nothing is read after its transaction."""
    raw: Any = connection.connection.dbapi_connection
    raw.end_statements()


def make_engine(path: Path, *, pooled: bool, cache_mb: int) -> Engine:
    """Return an engine for a database file; `pooled` keeps its connections open between uses."""
    # Last in, first out: only as many connections fill page caches as are used at the same time.
    options: dict[str, Any] = (
        {"pool_size": 32, "max_overflow": 8, "pool_use_lifo": True} if pooled else {"poolclass": NullPool}
    )
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={
            "timeout": BUSY_TIMEOUT_S,
            "check_same_thread": False,
            "factory": TrackedConnection,
            "cached_statements": KEPT_STATEMENTS,
        },
        hide_parameters=True,  # an error that is logged must not quote what it would have written
        # A transaction left open is a mistake: `_check_returned` logs it, and no reset hides it.
        pool_reset_on_return=None,
        **options,
    )
    event.listen(engine, "connect", partial(_prepare, cache_mb))
    event.listen(engine, "checkin", _check_returned)
    return engine


def _prepare(cache_mb: int, raw: sqlite3.Connection, _: object) -> None:
    # Driver autocommit: only our code sends BEGIN and COMMIT, so that BEGIN IMMEDIATE is possible.
    raw.isolation_level = None
    cursor = raw.cursor()
    for pragma in (*PRAGMAS, f"cache_size=-{cache_mb * 1024}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _check_returned(raw: TrackedConnection | None, record: Any) -> None:
    if raw is None:  # discarded already
        return
    cursors, in_transaction = len(raw.open_cursors), raw.in_transaction
    if cursors or in_transaction:
        log.error("connection_discarded", open_cursors=cursors, in_transaction=in_transaction)
        raw.end_statements()  # closing a connection would leave statements open that are still referenced
        record.invalidate()
