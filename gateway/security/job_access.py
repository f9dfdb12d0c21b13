"""Whose a job is: who sees that it is there, and who sees what it came to.

Law: a job belongs to the person who asked for it, and if that was by an API key, of all keys to that one alone; what
was started by a command or the system is administrators'. A key never acts as an administrator of jobs.
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

#: A route of jobs: of everybody's, whose contents are then the owner's; or of one's own alone.
JobRight = Literal["jobs", "own job"]


def visible_kinds(caller: Caller) -> frozenset[str] | None:
    """Return the kinds of jobs that a caller may know of: those of a key's scopes; None, which is all, for people."""
    return None if caller.key is None else kinds.of_scopes(caller.key.scopes)


def owns(caller: Caller, job: Job) -> bool:
    """Whether a job's result and errors are for this caller."""
    if caller.key is not None:
        return job.key_id == caller.key.id
    return caller.role == "admin" or job.user_id == caller.user.id


def admit(caller: Caller, right: JobRight, job_id: int) -> None:
    """Let a caller at a job, or raise; that there is none is for the route to say.

    Raises
    ------
    NotFound
        The caller is a key without the scope for jobs of this kind.
    Forbidden
        The job is somebody else's.
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
        raise Forbidden(f"Job {job_id} is somebody else's: this is for whoever started it, and for administrators.")
