"""Requests as Prometheus metrics and as counts of the newest minutes, and who may read metrics.

Law: the label is the route's rule, never its path, so that labels are bounded; counting takes a microsecond.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

#: Minutes that are counted, the present one included, and the seconds from which an answer is slow.
MINUTES, SLOW_S = 10, 0.5


class Recent(NamedTuple):
    """Requests of the newest minutes: how many, how many failed (5xx) and were slow, and over how many seconds."""

    requests: int
    failed: int
    slow: int
    window_s: float


class RecentRequests:
    """Counts of the newest ten minutes of this process.

    Parameters
    ----------
    now_s
        Seconds of a clock that is never put.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s, self._began_s = now_s, now_s()
        self._lock = threading.Lock()
        # (minute, requests, failed, slow); a slot whose minute is not of the window counts nothing.
        self._slots = [[-1, 0, 0, 0] for _ in range(MINUTES)]

    def count(self, status: int, took_s: float) -> None:
        """Count one answer."""
        minute = int(self._now_s() // 60)
        with self._lock:
            slot = self._slots[minute % MINUTES]
            if slot[0] != minute:
                slot[:] = (minute, 0, 0, 0)
            slot[1] += 1
            slot[2] += status >= 500
            slot[3] += took_s > SLOW_S

    def read(self) -> Recent:
        """Return the counts of the window."""
        now_s = self._now_s()
        first = int(now_s // 60) - MINUTES + 1
        with self._lock:
            counted = [slot[1:] for slot in self._slots if slot[0] >= first]
        requests, failed, slow = (sum(part) for part in zip(*counted, strict=True)) if counted else (0, 0, 0)
        return Recent(requests, failed, slow, now_s - max(self._began_s, first * 60.0))


class RequestMetrics:
    """Counts and times per route."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("http_requests_total", "Requests served", labels, registry=self.registry)
        self.seconds = Histogram("http_request_seconds", "Time to answer", ("route",), registry=self.registry)
        ProcessCollector(registry=self.registry)
        self.recent = RecentRequests()
        # Looking up a metric by its labels takes longer than counting.
        self._lines = cache(lambda *labels: (self.requests.labels(*labels), self.seconds.labels(labels[1])))

    def count(self, method: str, route: str, status: int, took_s: float, *, waited_s: float = 0.0) -> None:
        """Count one answer; `waited_s` of its time the client waited on purpose, for the end of a job."""
        requests, seconds = self._lines(method, route, status)
        requests.inc()
        seconds.observe(took_s)
        # Polls of the state would outnumber the rest.
        if route.startswith("/api/") and not route.startswith("/api/health"):
            self.recent.count(status, took_s - waited_s)


def is_allowed(header: str | None, token: str | None) -> bool:
    """Return whether an Authorization header holds the token of metrics; always where no token is set."""
    if token is None:
        return True
    kind, _, given = (header or "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())
