"""Jobs, for the code that asks for work and the code that does it: kinds, submitting, waiting, reporting.

Law: nothing about a job lives only in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar

import structlog
from pydantic import TypeAdapter

from database.accounts.audit import COMMAND_LINE, WORKER, Actor
from database.engine import files
from database.engine.interruption import CANCELLED
from database.engine.session import Database
from database.jobs import idempotency, job_lists, jobs, workers
from database.jobs.jobs import Job
from gateway.clients.ml_client import MLClient
from gateway.environment import Environment
from gateway.services.accounts.api_keys import Scope
from gateway.services.jobs.queue_limits import QueueLimits
from gateway.settings import Settings
from shared.clock import Clock, iso
from shared.errors import (
    Cancelled,
    DatabaseBusy,
    DiskFull,
    NotFound,
    ServiceUnavailable,
    from_code,
)

log = structlog.get_logger()

P = TypeVar("P")
Result = Mapping[str, Any]
LaneName = Literal["training", "short", "bulk"]
#: A worker that was not seen for this long counts as gone.
UNSEEN_S = 15.0
#: With less free disk space than this, a worker may be running but unable to record it.
LEAST_FREE_BYTES = 1024 * 1024
NO_WORKER = "No worker is running: start `retainstream worker` (or `make run`)."
DISK_IS_FULL = "The disk is full, so no worker can take this job. Free some space and try again."
UNFINISHED = "The data that this job wrote count already; its next attempt will update the figures that depend on them."
_POLL_S = (0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Work:
    """A claimed job, the environment it runs in, and how it reports.

    Attributes
    ----------
    without_request
        The actor where no request asked for the job: the worker by its schedule, or a command.
    """

    environment: Environment
    job: Job
    report: Callable[[float, str], None] = lambda progress, stage: None
    part: tuple[float, float] = (0.0, 1.0)
    stops: threading.Event = field(default_factory=threading.Event)
    _reported_at: list[float] = field(default_factory=lambda: [0.0])
    at_end: list[Callable[[], None]] = field(default_factory=list)
    without_request: Actor = WORKER

    @property
    def actor(self) -> Actor:
        """The person, key, command or program that asked for the job, for the audit log."""
        job = self.job
        if job.user_id is None and job.request_id is None:
            return self.without_request
        return Actor(user_id=job.user_id, request_id=job.request_id, key_id=job.key_id)

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
        """Report the progress of this part, in [0, 1]. Raises Cancelled if the job was asked to stop."""
        low, high = self.part
        overall = low + (high - low) * min(max(progress, 0.0), 1.0)
        self.report(overall, stage)
        if time.monotonic() - self._reported_at[0] > 0.5:
            self._reported_at[0] = time.monotonic()
            self._store_progress(overall, stage)
        self.check()

    def _store_progress(self, progress: float, stage: str) -> None:
        try:
            with self.database.write() as connection:
                if jobs.heartbeat(connection, self.job, now=iso(self.clock()), progress=progress, stage=stage):
                    self.stops.set()
        except DatabaseBusy:  # stored at the next step
            log.warning("progress_not_stored", stage=stage)

    def check(self) -> None:
        """Raise Cancelled if the job was asked to stop."""
        if self.stops.is_set():
            raise Cancelled(CANCELLED)

    def afterwards(self, do: Callable[[], None]) -> None:
        """Call `do` only once the job's end is written: another attempt may need the files it removes."""
        self.at_end.append(do)

    def note(self, progress: float, stage: str) -> None:
        """Report the progress of this part when it is too late to stop."""
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
        Its name in the jobs table and the API.
    lane
        The lane of its jobs (`gateway.services.kinds.LANES`).
    scope
        The scope that an API key needs for it; None if no key may use it.
    params
        Dataclass of its parameters.
    run
        Does the work and returns the job's result.
    """

    name: str
    lane: LaneName
    scope: Scope | None
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
    limits: QueueLimits | None = None,
    share: bool = False,
    **asker: Any,
) -> int:
    """Queue a job and return its id.

    Parameters
    ----------
    limits
        Limits of the queue; None for the command line, which has none.
    share
        Return the queued job of an identical request by the same caller, if there is one.
    **asker
        The request: `user_id`, `key_id`, `request_id`, `idempotency_key`, `question`, as `jobs.create` takes them.

    Raises
    ------
    TooManyQueued, QueueFull
    DiskFull
        Someone asks for it, and the disk is nearly full.
    IdempotencyKeyReused
        The idempotency key was used for another request.
    """
    if limits is not None:
        files.require_reserve(database.path)
    with database.write() as connection:
        now = iso(clock())
        asked = {"kind": kind.name, "params": kind.store(params), "now": now, **asker}
        known = idempotency.known(connection, **asked) if asker.get("idempotency_key") else None
        if known is None and share:
            known = job_lists.same_queued(connection, **asked)
        if known is not None:
            return known
        if limits is not None:
            limits.admit(connection, kind.name, asker.get("user_id"))
        return jobs.create(connection, **asked)


def read(database: Database, job_id: int) -> Job:
    """Return one job. Raises NotFound."""
    with database.read() as connection:
        job = jobs.get(connection, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def wait_for(database: Database, job_id: int, seconds: float) -> Job:
    """Return the job once it has ended, or unfinished after `seconds`."""
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
    """Return the result of a finished job, or raise its error."""
    if job.state == "done":
        return job.result or {}
    if job.error is None:
        raise ServiceUnavailable(UNFINISHED)
    raise from_code(job.error["code"], job.error["message"], job.error.get("details", ()))


def worker_is_running(database: Database, clock: Clock) -> bool:
    """Return whether a worker was seen lately."""
    now, around = clock(), timedelta(seconds=UNSEEN_S)
    with database.read() as connection:
        return workers.any_seen(connection, since=iso(now - around), until=iso(now + around))


def require_worker(database: Database, clock: Clock) -> None:
    """Raise if no worker was seen lately: a job would wait for ever.

    Raises
    ------
    DiskFull
        A worker may be running, but can't record it.
    ServiceUnavailable
        No worker is running.
    """
    if worker_is_running(database, clock):
        return
    raise DiskFull(DISK_IS_FULL) if files.free_disk(database.path) < LEAST_FREE_BYTES else ServiceUnavailable(NO_WORKER)
