"""Long statements of a job that somebody cancels: they are broken off instead of being read to their end.

Law: only what reads is broken off, and only within `interruptible`; a write is short by law and runs to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection

#: Steps of SQLite's machine between two looks: some milliseconds.
STEPS = 200_000
CANCELLED = "Cancelled on request; nothing was published."
_is_stopped: ContextVar[Callable[[], bool] | None] = ContextVar("is_stopped", default=None)


@contextmanager
def interruptible(is_stopped: Callable[[], bool] | None) -> Iterator[None]:
    """Break off reads of this thread once `is_stopped`; with None, let them run to their end again."""
    token = _is_stopped.set(is_stopped)
    try:
        yield
    finally:
        _is_stopped.reset(token)


@contextmanager
def watched(connection: Connection, how: str) -> Iterator[None]:
    """Look, while a transaction begun so is open, whether its reads are to be broken off."""
    is_stopped = _is_stopped.get()
    if is_stopped is None or how != "BEGIN":
        yield
        return
    raw: Any = connection.connection.dbapi_connection
    raw.set_progress_handler(is_stopped, STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)
