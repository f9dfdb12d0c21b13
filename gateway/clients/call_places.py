"""Limits the threads that wait for another service, so that a hanging service does not hold them all.

Law: a call without a place waits for one while other calls return; once none has for `PATIENCE_S`, it fails.
"""

from __future__ import annotations

import threading
import time

from shared.errors import ServiceUnavailable

#: Longer than the time between two returning calls while the service answers.
PATIENCE_S = 0.5
RETRY_S = 5
BUSY = "The ML service is slow to answer, and too many requests wait for it already; try again in a few seconds."


class CallPlaces:
    """A number of places; a call holds one within `with places:`.

    Parameters
    ----------
    most
        Maximum number of calls at the same time.
    """

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._changed_at = 0.0
        self._freed = threading.Condition()

    def __enter__(self) -> None:
        """Take a place.

        Raises
        ------
        ServiceUnavailable
            All places are taken, and none was freed for half a second.
        """
        with self._freed:
            while self._taken >= self._most:
                patience_s = self._changed_at + PATIENCE_S - time.monotonic()
                if patience_s <= 0:
                    raise ServiceUnavailable(BUSY, retry_after_s=RETRY_S)
                self._freed.wait(patience_s)
            self._taken += 1
            if self._taken == self._most:
                self._changed_at = time.monotonic()

    def __exit__(self, *_: object) -> None:
        """Free the place."""
        with self._freed:
            self._taken -= 1
            self._changed_at = time.monotonic()
            self._freed.notify()
