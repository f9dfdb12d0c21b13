"""Lists and counts of jobs: pages, queued jobs, unfinished jobs.

Law: a listed job has no large fields: no parameters, no result, no error details.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from database.jobs.idempotency import sha_of
from database.jobs.jobs import LARGE, Job, Lane, job_of
from database.tables import tables

j = tables.jobs
WAITING = ("queued", "running")
_SMALL = [column for column in j.columns if column.name not in LARGE]


def page(
    connection: Connection,
    *,
    limit: int,
    before_id: int | None = None,
    state: str | None = None,
    kinds: Collection[str] | None = None,
) -> Sequence[Job]:
    """Return jobs of these kinds (all kinds if None), newest first, without parameters, results and error details."""
    query = select(*_SMALL).order_by(j.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(j.c.id < before_id)
    if state is not None:
        query = query.where(j.c.state == state)
    if kinds is not None:
        query = query.where(j.c.kind.in_(kinds))
    return [job_of(row) for row in connection.execute(query)]


def one(connection: Connection, job_id: int) -> Job | None:
    """Return one job without its large fields."""
    row = connection.execute(select(*_SMALL).where(j.c.id == job_id)).one_or_none()
    return job_of(row) if row else None


def queued(connection: Connection, user_id: int | None = None) -> int:
    """Return the number of queued jobs: all, or those that one person requested, with any of their keys."""
    theirs = () if user_id is None else (j.c.user_id == user_id,)
    return int(connection.execute(select(func.count()).where(j.c.state == "queued", *theirs)).scalar_one())


def queued_by(connection: Connection, kind: str, user_id: int | None) -> int:
    """Return the number of queued jobs of a kind that one person requested, with any of their keys."""
    theirs = (j.c.state == "queued", j.c.kind == kind, j.c.user_id == user_id)
    return int(connection.execute(select(func.count()).where(*theirs)).scalar_one())


def unended_of(connection: Connection, user_id: int) -> Sequence[int]:
    """Return the ids of the queued and running jobs that one person requested, with any of their keys."""
    query = select(j.c.id).where(j.c.user_id == user_id, j.c.state.in_(WAITING)).order_by(j.c.id)
    return connection.execute(query).scalars().all()


def same_queued(
    connection: Connection,
    *,
    kind: str,
    params: Mapping[str, Any],
    user_id: int | None = None,
    key_id: int | None = None,
    question: str | None = None,
    **_: Any,
) -> int | None:
    """Return the id of a queued job with the same request from the same caller."""
    same = (j.c.state == "queued", j.c.kind == kind, j.c.question_sha256 == sha_of(params, question))
    theirs = (j.c.user_id == user_id, j.c.key_id.is_not_distinct_from(key_id))
    return connection.execute(select(j.c.id).where(*same, *theirs).limit(1)).scalar_one_or_none()


def has_queued(connection: Connection, lane: Lane) -> bool:
    """Return whether a lane has a queued job; takes no lock."""
    query = select(j.c.id).where(j.c.state == "queued", lane.condition()).limit(1)
    return connection.execute(query).one_or_none() is not None


def active(connection: Connection, kind: str) -> int | None:
    """Return the id of a queued or running job of this kind."""
    query = select(j.c.id).where(j.c.kind == kind, j.c.state.in_(WAITING)).limit(1)
    return connection.execute(query).scalar_one_or_none()


def has_bound(connection: Connection) -> bool:
    """Return whether a queued or running job has written a part of what it will write."""
    query = select(j.c.id).where(j.c.state.in_(WAITING), j.c.is_bound == 1).limit(1)
    return connection.execute(query).one_or_none() is not None


def unfinished_params(connection: Connection, name: str) -> list[str]:
    """Return one text parameter of every queued or running job that has it."""
    rows = connection.execute(select(j.c.params_json).where(j.c.state.in_(WAITING))).scalars()
    return [value for text in rows if isinstance(value := json.loads(text).get(name), str)]
