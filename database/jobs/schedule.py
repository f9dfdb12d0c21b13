"""The calendar's state: when each task comes next, when it came last, and the job that it made.

Law: a row is claimed by moving its next time from what was read: of two workers one succeeds.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select, update

from database.engine.bulk_insert import AnyRow
from database.jobs.idempotency import sha_of
from database.tables import tables

s, j = tables.schedule, tables.jobs


def rows(connection: Connection) -> Sequence[AnyRow]:
    """Return every task's row, with state and error of its last job."""
    query = select(s, j.c.state, j.c.error_message).outerjoin(j, j.c.id == s.c.job_id)
    return connection.execute(query.order_by(s.c.task)).all()


def plan(connection: Connection, task: str, *, cron: str, next_at: str) -> None:
    """Set when a task comes next, because it is new or its cron line has changed."""
    values = {"cron": cron, "next_at": next_at}
    if connection.execute(update(s).where(s.c.task == task).values(values)).rowcount == 0:
        connection.execute(insert(s).values(task=task, **values))


def claim(connection: Connection, task: str, *, due_at: str, next_at: str, now: str) -> bool:
    """Claim a task that is due, and plan its next time; return False if another worker was first."""
    due = (s.c.task == task, s.c.next_at == due_at)
    return connection.execute(update(s).where(*due).values(next_at=next_at, last_at=now, note=None)).rowcount > 0


def note(connection: Connection, task: str, *, job_id: int | None = None, text: str | None = None) -> None:
    """Record the job that a task made, or why it made none."""
    values: dict[str, int | str | None] = {"note": text}
    if job_id is not None:
        values["job_id"] = job_id
    connection.execute(update(s).where(s.c.task == task).values(values))


def is_running(connection: Connection, kind: str) -> bool:
    """Return whether a job of a kind is queued or running, whoever asked for it."""
    query = select(func.count()).where(j.c.kind == kind, j.c.state.in_(("queued", "running")))
    return bool(connection.execute(query).scalar_one())


def was_asked(connection: Connection, kinds: Sequence[str], question: str) -> bool:
    """Return whether a job of these kinds was made for a question before, however it ended."""
    same = (j.c.kind.in_(kinds), j.c.question_sha256 == sha_of({}, question))
    return connection.execute(select(j.c.id).where(*same).limit(1)).one_or_none() is not None
