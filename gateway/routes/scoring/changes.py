"""The displayed scores as changes since a cursor.

Law: the changes since nothing add up to the displayed scores of the customers who may be contacted, or of everybody
where that is asked for, whatever was published meanwhile.
"""

from __future__ import annotations

from flask import Response, request
from pydantic import BaseModel, Field

from database.customers import contacting
from gateway.openapi import Query, answers, blueprint, ok
from gateway.security.authentication import current_user
from gateway.services.scoring import changes
from gateway.web_environment import environment

bp = blueprint("changes", __name__, prefix="/api/predictions/changes")


class ChangesQuery(Query):
    since: str | None = Field(
        None, max_length=1500, description="`cursor` of the answer before; absent: every displayed score"
    )
    contact: changes.Contact = Field(
        "allowed",
        description="allowed: without those who are held out or may not be contacted; any: everybody, marked",
    )
    limit: int = Field(1000, ge=1, le=5000, description="Changes per page")


class ScoreChange(BaseModel):
    """The displayed score of one customer; null: none is displayed any more, or the customer left the list."""

    customer_id: str = Field(description="The user_id")
    churn_probability: float | None
    confidence: float | None
    model_version: str | None
    contact: contacting.Status = Field(description="Whether the customer may be contacted, when this was read")


class ScoreChanges(BaseModel):
    changes: list[ScoreChange]
    cursor: str | None = Field(description="`since` of the next request; null before the first published run")
    has_more: bool = Field(description="Whether the next request can be made at once")
    begins_anew: bool = Field(
        description="These are changes from nothing: drop what you have. Set on the first page, and where the state of "
        "`since` is no longer known"
    )


@bp.get("", summary="Changed scores since a cursor", responses=answers(ScoreChanges))
def list_changes(query: ChangesQuery) -> Response:
    """Applied in order they add up to the list as it is. A page can be empty while `has_more` is true."""
    env = environment()
    page = changes.read(
        env.database,
        env.clock,
        query.since or None,
        contact=query.contact,
        limit=query.limit,
        secret=env.settings.signing_secret,
        actor=None if request.method == "HEAD" else current_user().actor,
    )
    found = [
        ScoreChange(
            customer_id=row.user_id,
            churn_probability=row.churn_probability,
            confidence=row.confidence,
            model_version=row.model_version,
            contact=contacting.as_status(row.contact),
        )
        for row in page.rows
    ]
    return ok(ScoreChanges(changes=found, cursor=page.cursor, has_more=page.has_more, begins_anew=page.begins_anew))
