"""Slots of the exports that are sent at the same time: an export holds a thread and a read transaction.

Law: one person, with all keys and sessions, has half of the slots at most, so that slow readers leave room for others.
"""

from __future__ import annotations

import threading
from collections import Counter

from shared.errors import ServiceUnavailable

ALL, EACH = 4, 2
BUSY = "This server is already running as many exports as it allows; try again."
TOO_MANY = f"{EACH} of your exports are being sent, the most that one person may have: try again when one is done."
RETRY_S = 5


class ExportSlots:
    """The slots of one process, counted by the id of the person who reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[int] = Counter()

    def take(self, person: int) -> None:
        """Take a slot. Raises ServiceUnavailable if none is free for this person."""
        with self._lock:
            if self._taken[person] >= EACH:
                raise ServiceUnavailable(TOO_MANY, retry_after_s=RETRY_S)
            if self._taken.total() >= ALL:
                raise ServiceUnavailable(BUSY, retry_after_s=RETRY_S)
            self._taken[person] += 1

    def give_back(self, person: int) -> None:
        """Give back a slot that was taken."""
        with self._lock:
            self._taken[person] -= 1
            self._taken += Counter()  # forgets who has none
