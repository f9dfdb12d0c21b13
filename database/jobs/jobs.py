"""The jobs table: creates, claims, updates and ends long-running jobs.

Law: one UPDATE .. RETURNING claims a job, so that it has one worker; the states done, failed and cancelled are final;
stored results and errors are bounded. A bound job's work is kept whatever happens: it can't be cancelled any more, and
is retried until it ends. A worker that lost a job writes no more of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from database.accounts import audit
from database.accounts.audit import COMMAND_LINE, Actor
from database.engine.bulk_insert import AnyRow
from database.engine.interruption import CANCELLED
from database.jobs import idempotency
from database.tables import tables
from shared.errors import Cancelled, ServiceError, TooLarge
from shared.parsing_limits import MAX_DETAILS, MAX_ERROR_BYTES, MAX_RESULT_BYTES

j = tables.jobs
FINAL = ("done", "failed", "cancelled")
MAX_BOUND_ATTEMPTS = 5
KEPT = "What was written is kept; asking for the same again finishes what is missing or follows from it. "
TAKEN_OVER = "This worker stood still and lost its job: another attempt goes on with it."
TOO_LARGE = "The result takes {size:,} bytes, and a job keeps at most {most:,}. Ask for less at once."
#: Columns of a job that can be large: lists omit them.
LARGE = ("params_json", "result_json", "error_details_json")


@dataclass(frozen=True)
class Lane:
    """Jobs that a worker runs one at a time, beside those of other lanes: by their kinds.

    Attributes
    ----------
    kinds
        Names of kinds.
    is_the_rest : bool, default=False
        The lane holds all kinds but these, unknown ones too.
    """

    kinds: frozenset[str]
    is_the_rest: bool = False

    def condition(self) -> ColumnElement[bool]:
        """Return the SQL condition on its jobs."""
        return j.c.kind.not_in(self.kinds) if self.is_the_rest else j.c.kind.in_(self.kinds)


@dataclass(frozen=True)
class Job:
    """One long-running job.

    Attributes
    ----------
    result
        Its result; a bound job can have one while it still runs.
    is_bound
        Whether its work is kept whatever happens.
    """

    id: int
    kind: str
    state: str
    params: dict[str, Any]
    progress: float
    stage: str | None
    attempt: int
    cancel_requested: bool
    is_bound: bool
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    user_id: int | None
    key_id: int | None
    request_id: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


def job_of(row: AnyRow) -> Job:
    """Make a job from its row; columns that were not read are empty."""
    values = row._mapping
    error: dict[str, Any] | None = None
    if row.error_code is not None:
        error = {"code": row.error_code, "message": row.error_message}
        if details := values.get("error_details_json"):
            error["details"] = json.loads(details)
    return Job(
        id=row.id,
        kind=row.kind,
        state=row.state,
        params=json.loads(values.get("params_json") or "{}"),
        progress=row.progress,
        stage=row.stage,
        attempt=row.attempt,
        cancel_requested=bool(row.cancel_requested),
        is_bound=bool(row.is_bound),
        result=json.loads(result) if (result := values.get("result_json")) else None,
        error=error,
        user_id=row.user_id,
        key_id=row.key_id,
        request_id=row.request_id,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def create(
    connection: Connection,
    *,
    kind: str,
    params: Mapping[str, Any],
    now: str,
    user_id: int | None = None,
    request_id: str | None = None,
    idempotency_key: str | None = None,
    key_id: int | None = None,
    question: str | None = None,
) -> int:
    """Queue a job and audit it, or return the id of the job that the same user, kind and idempotency key made before.

    Parameters
    ----------
    key_id
        The API key that requested it.
    question
        Text that identifies the request, where the parameters do not.

    Raises
    ------
    InvalidInput
        The idempotency key was used for another request, or with another API key.
    """
    known_id = idempotency.known(
        connection, kind=kind, params=params, now=now, user_id=user_id, idempotency_key=idempotency_key, key_id=key_id,
        question=question,
    )  # fmt: skip
    if known_id is not None:
        return known_id
    values = {
        "kind": kind,
        "state": "queued",
        "params_json": json.dumps(dict(params)),
        "user_id": user_id,
        "key_id": key_id,
        "request_id": request_id,
        "idempotency_key": idempotency_key,
        "question_sha256": idempotency.sha_of(params, question),
        "created_at": now,
    }
    job_id = connection.execute(insert(j).values(values).returning(j.c.id)).scalar_one()
    actor = Actor(user_id, request_id, key_id)
    audit.record(connection, f"job.submitted.{kind}", at=now, actor=actor, subject=f"job:{job_id}")
    return job_id


def get(connection: Connection, job_id: int) -> Job | None:
    """Return one job by id."""
    row = connection.execute(select(j).where(j.c.id == job_id)).one_or_none()
    return job_of(row) if row else None


def claim(connection: Connection, *, lane: Lane, worker: str, now: str) -> Job | None:
    """Claim the oldest queued job of a lane; None if there is none."""
    queued = select(j.c.id).where(j.c.state == "queued", lane.condition())
    return _claim(connection, j.c.id == queued.order_by(j.c.id).limit(1).scalar_subquery(), worker, now)


def claim_one(connection: Connection, job_id: int, *, worker: str, now: str) -> Job | None:
    """Claim this job if it is queued."""
    return _claim(connection, j.c.id == job_id, worker, now)


def _claim(connection: Connection, which: Any, worker: str, now: str) -> Job | None:
    row = connection.execute(
        update(j)
        .where(which, j.c.state == "queued")
        .values(state="running", worker=worker, attempt=j.c.attempt + 1, started_at=now, heartbeat_at=now)
        .returning(j)
    ).one_or_none()
    return job_of(row) if row else None


def heartbeat(
    connection: Connection, job: Job, *, now: str, progress: float | None = None, stage: str | None = None
) -> bool:
    """Record a heartbeat and the progress of a job; return whether it must stop."""
    values: dict[str, Any] = {"heartbeat_at": now, "beats": j.c.beats + 1}
    if progress is not None:
        values["progress"] = progress
    if stage is not None:
        values["stage"] = stage
    row = connection.execute(update(j).where(*_held(job)).values(values).returning(j.c.cancel_requested)).one_or_none()
    # A job that this worker lost (declared lost, then claimed by another) must stop too.
    return row is None or bool(row.cancel_requested)


def bind(connection: Connection, job: Job) -> None:
    """Mark a job as bound: from here on it is finished, whatever happens, and can't be cancelled.

    Raises Cancelled if its cancellation was requested, or this worker lost it.
    """
    if _set(connection, job, {"is_bound": 1}):
        raise Cancelled(CANCELLED)


def note_result(connection: Connection, job: Job, result: Mapping[str, Any]) -> None:
    """Store the result of a bound job, or how far it is, in the transaction that writes it. Raises TooLarge.

    Raises Cancelled if this worker lost the job: the transaction must not stand beside the next attempt's work.
    """
    _set(connection, job, {"is_bound": 1, "result_json": _stored(result)})


def _set(connection: Connection, job: Job, values: Mapping[str, Any]) -> bool:
    """Set columns of a job that still runs under this claim; return whether its cancellation was requested."""
    row = connection.execute(update(j).where(*_held(job)).values(values).returning(j.c.cancel_requested)).one_or_none()
    if row is None:
        raise Cancelled(TAKEN_OVER)
    return bool(row.cancel_requested)


def note_result_of_import(connection: Connection, job_id: int, result: Mapping[str, Any]) -> None:
    """Store the result of an accepted import in the job that asked for it, whichever job finishes it. Raises TooLarge.

    A lock keeps imports apart, so that no other attempt writes the same import meanwhile.
    """
    values = {"is_bound": 1, "result_json": _stored(result)}
    connection.execute(update(j).where(j.c.id == job_id, j.c.state.not_in(FINAL)).values(values))


def finish(connection: Connection, job: Job, result: Mapping[str, Any], now: str) -> None:
    """Mark a job as done and store its result. Raises TooLarge."""
    values = {"state": "done", "progress": 1.0, "result_json": _stored(result), "finished_at": now}
    connection.execute(update(j).where(*_held(job)).values(values))


def fail(connection: Connection, job: Job, error: ServiceError, now: str) -> None:
    """Mark a job as failed or cancelled, or requeue a bound job whose work is kept and has to be finished."""
    counts = (*_held(job), j.c.is_bound == 1)
    if error.code != Cancelled.code:
        counts = (*counts, j.c.result_json.is_not(None))
    is_kept = connection.execute(select(j.c.id).where(*counts)).one_or_none() is not None
    if is_kept and job.attempt < MAX_BOUND_ATTEMPTS:
        again = {"state": "queued", "worker": None, "stage": "Starting again"}
        connection.execute(update(j).where(*_held(job)).values(again))
        return
    details = error.details[:MAX_DETAILS]
    while details and len(json.dumps(details)) > MAX_ERROR_BYTES:
        details = details[: len(details) // 2]
    state = "cancelled" if error.code == "cancelled" else "failed"
    values = {
        "state": state,
        "error_code": error.code,
        "error_message": (KEPT if is_kept else "") + error.message[:MAX_ERROR_BYTES],
        "error_details_json": json.dumps(details) if details else None,
        "finished_at": now,
    }
    connection.execute(update(j).where(*_held(job)).values(values))


def _stored(result: Mapping[str, Any]) -> str:
    text = json.dumps(dict(result))
    if len(text) > MAX_RESULT_BYTES:
        raise TooLarge(TOO_LARGE.format(size=len(text), most=MAX_RESULT_BYTES))
    return text


def _held(job: Job) -> tuple[Any, ...]:
    """Conditions: the job still runs under this claim, so that a lost worker can't change a later attempt."""
    return j.c.id == job.id, j.c.state == "running", j.c.attempt == job.attempt


def request_cancel(connection: Connection, job_id: int, now: str, actor: Actor = COMMAND_LINE) -> Job | None:
    """Cancel a job: a queued one now, a running one at its next step; a finished or bound job is not changed."""
    ended = connection.execute(
        update(j)
        .where(j.c.id == job_id, j.c.state == "queued", j.c.is_bound == 0)
        .values(state="cancelled", error_code="cancelled", error_message="Cancelled before it began.", finished_at=now)
    )
    running = (j.c.id == job_id, j.c.state == "running", j.c.cancel_requested == 0, j.c.is_bound == 0)
    asked = connection.execute(update(j).where(*running).values(cancel_requested=1))
    if ended.rowcount or asked.rowcount:
        audit.record(connection, "job.cancelled", at=now, actor=actor, subject=f"job:{job_id}")
    return get(connection, job_id)
