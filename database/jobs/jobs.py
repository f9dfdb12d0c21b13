"""The jobs table: long work, claimed, followed and ended here.

Law: one UPDATE .. RETURNING claims a job, so that it has one worker; a state is final once it is done, failed or
cancelled; a job whose worker fell silent is never left running.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from database.accounts import audit
from database.accounts.audit import COMMAND_LINE, Actor
from database.engine.bulk_insert import AnyRow
from database.tables import tables
from shared.errors import ServiceError

j = tables.jobs
Lane = Literal["training", "rest"]
FINAL = ("done", "failed", "cancelled")
MAX_ATTEMPTS = 2
LOST = "The worker stopped while this ran and its second attempt is used up. Nothing was published; start it again."


@dataclass(frozen=True)
class Job:
    """One piece of long work."""

    id: int
    kind: str
    state: str
    params: dict[str, Any]
    progress: float
    stage: str | None
    attempt: int
    cancel_requested: bool
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    user_id: int | None
    request_id: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


def _job(row: AnyRow) -> Job:
    error = None
    if row.error_code is not None:
        error = {"code": row.error_code, "message": row.error_message}
        if row.error_details_json:
            error["details"] = json.loads(row.error_details_json)
    return Job(
        id=row.id,
        kind=row.kind,
        state=row.state,
        params=json.loads(row.params_json),
        progress=row.progress,
        stage=row.stage,
        attempt=row.attempt,
        cancel_requested=bool(row.cancel_requested),
        result=json.loads(row.result_json) if row.result_json else None,
        error=error,
        user_id=row.user_id,
        request_id=row.request_id,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def create(
    connection: Connection,
    *,
    kind: str,
    lane: Lane,
    params: Mapping[str, Any],
    now: str,
    user_id: int | None = None,
    request_id: str | None = None,
    idempotency_key: str | None = None,
    key_id: int | None = None,
) -> int:
    """Queue a job and record who did; with an idempotency key that this user has used for this kind, the job of then.

    Parameters
    ----------
    key_id
        The API key that it was asked for with.
    """
    if idempotency_key is not None:
        query = select(j.c.id).where(j.c.user_id == user_id, j.c.kind == kind, j.c.idempotency_key == idempotency_key)
        known = connection.execute(query).scalar_one_or_none()
        if known is not None:
            return int(known)
    values = {
        "kind": kind,
        "lane": lane,
        "state": "queued",
        "params_json": json.dumps(dict(params)),
        "user_id": user_id,
        "request_id": request_id,
        "idempotency_key": idempotency_key,
        "created_at": now,
    }
    job_id = connection.execute(insert(j).values(values).returning(j.c.id)).scalar_one()
    actor = Actor(user_id, request_id, key_id)
    audit.record(connection, f"job.submitted.{kind}", at=now, actor=actor, subject=f"job:{job_id}")
    return job_id


def get(connection: Connection, job_id: int) -> Job | None:
    """One job."""
    row = connection.execute(select(j).where(j.c.id == job_id)).one_or_none()
    return _job(row) if row else None


def page(
    connection: Connection,
    *,
    limit: int,
    before_id: int | None = None,
    state: str | None = None,
    kind: str | None = None,
) -> Sequence[Job]:
    """Jobs, newest first."""
    query = select(j).order_by(j.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(j.c.id < before_id)
    if state is not None:
        query = query.where(j.c.state == state)
    if kind is not None:
        query = query.where(j.c.kind == kind)
    return [_job(row) for row in connection.execute(query)]


def has_queued(connection: Connection, lane: Lane) -> bool:
    """Return whether a lane has a queued job; takes no lock."""
    query = select(j.c.id).where(j.c.state == "queued", j.c.lane == lane).limit(1)
    return connection.execute(query).one_or_none() is not None


def claim(connection: Connection, *, lane: Lane, worker: str, now: str) -> Job | None:
    """Take the oldest queued job of a lane, or None."""
    oldest = select(j.c.id).where(j.c.state == "queued", j.c.lane == lane).order_by(j.c.id).limit(1).scalar_subquery()
    return _claim(connection, j.c.id == oldest, worker, now)


def claim_one(connection: Connection, job_id: int, *, worker: str, now: str) -> Job | None:
    """Take this job if nobody has."""
    return _claim(connection, j.c.id == job_id, worker, now)


def _claim(connection: Connection, which: Any, worker: str, now: str) -> Job | None:
    row = connection.execute(
        update(j)
        .where(which, j.c.state == "queued")
        .values(state="running", worker=worker, attempt=j.c.attempt + 1, started_at=now, heartbeat_at=now)
        .returning(j)
    ).one_or_none()
    return _job(row) if row else None


def beat(
    connection: Connection, job: Job, *, now: str, progress: float | None = None, stage: str | None = None
) -> bool:
    """Say that the job is alive and how far it is; return whether somebody asked it to stop."""
    values: dict[str, Any] = {"heartbeat_at": now}
    if progress is not None:
        values["progress"] = progress
    if stage is not None:
        values["stage"] = stage
    row = connection.execute(update(j).where(*_held(job)).values(values).returning(j.c.cancel_requested)).one_or_none()
    # A job that is no longer ours (declared lost, then taken by another) must stop too.
    return row is None or bool(row.cancel_requested)


def finish(connection: Connection, job: Job, result: Mapping[str, Any], now: str) -> None:
    """The work is done."""
    _end(
        connection,
        job,
        {"state": "done", "progress": 1.0, "result_json": json.dumps(dict(result)), "finished_at": now},
    )


def fail(connection: Connection, job: Job, error: ServiceError, now: str) -> None:
    """The work came to nothing; a cancelled job ends as such."""
    details = json.dumps(error.details) if error.details else None
    state = "cancelled" if error.code == "cancelled" else "failed"
    values = {"state": state, "error_code": error.code, "error_message": error.message, "error_details_json": details}
    _end(connection, job, {**values, "finished_at": now})


def _end(connection: Connection, job: Job, values: Mapping[str, Any]) -> None:
    connection.execute(update(j).where(*_held(job)).values(dict(values)))


def _held(job: Job) -> tuple[Any, ...]:
    """Still running under this claim: a worker that was given up may not speak for the next one."""
    return j.c.id == job.id, j.c.state == "running", j.c.attempt == job.attempt


def request_cancel(connection: Connection, job_id: int, now: str, actor: Actor = COMMAND_LINE) -> Job | None:
    """Ask a job to stop: a queued one ends at once, a running one at its next step, a finished one stays as it is."""
    ended = connection.execute(
        update(j)
        .where(j.c.id == job_id, j.c.state == "queued")
        .values(state="cancelled", error_code="cancelled", error_message="Cancelled before it began.", finished_at=now)
    )
    running = (j.c.id == job_id, j.c.state == "running", j.c.cancel_requested == 0)
    asked = connection.execute(update(j).where(*running).values(cancel_requested=1))
    if ended.rowcount or asked.rowcount:
        audit.record(connection, "job.cancelled", at=now, actor=actor, subject=f"job:{job_id}")
    return get(connection, job_id)


def settle_lost(connection: Connection, *, silent_since: str, now: str, lane: Lane | None = None) -> list[int]:
    """Deal with jobs whose worker fell silent: queue them again, or fail them after the second attempt.

    Returns
    -------
    ids of all the jobs concerned.
    """
    lost = [j.c.state == "running", j.c.heartbeat_at < silent_since]
    if lane is not None:
        lost.append(j.c.lane == lane)
    stopped = (
        connection.execute(
            update(j)
            .where(*lost, j.c.cancel_requested == 1)
            .values(
                state="cancelled",
                error_code="cancelled",
                error_message="Cancelled; its worker had stopped.",
                finished_at=now,
            )
            .returning(j.c.id)
        )
        .scalars()
        .all()
    )
    failed = (
        connection.execute(
            update(j)
            .where(*lost, j.c.attempt >= MAX_ATTEMPTS)
            .values(state="failed", error_code="service_unavailable", error_message=LOST, finished_at=now)
            .returning(j.c.id)
        )
        .scalars()
        .all()
    )
    again = (
        connection.execute(
            update(j)
            .where(*lost)
            .values(state="queued", worker=None, progress=0.0, stage="Starting again")
            .returning(j.c.id)
        )
        .scalars()
        .all()
    )
    return [*stopped, *failed, *again]


def worker_seen(connection: Connection, name: str, now: str) -> None:
    """A worker says that it is there."""
    w = tables.workers
    if connection.execute(update(w).where(w.c.name == name).values(seen_at=now)).rowcount == 0:
        connection.execute(insert(w).values(name=name, seen_at=now))


def has_worker(connection: Connection, seen_since: str) -> bool:
    """Whether any worker said so lately."""
    w = tables.workers
    return connection.execute(select(w.c.name).where(w.c.seen_at >= seen_since).limit(1)).one_or_none() is not None


def active(connection: Connection, kind: str) -> int | None:
    """Id of a queued or running job of this kind."""
    query = select(j.c.id).where(j.c.kind == kind, j.c.state.in_(("queued", "running"))).limit(1)
    return connection.execute(query).scalar_one_or_none()


def unfinished_params(connection: Connection, name: str) -> list[str]:
    """A parameter of every job that is queued or running."""
    rows = connection.execute(select(j.c.params_json).where(j.c.state.in_(("queued", "running")))).scalars()
    return [value for text in rows if isinstance(value := json.loads(text).get(name), str)]
