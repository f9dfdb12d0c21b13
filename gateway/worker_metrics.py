"""The worker's own metrics, on a port of its own.

Law: the server answers `/metrics` and nothing else, with the token where one is set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from database.jobs.jobs import Job
from shared.web.metrics import is_allowed

#: Jobs take from a second to hours.
SECONDS = (1, 5, 15, 60, 300, 900, 3600, 14400)


class WorkerMetrics:
    """Counts of a worker's jobs since it started."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        to = self.registry
        self._jobs = Counter("retainstream_worker_jobs_total", "Jobs ended", ("kind", "state"), registry=to)
        self._seconds = Histogram(
            "retainstream_worker_job_seconds", "Time of a job", ("kind",), buckets=SECONDS, registry=to
        )
        self._upkeep = Gauge("retainstream_worker_upkeep_timestamp_seconds", "When upkeep last ran", registry=to)
        ProcessCollector(registry=self.registry)

    def ended(self, job: Job, took_s: float) -> None:
        """Count a job that ended, or went back into the queue."""
        self._jobs.labels(job.kind, job.state).inc()
        self._seconds.labels(job.kind).observe(took_s)

    def is_well(self) -> None:
        """Note that the worker's upkeep ran."""
        self._upkeep.set_to_current_time()

    @contextmanager
    def served(self, host: str, port: int, token: str | None) -> Iterator[int]:
        """Serve until the block ends; yield the port."""

        def page(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
            if environ.get("PATH_INFO") != "/metrics":
                start("404 Not Found", [("Content-Type", "text/plain")])
                return [b"Only /metrics is here.\n"]
            if not is_allowed(environ.get("HTTP_AUTHORIZATION"), token):
                start("401 Unauthorized", [("Content-Type", "text/plain"), ("WWW-Authenticate", "Bearer")])
                return [b"Send METRICS_TOKEN as a bearer token.\n"]
            start("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
            return [generate_latest(self.registry)]

        server = make_server(host, port, page, _Server, _Quiet)
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a scrape is no event."""
