"""Interrupts long statements of a cancelled job.

Law: only reads are interrupted, and only within `interruptible`; a write is short by law and is never interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection

from shared.errors import Cancelled

#: Instructions of SQLite's virtual machine between two checks: some milliseconds.
STEPS = 200_000
CANCELLED = "Cancelled on request; nothing was published."
_is_stopped: ContextVar[Callable[[], bool] | None] = ContextVar("is_stopped", default=None)


@contextmanager
def interruptible(is_stopped: Callable[[], bool] | None) -> Iterator[None]:
    """Interrupt reads of this thread once `is_stopped()` is true; None turns interruption off."""
    token = _is_stopped.set(is_stopped)
    try:
        yield
    finally:
        _is_stopped.reset(token)


@contextmanager
def watched(connection: Connection, how: str) -> Iterator[None]:
    """Check, while a read transaction is open, whether to interrupt its statements."""
    if how != "BEGIN":
        yield
        return
    with watched_file(connection.connection.dbapi_connection):
        yield


@contextmanager
def watched_file(raw: Any) -> Iterator[None]:
    """Check, while statements of a connection of the driver only read, whether to interrupt them."""
    is_stopped = _is_stopped.get()
    if is_stopped is None:
        yield
        return
    raw.set_progress_handler(is_stopped, STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def check() -> None:
    """Raise Cancelled where a read would be interrupted: between parts of work that asks no database for long."""
    is_stopped = _is_stopped.get()
    if is_stopped is not None and is_stopped():
        raise Cancelled(CANCELLED)
