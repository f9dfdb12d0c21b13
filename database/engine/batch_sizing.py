"""Adapts the number of rows in a write transaction to the duration of earlier ones.

Law: transactions hold the write lock for about the target time, on any machine and under any load, and leave it free
in between for longer than a waiting writer sleeps (`database.engine.sqlite.transactions`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")
#: Target time: far below the limit of 250 ms, so that a machine that suddenly gets busy stays below it.
AIM_S = 0.03
#: Seconds that consecutive transactions hold the lock before it is left free for `REST_S`.
HELD_S = 0.1
#: Seconds that the lock is then left free: longer than a waiting writer sleeps between two tries, so that no writer
#: waits for long.
REST_S = 0.008


class AdaptiveBatchSize:
    """The number of rows for the next transaction, adapted to the duration of earlier ones.

    Parameters
    ----------
    first, fewest, most : int
        Rows (or keys) of the first transaction, and the bounds of every other.
    aim_s : float
        Seconds that a transaction should take.

    Attributes
    ----------
    size : int
        Rows in the next transaction, at most.
    longest_s : float
        Seconds of the longest transaction so far.
    """

    def __init__(self, first: int = 1_000, fewest: int = 250, most: int = 8_000, aim_s: float = AIM_S) -> None:
        self.size, self._fewest, self._most, self._aim_s = first, fewest, most, aim_s
        self.longest_s = self._since_rest_s = self._left_at = 0.0

    @contextmanager
    def timed(self, transaction: AbstractContextManager[T]) -> Iterator[T]:
        """Hold a write transaction, adapt `size` to its duration, and pause if the lock was held for `HELD_S`.

        The time until the transaction begins does not count: another writer holds the lock.
        """
        with transaction as opened:
            began = time.monotonic()
            if began - self._left_at >= REST_S:
                # The caller did something else and left the lock free for long enough.
                self._since_rest_s = 0.0
            yield opened
        self._left_at = time.monotonic()
        self.took(self._left_at - began)
        if self._since_rest_s >= HELD_S:
            self._since_rest_s = 0.0
            time.sleep(REST_S)

    def took(self, seconds: float) -> None:
        """Adapt `size` to the duration of a transaction of that size."""
        self.longest_s = max(self.longest_s, seconds)
        self._since_rest_s += seconds
        self.size = int(min(max(self.size * min(self._aim_s / max(seconds, 1e-4), 1.5), self._fewest), self._most))
