"""Submits jobs, waits for them, and runs the claimed ones.

Law: a job ends in exactly one of done, failed, cancelled, and says why; nothing about it lives only in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Generic, TypeVar

import structlog
from pydantic import TypeAdapter

from database.accounts.audit import COMMAND_LINE, Actor
from database.engine.session import Database
from database.jobs import jobs
from database.jobs.jobs import Job, Lane
from gateway.clients.ml_client import MLClient
from gateway.environment import Environment
from gateway.settings import Settings
from shared.clock import Clock, iso
from shared.errors import (
    Cancelled,
    DiskFull,
    Internal,
    NotFound,
    ServiceError,
    ServiceUnavailable,
    from_code,
    is_disk_full,
)

log = structlog.get_logger()

P = TypeVar("P")
Result = Mapping[str, Any]
HEARTBEAT_S = 2.0
SILENT_S = 15.0
_POLL_S = (0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Work:
    """A claimed job, the environment it runs in, and how it reports."""

    environment: Environment
    job: Job
    report: Callable[[float, str], None] = lambda progress, stage: None
    part: tuple[float, float] = (0.0, 1.0)
    _stop: threading.Event = field(default_factory=threading.Event)
    _reported_at: list[float] = field(default_factory=lambda: [0.0])

    @property
    def database(self) -> Database:
        return self.environment.database

    @property
    def ml(self) -> MLClient:
        return self.environment.ml

    @property
    def settings(self) -> Settings:
        return self.environment.settings

    @property
    def clock(self) -> Clock:
        return self.environment.clock

    def step(self, progress: float, stage: str) -> None:
        """Report how far this part is, in [0, 1]. Raises Cancelled when somebody asked to stop."""
        low, high = self.part
        overall = low + (high - low) * min(max(progress, 0.0), 1.0)
        self.report(overall, stage)
        if time.monotonic() - self._reported_at[0] > 0.5:
            self._reported_at[0] = time.monotonic()
            with self.database.write() as connection:
                if jobs.beat(connection, self.job, now=iso(self.clock()), progress=overall, stage=stage):
                    self._stop.set()
        if self._stop.is_set():
            raise Cancelled("Cancelled on request; nothing was published.")

    def note(self, progress: float, stage: str) -> None:
        """Report how far this part is where it is too late to stop."""
        with suppress(Cancelled):
            self.step(progress, stage)

    def within(self, low: float, high: float) -> Work:
        """Return the same work, whose steps fill only a part of the progress bar."""
        a, b = self.part
        return replace(self, part=(a + (b - a) * low, a + (b - a) * high))


@dataclass(frozen=True)
class JobKind(Generic[P]):
    """A kind of job. `gateway.services.kinds` lists them all.

    Attributes
    ----------
    name
        As the jobs table and the API call it.
    lane
        The worker's thread that runs it.
    params
        Dataclass of its parameters.
    run
        Does the work and returns what the job came to.
    """

    name: str
    lane: Lane
    params: type[P]
    run: Callable[[Work, P], Result]

    def store(self, params: P) -> dict[str, Any]:
        """Convert parameters to JSON values."""
        stored: dict[str, Any] = TypeAdapter(self.params).dump_python(params, mode="json")
        return stored

    def read(self, stored: Mapping[str, Any]) -> P:
        """Convert JSON values of a job's row to parameters. Raises ValidationError."""
        return TypeAdapter(self.params).validate_python(stored)


def submit(
    database: Database,
    clock: Clock,
    kind: JobKind[P],
    params: P,
    *,
    user_id: int | None = None,
    request_id: str | None = None,
    idempotency_key: str | None = None,
    key_id: int | None = None,
) -> int:
    """Queue a job and return its id."""
    with database.write() as connection:
        return jobs.create(
            connection,
            kind=kind.name,
            lane=kind.lane,
            params=kind.store(params),
            now=iso(clock()),
            user_id=user_id,
            request_id=request_id,
            idempotency_key=idempotency_key,
            key_id=key_id,
        )


def read(database: Database, job_id: int) -> Job:
    """Return one job. Raises NotFound."""
    with database.read() as connection:
        job = jobs.get(connection, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def wait_for(database: Database, job_id: int, seconds: float) -> Job:
    """Return the job when it has ended, or as it is after so many seconds."""
    deadline = time.monotonic() + seconds
    turn = 0
    while True:
        job = read(database, job_id)
        left = deadline - time.monotonic()
        if job.is_final or left <= 0:
            return job
        time.sleep(min(_POLL_S[min(turn // 5, len(_POLL_S) - 1)], left))
        turn += 1


def cancel(database: Database, clock: Clock, job_id: int, *, actor: Actor = COMMAND_LINE) -> Job:
    """Ask a job to stop. Raises NotFound."""
    with database.write() as connection:
        job = jobs.request_cancel(connection, job_id, iso(clock()), actor)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def result_or_raise(job: Job) -> dict[str, Any]:
    """Return what a finished job came to, or raise its failure as it was."""
    if job.state == "done":
        return job.result or {}
    if job.error is None:
        raise ServiceUnavailable("The job ended without a result.")
    raise from_code(job.error["code"], job.error["message"], job.error.get("details", ()))


def run(work: Work, kind: JobKind[Any]) -> Job:
    """Run a claimed job to its end: keep its heartbeat going and record how it ended."""
    heart_stops = threading.Event()
    heart = threading.Thread(target=_beat, args=(work, heart_stops), daemon=True, name=f"heart-{work.job.id}")
    structlog.contextvars.bind_contextvars(job_id=work.job.id, request_id=work.job.request_id)
    heart.start()
    try:
        result = kind.run(work, kind.read(work.job.params))
        with work.database.write() as connection:
            jobs.finish(connection, work.job, result, iso(work.clock()))
        log.info("job_done", kind=work.job.kind)
    except ServiceError as error:
        _record_failure(work, error)
    except Exception as error:  # the one place outside of the request handler that records an unknown failure
        log.exception("job_broke", kind=work.job.kind)
        broke = Internal("The job broke. Its id finds the reason in the worker's log.")
        _record_failure(work, DiskFull() if is_disk_full(error) else broke)
    except BaseException:
        # Ctrl-C in a command: without this the job would be taken for lost and run again.
        _record_failure(work, Cancelled("Stopped by whoever ran it; nothing was published."))
        raise
    finally:
        heart_stops.set()
        heart.join()
        structlog.contextvars.clear_contextvars()
    return read(work.database, work.job.id)


def _record_failure(work: Work, error: ServiceError) -> None:
    log.warning("job_failed", kind=work.job.kind, code=error.code, message=error.message)
    with work.database.write() as connection:
        jobs.fail(connection, work.job, error, iso(work.clock()))


def _beat(work: Work, stops: threading.Event) -> None:
    while not stops.wait(HEARTBEAT_S):
        try:
            with work.database.write() as connection:
                if jobs.beat(connection, work.job, now=iso(work.clock())):
                    work._stop.set()
        except Exception:  # one missed beat is no reason to give the job up
            log.exception("beat_failed")


def silent_since(clock: Clock) -> str:
    """Return the moment since which a worker must have been seen, or it is taken for gone."""
    return iso(clock() - timedelta(seconds=SILENT_S))


def require_worker(database: Database, clock: Clock) -> None:
    """Raise ServiceUnavailable where no worker has been seen lately: a job would wait for ever."""
    with database.read() as connection:
        if not jobs.has_worker(connection, silent_since(clock)):
            raise ServiceUnavailable("No worker is running: start `retainstream worker` (or `make run`).")
