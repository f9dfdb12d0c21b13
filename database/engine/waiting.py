"""How long a writer waits for the write lock, and how many may wait.

Law: in a process that serves requests, waiting writers never take all threads: reads go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

BUSY_TIMEOUT_S = 15
#: A waiting writer tries this often: several times in the `REST_S` for which bulk writers leave the lock free
#: (`database.engine.batch_sizing`). SQLite itself waits up to 0.1 s between two tries.
RETRY_S = 0.002
#: Any writer may wait this long: our own writers hold the lock for less (law 8).
PATIENCE_S = 0.5


class Waiting:
    """The rule by which the writers of a process wait.

    Parameters
    ----------
    seconds
        How long each writer waits, at most.
    places
        How many may wait for longer than `PATIENCE_S`; None for any number. While all places are taken, further
        writers do not wait at all.
    """

    def __init__(self, seconds: float, places: int | None = None) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._free = places

    @contextmanager
    def turns(self) -> Iterator[Iterator[None]]:
        """Give an iterator that yields whenever to try, as long as the writer may wait."""
        turns = self._turns()
        try:
            yield turns
        finally:
            turns.close()

    def _turns(self) -> Generator[None, None, None]:
        began = time.monotonic()
        yield
        while self._free != 0 and time.monotonic() - began < min(PATIENCE_S, self._seconds):
            time.sleep(RETRY_S)
            yield
        if self._seconds <= PATIENCE_S or not self._acquire():
            return
        try:
            while time.monotonic() - began < self._seconds:
                time.sleep(RETRY_S)
                yield
        finally:
            self._release()

    def _acquire(self) -> bool:
        with self._lock:
            if self._free == 0:
                return False
            if self._free is not None:
                self._free -= 1
            return True

    def _release(self) -> None:
        with self._lock:
            if self._free is not None:
                self._free += 1


AS_LONG_AS_IT_TAKES = Waiting(BUSY_TIMEOUT_S)
NOT_AT_ALL = Waiting(0.0)
