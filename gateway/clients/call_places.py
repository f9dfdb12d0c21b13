"""Bounds the threads that wait for another service, so that one which hangs does not hold them all.

Law: while calls come back, whoever finds no place waits a moment for one; once none comes back, it is told so at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import ServiceUnavailable

#: Longer than any queue takes to move on while the service answers.
PATIENCE_S = 0.5
RETRY_S = 5
BUSY = "The ML service is slow to answer, and as many requests as may wait for it do; try again in a few seconds."


class CallPlaces:
    """A number of places, each for one call.

    Parameters
    ----------
    most
        Calls at once.
    """

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._moved_at = 0.0
        self._freed = threading.Condition()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place.

        Raises
        ------
        ServiceUnavailable
            All are taken, and for half a second nobody has given one back.
        """
        self._take()
        try:
            yield
        finally:
            with self._freed:
                self._taken -= 1
                self._moved_at = time.monotonic()
                self._freed.notify()

    def _take(self) -> None:
        with self._freed:
            while self._taken >= self._most:
                patience_s = self._moved_at + PATIENCE_S - time.monotonic()
                if patience_s <= 0:
                    raise ServiceUnavailable(BUSY, retry_after_s=RETRY_S)
                self._freed.wait(patience_s)
            self._taken += 1
            if self._taken == self._most:
                self._moved_at = time.monotonic()
