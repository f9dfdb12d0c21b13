"""Requests as Prometheus metrics, and who may read metrics.

Law: the label is the route's rule, never its path, so that labels are bounded.
"""

from __future__ import annotations

import hmac
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector


class RequestMetrics:
    """Counts and times per route."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("http_requests_total", "Requests served", labels, registry=self.registry)
        self.seconds = Histogram("http_request_seconds", "Time to answer", ("route",), registry=self.registry)
        ProcessCollector(registry=self.registry)
        # Looking up a metric by its labels takes longer than counting.
        self._lines = cache(lambda *labels: (self.requests.labels(*labels), self.seconds.labels(labels[1])))

    def count(self, method: str, route: str, status: int, took_s: float) -> None:
        """Count one answer."""
        requests, seconds = self._lines(method, route, status)
        requests.inc()
        seconds.observe(took_s)


def is_allowed(header: str | None, token: str | None) -> bool:
    """Return whether an Authorization header holds the token of metrics; always where no token is set."""
    if token is None:
        return True
    kind, _, given = (header or "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())
