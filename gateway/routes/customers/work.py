"""The worklist over REST: owner, status, note and due date of one customer or many, and what they were before.

Law: `saved` is what a person says of their own work; no effect is claimed from it.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from flask import Response
from pydantic import BaseModel, Field, StringConstraints

from database.customers import worklist
from database.engine.bulk_insert import AnyRow
from gateway.openapi import Body, Keyset, answers, blueprint, ok
from gateway.security.authentication import current_user
from gateway.services.customers import working
from gateway.services.customers.filtering import WorkStatus
from gateway.web_environment import environment
from shared.parsing_limits import MAX_INT64
from shared.validation import IsoDate

bp = blueprint("worklist", __name__, prefix="/api/customers")
Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class CustomerPath(BaseModel):
    """A customer, by user_id."""

    customer_id: str


class HistoryPage(Keyset):
    """A page of the history, newest first."""

    after: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="`next` of the previous page")


class WorkChange(Body):
    """Fields to change; null takes a note, owner or due date away."""

    status: WorkStatus = "to_do"
    owner_id: int | None = Field(None, ge=1, le=MAX_INT64, description="The number of somebody who can sign in")
    note: Note | None = None
    due_on: IsoDate | None = Field(None, description="A date, as in 2026-06-30")


class WorkOfMany(WorkChange):
    """Customers, and the fields to change of each; at least one."""

    customers: list[str] = Field(min_length=1, max_length=working.MOST, description="user_ids")


class ManyChanged(BaseModel):
    """How many customers were changed, and how many had these values already."""

    changed: int
    unchanged: int


class Work(BaseModel):
    """A customer's entry on the worklist."""

    status: str
    owner_id: int | None
    owner: str | None
    note: str | None
    due_on: str | None
    updated_at: str


class WorkBefore(Work):
    """The entry after a change, and who made it."""

    changed_by: str | None


class WorkOfCustomer(BaseModel):
    """The present place on the worklist (null: none) and its history."""

    customer_id: str
    work: Work | None
    history: list[WorkBefore]
    next: str | None


@bp.get("/<customer_id>/work", summary="Worklist of one customer", responses=answers(WorkOfCustomer, also=(404,)))
def work_of(path: CustomerPath, query: HistoryPage) -> Response:
    """Owner, status, note and due date, and the changes, newest first."""
    with environment().database.read() as connection:
        key = working.key_of(connection, path.customer_id)
        present = worklist.one(connection, key)
        before_id = int(query.after) if query.after else None
        rows = worklist.history(connection, key, limit=query.limit + 1, before_id=before_id)
    shown = rows[: query.limit]
    return ok(
        WorkOfCustomer(
            customer_id=path.customer_id,
            work=_work(present),
            history=[WorkBefore.model_validate(row, from_attributes=True) for row in shown],
            next=str(shown[-1].id) if len(rows) > query.limit else None,
        )
    )


def _work(row: AnyRow | None) -> Work | None:
    return None if row is None else Work.model_validate(row, from_attributes=True)


@bp.patch("/<customer_id>/work", summary="Change the worklist of one customer", responses=answers(Work, also=(404,)))
def change_work(path: CustomerPath, body: WorkChange) -> Response:
    """A customer who is not on it begins with the status to_do; fields that are not given stay."""
    env = environment()
    key = working.change(env.database, path.customer_id, _given(body), user_id=current_user().id, clock=env.clock)
    with env.database.read() as connection:
        present = worklist.one(connection, key)
    return ok(Work.model_validate(present, from_attributes=True))


@bp.patch("/work", summary="Change the worklist of many customers", responses=answers(ManyChanged))
def change_work_of_many(body: WorkOfMany) -> Response:
    """All or none; an unknown customer is named. Fields that are not given stay."""
    env = environment()
    changed, unchanged = working.change_many(
        env.database, body.customers, _given(body), user_id=current_user().id, clock=env.clock
    )
    return ok(ManyChanged(changed=changed, unchanged=unchanged))


def _given(body: WorkChange) -> dict[str, object]:
    given = {name: getattr(body, name) for name in body.model_fields_set & WorkChange.model_fields.keys()}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in given.items()}
