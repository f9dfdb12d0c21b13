"""Finds jobs whose heartbeats stopped, and requeues or ends them.

Law: a job whose count of heartbeats grows is never requeued or ended, whatever the clocks say; a job whose count stops
growing is never left running.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from database.jobs.jobs import MAX_BOUND_ATTEMPTS
from database.tables import tables

j = tables.jobs
MAX_ATTEMPTS = 2
LOST = (
    "The worker stopped during the second and last attempt: start this again. Unfinished work does not count, or is "
    "finished then."
)
BOUND_LOST = (
    "The worker stopped repeatedly while finishing this. What was written is kept: ask for the same again, which "
    "finishes it; the worker's log has the reason."
)
#: Id and attempt of a running job.
Claim = tuple[int, int]


def heartbeats(connection: Connection) -> dict[Claim, int]:
    """Return the number of heartbeats of each running job."""
    rows = connection.execute(select(j.c.id, j.c.attempt, j.c.beats).where(j.c.state == "running"))
    return {(row.id, row.attempt): row.beats for row in rows}


def requeue_or_end(connection: Connection, silent: Mapping[Claim, int], now: str) -> list[int]:
    """Requeue or end the running jobs that still have these counts of heartbeats.

    Returns
    -------
    ids of the jobs that were requeued or ended.
    """
    settled = []
    for (job_id, attempt), count in silent.items():
        held = (j.c.id == job_id, j.c.attempt == attempt, j.c.beats == count, j.c.state == "running")
        row = connection.execute(select(j.c.cancel_requested, j.c.is_bound).where(*held)).one_or_none()
        if row is not None:
            end = _end(attempt, is_bound=bool(row.is_bound), is_cancelled=bool(row.cancel_requested), now=now)
            connection.execute(update(j).where(*held).values(end))
            settled.append(job_id)
    return settled


def _end(attempt: int, *, is_bound: bool, is_cancelled: bool, now: str) -> dict[str, Any]:
    if is_cancelled and not is_bound:
        error = {"error_code": "cancelled", "error_message": "Cancelled after its worker stopped."}
        return {"state": "cancelled", "finished_at": now, **error}
    if attempt >= (MAX_BOUND_ATTEMPTS if is_bound else MAX_ATTEMPTS):
        error = {"error_code": "service_unavailable", "error_message": BOUND_LOST if is_bound else LOST}
        return {"state": "failed", "finished_at": now, **error}
    return {"state": "queued", "worker": None, "progress": 0.0, "stage": "Starting again"}
