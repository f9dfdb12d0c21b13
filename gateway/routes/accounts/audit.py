"""The audit log, for administrators.

Law: the log is only read here.
"""

from __future__ import annotations

from typing import Literal

from flask import Response
from pydantic import BaseModel, Field

from database.accounts import audit as queries
from gateway.openapi import Keyset, answers, blueprint, ok
from gateway.web_environment import environment
from shared.clock import moment
from shared.errors import invalid
from shared.parsing_limits import MAX_INT64

bp = blueprint("audit", __name__, prefix="/api/audit")


class AuditQuery(Keyset):
    after: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="`next` of the previous page")
    action: str | None = Field(
        None, max_length=60, description="An action (`user.disabled`) or a group of them (`user`)"
    )
    user: int | None = Field(None, ge=1, le=MAX_INT64, description="Only what this person or their keys did")
    since: str | None = Field(
        None,
        max_length=40,
        description="Date or timestamp, ISO 8601; without an offset UTC",
        json_schema_extra={
            "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}, {"type": "null"}]
        },
    )


class AuditEntry(BaseModel):
    id: int
    at: str
    actor: Literal["user", "key", "command line", "worker", "nobody"]
    user_id: int | None
    key_id: int | None
    action: str
    subject: str | None
    request_id: str | None


class AuditEntries(BaseModel):
    entries: list[AuditEntry]
    next: str | None


@bp.get("", summary="Audit log, newest first", responses=answers(AuditEntries))
def list_entries(query: AuditQuery) -> Response:
    """People, keys and subjects by number; `nobody` is a request without a token, such as a registration."""
    since = _moment(query.since) if query.since is not None else None
    before = int(query.after) if query.after is not None else None
    with environment().database.read() as connection:
        found = queries.page(
            connection,
            limit=query.limit + 1,
            before_id=before,
            action=query.action or None,
            user_id=query.user,
            since=since,
        )
    page = [AuditEntry.model_validate(row, from_attributes=True) for row in found[: query.limit]]
    return ok(AuditEntries(entries=page, next=str(page[-1].id) if len(found) > query.limit else None))


def _moment(text: str) -> str:
    try:
        return moment(text)
    except ValueError:
        raise invalid("since", "expected a date such as 2026-01-31 or a timestamp with Z") from None
