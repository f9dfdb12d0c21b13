"""Decides who may see that a job exists, and who may see its result.

Law: a job belongs to the person who requested it and, if they used an API key, to that key and no other; a job started
by a command or the system belongs to administrators. A key never has an administrator's access to jobs.
"""

from __future__ import annotations

from typing import Literal

from database.jobs import job_lists
from database.jobs.jobs import Job
from gateway.security.authentication import Caller
from gateway.services import kinds
from gateway.web_environment import environment
from shared.errors import Forbidden, NotFound
from shared.parsing_limits import MAX_INT64

#: "jobs": every job can be seen, its result only by its owner; "own job": the route is for the owner alone.
JobRight = Literal["jobs", "own job"]


def visible_kinds(caller: Caller) -> frozenset[str] | None:
    """Return the kinds of jobs that a caller may see: those of a key's scopes; None (every kind) for people."""
    return None if caller.key is None else kinds.of_scopes(caller.key.scopes)


def sees_jobs_of_the_system(caller: Caller) -> bool:
    """Whether results and errors of jobs that nobody asked for are for this caller: an administrator in person."""
    return caller.key is None and caller.role == "admin"


def owns(caller: Caller, job: Job) -> bool:
    """Whether a job's result and errors are for this caller."""
    if caller.key is not None:
        return job.key_id == caller.key.id
    return sees_jobs_of_the_system(caller) or job.user_id == caller.user.id


def admit(caller: Caller, right: JobRight, job_id: int) -> None:
    """Check that a caller may reach a job; if it doesn't exist, the route itself answers.

    Raises
    ------
    NotFound
        The caller is a key without the scope for jobs of this kind.
    Forbidden
        The job belongs to somebody else.
    """
    if job_id > MAX_INT64:
        return
    with environment().database.read() as connection:
        job = job_lists.one(connection, job_id)
    if job is None:
        return
    seen = visible_kinds(caller)
    if seen is not None and job.kind not in seen:
        raise NotFound(f"There is no job {job_id}.")
    if right == "own job" and not owns(caller, job):
        raise Forbidden(f"Job {job_id} belongs to somebody else: only its owner and administrators may do this.")
