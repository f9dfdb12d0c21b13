"""How long a writer waits for the write lock, and how many wait at once.

Law: in a process that serves requests, writers that wait never take all of its threads: reads go on.
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
#: Any writer may wait this long: our own writers release the lock earlier (law 8).
PATIENCE_S = 0.5


class Waiting:
    """The rule by which the writers of a process wait.

    Parameters
    ----------
    seconds
        How long each of them waits at most.
    places
        How many may wait for longer than a moment; None where any number may. While all places are taken, whoever
        comes does not wait at all.
    """

    def __init__(self, seconds: float, places: int | None = None) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._free = places

    @contextmanager
    def turns(self) -> Iterator[Iterator[None]]:
        """Give the moments at which to try, as long as one may wait."""
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
        if self._seconds <= PATIENCE_S or not self._take():
            return
        try:
            while time.monotonic() - began < self._seconds:
                time.sleep(RETRY_S)
                yield
        finally:
            self._give_back()

    def _take(self) -> bool:
        with self._lock:
            if self._free == 0:
                return False
            if self._free is not None:
                self._free -= 1
            return True

    def _give_back(self) -> None:
        with self._lock:
            if self._free is not None:
                self._free += 1


AS_LONG_AS_IT_TAKES = Waiting(BUSY_TIMEOUT_S)
NOT_AT_ALL = Waiting(0.0)
