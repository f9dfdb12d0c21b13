"""Connections that know their open cursors, and a pool that takes none back with one, or within a transaction.

Law: a connection in the pool holds no statement and no transaction. SQLite keeps the moment that a reader sees for as
long as one of its statements is open, COMMIT or not: such a connection would go on reading old data, could never write
again, and would keep the log from being written back.
"""

from __future__ import annotations

import sqlite3
from typing import Any
from weakref import WeakSet

import structlog
from sqlalchemy import Connection, Engine, event

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


def guard_pool(engine: Engine) -> None:
    """Throw a connection away, and say so, where it comes back with an open cursor or within a transaction."""
    event.listen(engine, "checkin", _look_over)


def _look_over(raw: TrackedConnection | None, record: Any) -> None:
    if raw is None:  # thrown away already
        return
    cursors, in_transaction = len(raw.open_cursors), raw.in_transaction
    if cursors or in_transaction:
        log.error("connection_thrown_away", open_cursors=cursors, in_transaction=in_transaction)
        raw.end_statements()  # closing a connection leaves a statement open that somebody still holds
        record.invalidate()
