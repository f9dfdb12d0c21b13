"""Time for tests of code that waits: it passes only while every thread sleeps, so nothing depends on the machine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from heapq import heappop, heappush

STUCK_S = 30.0


class VirtualTime:
    """Stands in for the module `time` in a module under test: `monotonic` and `sleep`.

    One thread runs at a time. When it sleeps, the thread with the earliest alarm goes on and the clock jumps there; of two
    with the same alarm the one that `run` names first. Code takes no time unless it sleeps.
    """

    def __init__(self) -> None:
        self._now = 1_000.0
        self._turn = threading.Condition()
        self._alarms: list[tuple[float, int]] = []
        self._next: tuple[float, int] | None = None
        self._awake = 0
        self._own = threading.local()

    def monotonic(self) -> float:
        """Seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let the other threads of `run` go on until the alarm; outside of `run`, only move the clock."""
        number = getattr(self._own, "number", None)
        if number is None:
            self._now += seconds
            return
        alarm = (self._now + seconds, number)
        with self._turn:
            heappush(self._alarms, alarm)
            self._give_way()
            assert self._turn.wait_for(lambda: self._next == alarm, STUCK_S), "no thread gives way"
            self._next = None

    def _give_way(self) -> None:
        self._awake -= 1
        if not self._awake and self._alarms:
            self._next = heappop(self._alarms)
            self._now, self._awake = self._next[0], 1
            self._turn.notify_all()

    def run(self, *functions: Callable[[], object]) -> None:
        """Run functions side by side, each in a thread, until all have ended; raise what one of them raised."""

        def begin(number: int, function: Callable[[], object]) -> None:
            self._own.number = number
            try:
                self.sleep(0.0)
                function()
            finally:
                with self._turn:
                    self._give_way()

        self._awake = len(functions)
        with ThreadPoolExecutor(len(functions)) as pool:
            started = [pool.submit(begin, number, function) for number, function in enumerate(functions)]
        for each in started:
            each.result()
