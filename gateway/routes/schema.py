"""What the columns of this customer base mean.

Law: read-only; a base has one schema.
"""

from __future__ import annotations

from typing import Any

from flask import Response
from pydantic import BaseModel

from database import base
from gateway.openapi import answers, blueprint, ok
from gateway.parts import parts

bp = blueprint("schema", __name__, prefix="/api/schema")


class SchemaOut(BaseModel):
    """The base and its schema; nulls while the database is empty."""

    name: str | None
    is_demo: bool | None
    table_schema: dict[str, Any] | None


@bp.get("", summary="The schema of the customer base", responses=answers(SchemaOut))
def get_schema() -> Response:
    """Column roles and features, in the model's order."""
    with parts().database.read() as connection:
        found = base.get(connection)
    if found is None:
        return ok({"name": None, "is_demo": None, "table_schema": None})
    return ok({"name": found.name, "is_demo": found.is_demo, "table_schema": found.schema.as_dict()})
