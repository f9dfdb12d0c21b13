"""Erasing one customer over REST.

Law: only administrators, signed in by themselves; the answer counts rows and repeats nothing of what was in them.
"""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, Field

from gateway.openapi import answers, blueprint, ok
from gateway.security.authentication import current_user
from gateway.services.customers import erasing
from gateway.web_environment import environment

bp = blueprint("erasing", __name__, prefix="/api/customers")


class ErasedPath(BaseModel):
    """A customer, by user_id."""

    customer_id: str


class ErasedOut(BaseModel):
    """The customer who was erased."""

    customer_id: str
    rows: dict[str, int] = Field(description="Deleted rows by table; of jobs, how many results named the customer")


@bp.delete("/<customer_id>", summary="Erase a customer", responses=answers(ErasedOut, also=(404, 409)))
def erase(path: ErasedPath) -> Response:
    """Every fact, lifetime, score, outcome, contact and note, in one transaction; counts that name nobody stay."""
    env, actor = environment(), current_user().actor
    rows = erasing.erase(env.database, env.settings, path.customer_id, clock=env.clock, actor=actor)
    return ok(ErasedOut(customer_id=path.customer_id, rows=rows))
