"""A cache of values that outlive most changes of the database: each is kept while a state that the reader names stays.

Law: the state is read before the value, so that a value is never older than the state that it is kept under.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class StateCache:
    """One value by name, of the newest state. Threads that need the same moment's value wait for one read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Hashable, Any]] = {}

    def get_or_read(self, name: str, state: Hashable, read: Callable[[], T]) -> T:
        """Return the value of this state, or read it and keep it in place of an earlier state's."""
        with self._lock:
            if name not in self._known or self._known[name][0] != state:
                self._known[name] = (state, read())
            result: T = self._known[name][1]
            return result
