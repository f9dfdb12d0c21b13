"""Answers to reads, kept for as long as nothing in the database has changed.

Law: an answer is given again only under the version of the database that it was begun under; any commit of any process
makes another version, so nothing here can be out of date.
"""

from __future__ import annotations

import threading

from database.session import Database

#: Answers at most, and bytes of one: 16 MB in all.
MOST, LARGEST = 128, 128 * 1024


class Memory:
    """The newest version's answers, by what was asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._version = -1
        self._kept: dict[str, bytes] = {}

    def recall(self, asked: str) -> tuple[int, bytes | None]:
        """The present version, and the answer where it is known."""
        version = self._database.version()
        with self._lock:
            if version != self._version:
                self._version, self._kept = version, {}
            return version, self._kept.get(asked)

    def keep(self, asked: str, version: int, answer: bytes) -> None:
        """Keep an answer that was begun under a version; one of an older version is dropped."""
        with self._lock:
            if version == self._version and len(answer) <= LARGEST and len(self._kept) < MOST:
                self._kept[asked] = answer
