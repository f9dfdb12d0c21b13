"""The audit log: appended, read page by page, deleted by age only.

Law: rows name people, keys and objects by id and hold no personal data; triggers refuse to change a row, or to delete
one of the last month.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, insert, or_, select

from database.engine.bulk_insert import AnyRow
from database.tables import tables

a = tables.audit_log
ActorKind = Literal["user", "key", "command line", "worker", "nobody"]


@dataclass(frozen=True)
class Actor:
    """The person who requested a change, and the request.

    Parameters
    ----------
    user_id
        The account that is signed in, or that owns the key.
    request_id
        The id of the request; None for the command line and the worker.
    key_id
        The API key that was sent, if one was.
    is_worker
        The worker acted without a request.
    """

    user_id: int | None = None
    request_id: str | None = None
    key_id: int | None = None
    is_worker: bool = False

    @property
    def kind(self) -> ActorKind:
        if self.key_id is not None:
            return "key"
        if self.user_id is not None:
            return "user"
        if self.is_worker:
            return "worker"
        return "nobody" if self.request_id is not None else "command line"


COMMAND_LINE = Actor()
WORKER = Actor(is_worker=True)


def record(connection: Connection, action: str, *, at: str, actor: Actor, subject: str | None = None) -> None:
    """Append one row, in the transaction of the action.

    Parameters
    ----------
    action
        The action, from the general to the specific, such as `user.disabled` or `job.submitted.train`.
    at
        When it was done.
    actor
        The person, key or process that did it.
    subject
        The object of the action, without personal data, such as `user:3 viewer -> admin`.
    """
    values = {"user_id": actor.user_id, "key_id": actor.key_id, "actor": actor.kind, "request_id": actor.request_id}
    connection.execute(insert(a).values(at=at, action=action, subject=subject, **values))


def page(
    connection: Connection,
    *,
    limit: int,
    before_id: int | None = None,
    action: str | None = None,
    user_id: int | None = None,
    since: str | None = None,
) -> Sequence[AnyRow]:
    """Return rows, newest first.

    Parameters
    ----------
    before_id
        Only rows older than this one.
    action
        This action, or all that start with it and a dot: `user` finds `user.disabled`.
    user_id
        Only what this person or their keys did.
    since
        Not before this timestamp, ISO 8601 with `Z`.
    """
    query = select(a).order_by(a.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(a.c.id < before_id)
    if action is not None:
        query = query.where(or_(a.c.action == action, a.c.action.startswith(f"{action}.", autoescape=True)))
    if user_id is not None:
        query = query.where(a.c.user_id == user_id)
    if since is not None:
        query = query.where(a.c.at >= since)
    return connection.execute(query).all()
