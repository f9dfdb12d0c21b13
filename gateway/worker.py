"""The worker process: claims jobs from the table and runs them: one at a time in each lane.

Law: a job has one worker at a time; a running job whose heartbeats stopped is requeued or ended.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import threading
import time
from contextlib import nullcontext
from types import FrameType

import structlog

from database.engine import files
from database.engine.session import Database, require_migrated
from database.importing import imports
from database.jobs import job_lists, jobs, lost_jobs, workers
from database.jobs.jobs import Job
from database.models import models
from gateway.clients.webhooks import WebhookClient
from gateway.environment import Environment, open_environment
from gateway.services import kinds
from gateway.services.exporting import export_files
from gateway.services.importing import uploads
from gateway.services.jobs import running
from gateway.services.jobs.heartbeat_watch import HeartbeatWatch
from gateway.services.jobs.work import LaneName, Work
from gateway.services.maintenance import retention
from gateway.services.scheduling import calendar
from gateway.services.scoring import keeping
from gateway.services.webhooks import delivering
from gateway.settings import load_settings
from gateway.worker_metrics import WorkerMetrics
from shared import memory
from shared.clock import iso
from shared.errors import ServiceUnavailable
from shared.web.logs import configure_logs, log_everything

log = structlog.get_logger()

IDLE_S = 0.1
SEEN_EVERY_S = 3.0
SWEEP_EVERY_S = 60.0
MEGABYTE = 1024 * 1024
#: Receivers that may be slow at the same time before others wait.
SENDERS = 2


class Worker:
    """Runs the jobs of one table, one at a time in each lane.

    Parameters
    ----------
    name
        Unique among workers; host and process id by default.
    watch
        Finds the jobs whose heartbeats stopped.
    metrics
        Count what it does.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        name: str | None = None,
        stops: threading.Event | None = None,
        watch: HeartbeatWatch | None = None,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._environment, self._database, self._clock = environment, environment.database, environment.clock
        self._name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._stops = stops or threading.Event()
        self._watch = watch or HeartbeatWatch()
        self._metrics = metrics or WorkerMetrics()
        self._swept_at_s = float("-inf")
        self._working: set[LaneName] = set()

    def stop(self) -> None:
        """Claim no further jobs."""
        self._stops.set()

    def run(self) -> None:
        """Run jobs until `stop`."""
        kinds.load()
        threads = [threading.Thread(target=self._lane, args=(lane,), name=lane, daemon=True) for lane in kinds.LANES]
        threads.append(threading.Thread(target=self._run_retention, name="retention", daemon=True))
        threads.append(threading.Thread(target=self._keep_figures, name="figures", daemon=True))
        threads += [threading.Thread(target=self._deliver, name=f"webhooks-{k}", daemon=True) for k in range(SENDERS)]
        log.info("worker_started", worker=self._name)
        self._keep_up()  # recorded as seen before a lane takes a job
        for thread in threads:
            thread.start()
        while not self._stops.wait(SEEN_EVERY_S):
            self._keep_up()
        log.info("worker_stopped", worker=self._name)

    def _keep_up(self) -> None:
        try:
            self._run_upkeep()
            self._metrics.is_well()
        except Exception:  # a busy database must not end the worker: the failure is logged and upkeep retried
            log.exception("upkeep_failed")

    def _run_upkeep(self) -> None:
        with self._database.write() as connection:
            now = iso(self._clock())
            workers.seen(connection, self._name, now)
            silent = self._watch.find_stopped(lost_jobs.heartbeats(connection))
            settled = lost_jobs.requeue_or_end(connection, silent, now)
            models.release_lost(connection)
        calendar.tick(self._environment)
        self._sweep()
        export_files.remove_old(
            export_files.folder(self._environment.settings.data_folder),
            keep_hours=self._environment.settings.export_keep_hours,
            now=self._clock(),
        )
        if settled:
            log.warning("lost_jobs_settled", jobs=settled)

    def _sweep(self) -> None:
        if time.monotonic() - self._swept_at_s < SWEEP_EVERY_S:
            return
        self._swept_at_s = time.monotonic()
        with self._database.read() as connection:
            needed = {*job_lists.unfinished_params(connection, "path"), *imports.files(connection)}
        uploads.sweep(self._environment.settings.data_folder, needed=needed)

    def _run_retention(self) -> None:
        limits = retention.Limits.of(self._environment.settings)
        retention.daily(self._database, limits, clock=self._clock, stops=self._stops)

    def _keep_figures(self) -> None:
        cut = self._environment.settings.cut
        keeping.keep_renewed(self._database, cut, stops=self._stops, is_busy=lambda: bool(self._working))

    def _deliver(self) -> None:
        client = WebhookClient(self._environment.settings.webhook_networks)
        delivering.deliver(self._database, self._clock, client, self._stops)

    def _lane(self, lane: LaneName) -> None:
        nothing_at = -1  # the database's version at which no job waited
        while not self._stops.is_set():
            try:
                version = self._database.version()
                idle = version == nothing_at or self.run_one(lane) is None
                nothing_at = version if idle else -1
            except Exception:  # a failure must not end the lane
                log.exception("lane_failed", lane=lane)
                idle = True
            if idle:
                self._stops.wait(IDLE_S)

    def run_one(self, lane: LaneName) -> Job | None:
        """Claim and run the oldest job of a lane; return None where there is none."""
        with self._database.read() as connection:
            if not job_lists.has_queued(connection, kinds.LANES[lane]):
                return None
        with self._database.write() as connection:
            job = jobs.claim(connection, lane=kinds.LANES[lane], worker=self._name, now=iso(self._clock()))
        if job is None:
            return None
        began = time.monotonic()
        self._working.add(lane)
        try:
            ended = running.run(Work(self._environment, job), kinds.by_name(job.kind))
        finally:
            self._working.discard(lane)
        self._metrics.ended(ended, time.monotonic() - began)
        memory.give_back()
        return ended


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    settings = load_settings()
    configure_logs(service="worker", level=settings.log_level, json_lines=settings.log_format == "json")
    log_everything()
    memory.use_one_arena()
    _bound_memory(settings.worker_memory_mb * MEGABYTE)
    using = files.shared_use(settings.database_path)
    environment = open_environment(settings)
    stops = threading.Event()

    def _stop(number: int, frame: FrameType | None) -> None:
        stops.set()

    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    _wait_for_migrations(environment.database, stops)
    metrics, port = WorkerMetrics(), settings.worker_metrics_port
    with using, metrics.served(settings.host, port, settings.token_of_metrics) if port else nullcontext():
        if not stops.is_set():
            Worker(environment, stops=stops, metrics=metrics).run()


def _bound_memory(most_bytes: int) -> None:
    """Limit this process's memory, so that a job that needs more fails instead of the machine."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or hard > most_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, hard))


def _wait_for_migrations(database: Database, stops: threading.Event) -> None:
    while not stops.is_set():
        try:
            require_migrated(database)
        except ServiceUnavailable:
            stops.wait(0.5)
        else:
            return


if __name__ == "__main__":
    main()
