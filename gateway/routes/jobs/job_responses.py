"""Answers of routes whose work is a job: they wait as the client prefers (RFC 7240), or answer 202 with the job.

Law: at most `MAX_WAITING` requests wait at the same time; the others answer 202 immediately.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from flask import Response, g, request
from pydantic import BaseModel

from database.jobs.jobs import Job
from gateway.openapi import answers, ok
from gateway.security import job_access
from gateway.security.authentication import caller, current_user
from gateway.services.jobs import work
from gateway.services.jobs.queue_limits import QueueLimits
from gateway.services.jobs.work import JobKind, P
from gateway.web_environment import environment
from shared.web.request_ids import request_id

OTHERS = "Only the job's owner and administrators can see its result or error."
IN_LIST = "A list omits results: request the job itself."
FAILED = "This job failed; its owner can see why."
MAX_WAIT_S = 600.0
MAX_KEY_LENGTH = 200


class JobError(BaseModel):
    """Why a job failed or was cancelled."""

    code: str
    message: str
    details: list[dict[str, Any]] | None = None


class JobOut(BaseModel):
    """One job; only its owner and administrators see its result: `withheld` says why it is absent."""

    id: int
    kind: str
    state: str
    progress: float
    stage: str | None
    attempt: int
    cancel_requested: bool
    may_cancel: bool
    result: dict[str, Any] | None
    error: JobError | None
    withheld: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


#: The answer of a route whose job has not ended yet.
ACCEPTED: dict[Any, Any] = answers(JobOut, status=202)


def answers_job(data: type[BaseModel]) -> dict[Any, Any]:
    """Document a route whose work is a job: done in time, or accepted."""
    return answers(data, also=(409, 429, 503)) | ACCEPTED


def job_out(job: Job, *, in_list: bool = False) -> JobOut:
    """Return a job as the API shows it: without its parameters, which can name files of this machine.

    Parameters
    ----------
    in_list
        Omit its result and the details of its error, for every caller.
    """
    is_own = job_access.owns(caller(), job)
    error = job.error
    if error is not None and not is_own:
        error = {"code": error["code"], "message": FAILED}
    elif error is not None and in_list:
        error = {"code": error["code"], "message": error["message"]}
    shown = {
        "result": job.result if is_own and not in_list and job.state == "done" else None,
        "error": error,
        "withheld": OTHERS if not is_own else IN_LIST if in_list else None,
        "may_cancel": is_own and not job.is_final and not job.is_bound and not job.cancel_requested,
    }
    return JobOut.model_validate({**vars(job), **shown})


def preferred_wait_s(default_s: float) -> float:
    """Return the seconds this client wants to wait: 0 for `Prefer: respond-async`, N for `wait=N`."""
    tokens = [t.strip().lower() for value in request.headers.getlist("Prefer") for t in re.split("[,;]", value)]
    if "respond-async" in tokens:
        return 0.0
    waits = [float(m.group(1)) for t in tokens if (m := re.fullmatch(r'wait\s*=\s*"?(\d{1,6})"?', t))]
    return min(waits[0], MAX_WAIT_S) if waits else default_s


def answer_job(
    kind: JobKind[P],
    params: P,
    *,
    default_wait_s: float,
    done: Callable[[dict[str, Any]], Response],
    share: bool = False,
) -> Response:
    """Queue a job and answer: `done(result)` if it ends in time, its failure raised, or 202 and the job."""
    return answer_queued(queue(kind, params, share=share), default_wait_s=default_wait_s, done=done)


def queue(kind: JobKind[P], params: P, *, question: str | None = None, share: bool = False) -> int:
    """Queue a job, or find the one that this `Idempotency-Key` made before; return its id.

    Parameters
    ----------
    question
        Text that identifies the request, if the parameters hold more than that.
    share
        Return this caller's queued job with the same parameters, if there is one.
    """
    env = environment()
    user = current_user()
    work.require_worker(env.database, env.clock)
    return work.submit(
        env.database,
        env.clock,
        kind,
        params,
        limits=QueueLimits.of(env.settings),
        share=share,
        user_id=user.id,
        key_id=user.key_id,
        request_id=request_id(),
        idempotency_key=idempotency_key(),
        question=question,
    )


def idempotency_key() -> str | None:
    """Return the client's `Idempotency-Key`, if it sent one."""
    return request.headers.get("Idempotency-Key", "")[:MAX_KEY_LENGTH] or None


def answer_queued(job_id: int, *, default_wait_s: float, done: Callable[[dict[str, Any]], Response]) -> Response:
    """Wait for a queued job as the client prefers, and answer."""
    env = environment()
    wait_s = preferred_wait_s(default_wait_s)
    job = work.read(env.database, job_id)
    if wait_s > 0 and env.wait_slots is not None and env.wait_slots.acquire(blocking=False):
        began_s = time.perf_counter()
        try:
            job = work.wait_for(env.database, job_id, wait_s)
        finally:
            env.wait_slots.release()
            g.waited_s = time.perf_counter() - began_s
    if job.is_final:
        response = done(work.result_or_raise(job))
    else:
        response = ok(job_out(job), message="Accepted; follow the job at the Location.", status=202)
        response.headers["Location"] = f"/api/jobs/{job_id}"
        if wait_s == 0:
            response.headers["Preference-Applied"] = "respond-async"
    if idempotency_key() and job.request_id != request_id():
        response.headers["Idempotent-Replayed"] = "true"
    return response
