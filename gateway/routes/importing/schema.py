"""The schema of this customer base: the meaning of its columns; and a check of one that is being written.

Law: a base has one schema; features can be added to it, and what changes no facts can be changed.
"""

from __future__ import annotations

from typing import Any

from flask import Response
from pydantic import BaseModel, Field

from database.customers import customer_base
from database.engine.session import Connection
from gateway.openapi import Body, answers, blueprint, ok
from gateway.security.authentication import current_user
from gateway.services.importing import edit_schema, extend_schema
from gateway.web_environment import environment
from shared.errors import invalid
from shared.parsing_limits import MAX_SCHEMA_CHARACTERS
from shared.schema.features import parse_schema, schema_from_dict
from shared.schema.toml import schema_toml

bp = blueprint("schema", __name__, prefix="/api/schema")


class SchemaOut(BaseModel):
    """The base and its schema; nulls while the database is empty."""

    name: str | None
    is_demo: bool | None
    table_schema: dict[str, Any] | None
    checksum: str | None
    earlier: list[str]


class ExtendBody(Body):
    """The present schema with further features."""

    toml: str = Field(max_length=MAX_SCHEMA_CHARACTERS, alias="schema", description="TOML")


class Extended(SchemaOut):
    """The schema after it was extended."""

    added: list[str]
    notes: list[str] = Field(description="Other keys in which the given schema differs; they were not changed")


class EditBody(Body):
    """The whole schema with other labels, units, actions, or keys that a training reads."""

    toml: str = Field(max_length=MAX_SCHEMA_CHARACTERS, alias="schema", description="TOML")


class CheckBody(Body):
    """A schema in one of its two forms."""

    toml: str | None = Field(None, max_length=MAX_SCHEMA_CHARACTERS, alias="schema", description="TOML")
    table_schema: dict[str, Any] | None = Field(None, description="Plain values")


class SchemaForms(BaseModel):
    """A schema that can be used, in both of its forms."""

    toml: str
    table_schema: dict[str, Any]


class ChangeOut(BaseModel):
    """A key that was changed."""

    field: str = Field(description="The key with its place, such as features.tenure.label")
    feature: str | None
    key: str
    old: Any
    new: Any


class Edited(SchemaOut):
    """The schema after it was edited."""

    changed: list[ChangeOut]
    needs_training: list[str] = Field(description="Changed keys that take effect with the next training only")


@bp.get("", summary="The schema of the customer base", responses=answers(SchemaOut))
def get_schema() -> Response:
    """Column roles and features, in the model's order."""
    with environment().database.read() as connection:
        return ok(_schema_out(connection))


@bp.post("/check", summary="Read a schema, as TOML or as plain values", responses=answers(SchemaForms))
def check(body: CheckBody) -> Response:
    """Answers with both forms; a fault is 422, with a detail for each key that is wrong. Nothing is written."""
    if (body.toml is None) == (body.table_schema is None):
        raise invalid("schema", "give either `schema` as TOML or `table_schema` as plain values")
    wanted = schema_from_dict(body.table_schema) if body.table_schema is not None else parse_schema(body.toml or "")
    return ok(SchemaForms(toml=body.toml or schema_toml(wanted, (), {}), table_schema=wanted.as_dict()))


@bp.post("/extend", summary="Add features to the schema", responses=answers(Extended, also=(409,)))
def extend(body: ExtendBody) -> Response:
    """History is kept: earlier facts lack the new features."""
    env = environment()
    wanted = parse_schema(body.toml)
    found = extend_schema.extend_schema(env.database, env.settings, wanted, clock=env.clock, actor=current_user().actor)
    notes = [f"{change}: not changed; PATCH /api/schema changes it." for change in found.differing]
    with env.database.read() as connection:
        return ok(Extended(**_schema_out(connection).model_dump(), added=list(found.added), notes=notes))


@bp.patch("", summary="Change labels, units, actions, directions", responses=answers(Edited, also=(409,)))
def edit(body: EditBody) -> Response:
    """Changes what changes no facts, all of it or nothing; what facts depend on is refused by name (422)."""
    env = environment()
    wanted = parse_schema(body.toml)
    changed = edit_schema.edit_schema(env.database, env.settings, wanted, clock=env.clock, actor=current_user().actor)
    shown = [
        ChangeOut(field=each.field, feature=each.feature, key=each.key, old=each.old, new=each.new) for each in changed
    ]
    needed = edit_schema.training_needed(changed)
    with env.database.read() as connection:
        return ok(Edited(**_schema_out(connection).model_dump(), changed=shown, needs_training=needed))


def _schema_out(connection: Connection) -> SchemaOut:
    found = customer_base.get(connection)
    if found is None:
        return SchemaOut(name=None, is_demo=None, table_schema=None, checksum=None, earlier=[])
    earlier = [checksum for checksum in customer_base.versions(connection) if checksum != found.checksum]
    return SchemaOut(
        name=found.name,
        is_demo=found.is_demo,
        table_schema=found.schema.as_dict(),
        checksum=found.checksum,
        earlier=earlier,
    )
