"""Every statement that a test executes is compiled for PostgreSQL too: it fails the test where it can't be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import CompileError, UnsupportedCompilationError
from sqlalchemy.sql.elements import ClauseElement

DATABASE = Path(__file__).parents[1] / "database"
SQLITE = DATABASE / "engine" / "sqlite"
_POSTGRESQL = postgresql.dialect()


class NotPortable(AssertionError):
    """A statement that SQLite alone understands, and that does not come from database/engine/sqlite."""


class PortableSql:
    """Compiles statements as they are executed, each form of them once."""

    def __init__(self) -> None:
        self.statements = 0
        self._seen: set[Any] = set()

    def look_at(self, connection: Any, statement: Any, *_: Any) -> None:
        """Compile a statement that is about to be executed. Raises NotPortable."""
        if not isinstance(statement, ClauseElement) or _comes_from_sqlite():
            return
        key = statement._generate_cache_key()
        if key is not None and key.key in self._seen:
            return
        try:
            statement.compile(dialect=_POSTGRESQL)
        except (CompileError, UnsupportedCompilationError, AttributeError, NotImplementedError) as error:
            raise NotPortable(f"PostgreSQL can't run this: {error}\n{statement.compile(connection)}") from error
        self.statements += 1
        if key is not None:
            self._seen.add(key.key)


def _comes_from_sqlite() -> bool:
    """Whether the nearest module of the database package that executes it is one that knows SQLite."""
    frame = sys._getframe(2)
    while frame is not None:
        knows = _knows_sqlite(frame.f_code.co_filename)
        if knows is not None:
            return knows
        frame = frame.f_back  # type: ignore[assignment]
    return False


@cache
def _knows_sqlite(module: str) -> bool | None:
    """Whether a module of the database package knows SQLite; None for any other module."""
    path = Path(module)
    return SQLITE in path.parents if DATABASE in path.parents else None


@contextmanager
def compiled_for_postgresql() -> Iterator[PortableSql]:
    """Look at every statement of every engine of this process, for as long as the block lasts."""
    found = PortableSql()
    event.listen(Engine, "before_execute", found.look_at)
    try:
        yield found
    finally:
        event.remove(Engine, "before_execute", found.look_at)
