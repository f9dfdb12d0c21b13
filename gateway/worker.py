"""The gateway's second process: takes jobs from the table and runs them, training in one lane, the rest in another.

Law: a job has one worker at a time; one that fell silent is taken back, so a restart tells the truth.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any

import structlog

from database.engine.revisions import refuse_foreign_file
from database.engine.session import Database, require_migrated
from database.engine.sqlite import file_lock
from database.jobs import jobs
from database.jobs.jobs import Job, Lane
from gateway.clients.ml_client import MLClient
from gateway.services import demo
from gateway.services.exporting import export_files, parquet
from gateway.services.importing import import_file, import_outcomes, preview
from gateway.services.jobs import work
from gateway.services.jobs.work import Handler, Work
from gateway.services.maintenance import retention
from gateway.services.models import training
from gateway.services.scoring import scoring_run
from gateway.settings import Settings, load_settings
from shared.clock import Clock, iso, utc_now
from shared.errors import InvalidInput, ServiceUnavailable
from shared.web.logs import configure_logs

log = structlog.get_logger()

HANDLERS: Mapping[str, Handler] = {
    "train": training.run,
    "score": scoring_run.run,
    "import": import_file.run,
    "export": parquet.run,
    "import-outcomes": import_outcomes.run,
    "preview": preview.preview,
    "propose-schema": preview.propose,
    "demo": demo.run,
}
IDLE_S = 0.1
SEEN_EVERY_S = 3.0


class Worker:
    """Two lanes over one jobs table.

    Parameters
    ----------
    name
        Unique among workers; host and process id by default.
    """

    def __init__(
        self,
        database: Database,
        ml: MLClient,
        settings: Settings,
        clock: Clock,
        *,
        name: str | None = None,
        stops: threading.Event | None = None,
    ) -> None:
        self._database, self._ml, self._settings, self._clock = database, ml, settings, clock
        self._name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._stops = stops or threading.Event()

    def stop(self) -> None:
        """Take no further jobs."""
        self._stops.set()

    def run(self) -> None:
        """Work until `stop`."""
        lanes: tuple[Lane, Lane] = ("training", "rest")
        threads = [threading.Thread(target=self._lane, args=(lane,), name=lane, daemon=True) for lane in lanes]
        threads.append(threading.Thread(target=self._keep, name="retention", daemon=True))
        for thread in threads:
            thread.start()
        log.info("worker_started", worker=self._name)
        while not self._stops.is_set():
            try:
                self._look_around()
            except Exception:  # a busy database must not end the worker: what failed is logged and tried again
                log.exception("look_around_failed")
            self._stops.wait(SEEN_EVERY_S)
        log.info("worker_stopped", worker=self._name)

    def _look_around(self) -> None:
        with self._database.write() as connection:
            now = iso(self._clock())
            jobs.worker_seen(connection, self._name, now)
            settled = jobs.settle_lost(connection, silent_since=work.silent_since(self._clock), now=now)
        export_files.remove_old(
            export_files.folder(self._settings.data_folder),
            keep_hours=self._settings.export_keep_hours,
            now=self._clock(),
        )
        if settled:
            log.warning("jobs_taken_back", jobs=settled)

    def _keep(self) -> None:
        limits = retention.Limits.of(self._settings)
        retention.daily(self._database, limits, clock=self._clock, stops=self._stops)

    def _lane(self, lane: Lane) -> None:
        while not self._stops.is_set():
            try:
                idle = self.run_one(lane) is None
            except Exception:  # the same for a lane
                log.exception("lane_stumbled", lane=lane)
                idle = True
            if idle:
                self._stops.wait(IDLE_S)

    def run_one(self, lane: Lane) -> Job | None:
        """Claim and run the oldest job of a lane; None where there is none."""
        with self._database.read() as connection:
            if not jobs.waiting(connection, lane):
                return None
        with self._database.write() as connection:
            job = jobs.claim(connection, lane=lane, worker=self._name, now=iso(self._clock()))
        if job is None:
            return None
        return work.run(
            Work(self._database, self._ml, self._settings, self._clock, job), HANDLERS.get(job.kind, _unknown)
        )


def _unknown(work: Work) -> Mapping[str, Any]:
    raise InvalidInput(f"No worker knows how to do {work.job.kind!r}.")


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    settings = load_settings()
    configure_logs(service="worker", level=settings.log_level, json_lines=settings.log_format == "json")
    using = file_lock.share(settings.database_path)
    database = Database(settings.database_path)
    refuse_foreign_file(database.path)
    stops = threading.Event()

    def _stop(number: int, frame: FrameType | None) -> None:
        stops.set()

    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    _wait_for_migrations(database, stops)
    ml = MLClient(settings.python_service_url, settings.ml_service_token.get_secret_value())
    with using:
        Worker(database, ml, settings, utc_now, stops=stops).run()


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
