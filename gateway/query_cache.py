"""What was read from the database, kept for as long as nothing in it has changed.

Law: a thing stands under the version of the database at which it was read, and is given again under no other: the
version is the same before the reading and after it, and no reader sees an older moment than its beginning
(`database.engine.connections`). Any commit of any process makes another version, so nothing here can be out of date.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from database.engine.session import Database

T = TypeVar("T")
#: Bytes in all, and of one thing. What is no answer counts as a thousand.
MOST, LARGEST, OTHER = 16 * 1024 * 1024, 128 * 1024, 1024


class Memory:
    """Things of the newest version, by what was asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._version = -1
        self._kept: dict[Hashable, Any] = {}
        self._size = 0

    def recall(self, asked: Hashable) -> tuple[int, Any]:
        """The present version, and what was found under it; None where that is not known."""
        version = self._database.version()
        with self._lock:
            if version != self._version:
                self._version, self._kept, self._size = version, {}, 0
            return version, self._kept.get(asked)

    def keep(self, asked: Hashable, version: int, found: Any) -> None:
        """Keep what was looked for from a version on, if that is the present one still; else it is dropped."""
        size = len(found) if isinstance(found, bytes) else OTHER
        now = self._database.version()
        with self._lock:
            if version == self._version == now and size <= LARGEST and self._size + size <= MOST:
                self._kept[asked] = found
                self._size += size

    def find(self, asked: Hashable, look: Callable[[], T]) -> T:
        """What was found before, else what is found now. A failure is raised and not kept."""
        version, found = self.recall(asked)
        if found is None:
            found = look()
            self.keep(asked, version, found)
        result: T = found
        return result
