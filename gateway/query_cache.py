"""A cache of what was read from the database, valid until the database, or a named part of it, changes.

Law: an entry is returned only at the database version at which it was read: the version is the same before and after
the read, and no read sees a snapshot older than its start (`database.engine.sqlite.connections`). Any commit of any
process makes a new version, so no entry can be out of date; a costly figure in it can be a minute old when it is read
(`database.engine.once`). An entry that depends on a part of the database alone is returned in the state of that part in
which it was read, and a costly one a minute after.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from database.engine.once import OncePerState, State
from database.engine.session import Database

T = TypeVar("T")
MAX_TOTAL_BYTES = 16 * 1024 * 1024
MAX_ENTRY_BYTES = 128 * 1024
#: Bytes counted for an entry that is not `bytes`.
OBJECT_BYTES = 1024
#: Entries that depend on a part of the database alone: a few are asked for.
MOST_OF_STATES = 16


class QueryCache:
    """Entries of the database's newest version, by key."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._version = -1
        self._entries: dict[Hashable, Any] = {}
        self._size = 0
        self._of_states = OncePerState(MOST_OF_STATES)

    def get(self, key: Hashable) -> tuple[int, Any]:
        """Return the database's version and the entry of that version; None where there is none."""
        version = self._database.version()
        with self._lock:
            if version != self._version:
                self._version, self._entries, self._size = version, {}, 0
            return version, self._entries.get(key)

    def put(self, key: Hashable, version: int, value: Any) -> None:
        """Keep a value whose read began at a version, if the database still has that version; else drop it."""
        size = len(value) if isinstance(value, bytes) else OBJECT_BYTES
        now = self._database.version()
        with self._lock:
            fits = size <= MAX_ENTRY_BYTES and self._size + size <= MAX_TOTAL_BYTES
            if version == self._version == now and fits:
                self._entries[key] = value
                self._size += size

    def get_or_read(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return the entry, or read it and keep it. A failure is raised and not kept."""
        version, value = self.get(key)
        if value is None:
            value = read()
            self.put(key, version, value)
        result: T = value
        return result

    def get_or_read_in(self, state: State, key: Hashable, read: Callable[[], T]) -> T:
        """Return the entry that was read in a state, or a costly one that is young, or read it and keep it.

        Parameters
        ----------
        state
            State of the part of the database that `read` looks at, read before this call; it never comes back.
        key
            Threads that ask for the same one meanwhile wait for what is read.
        """
        return self._of_states.get(key, state, read)

    def find_in(self, state: State, key: Hashable) -> Any:
        """Return the entry that was put in a state; None if there is none."""
        return self._of_states.find(key, state)

    def put_in(self, state: State, key: Hashable, value: object) -> None:
        """Keep what was read in a state, in place of that of an earlier state."""
        self._of_states.put(key, state, value)
