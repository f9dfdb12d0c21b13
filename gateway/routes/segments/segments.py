"""Segments over REST: saved views of customers.

Law: a segment is a query string of `GET /api/customers`; nothing of the customers it matches is stored.
"""

from __future__ import annotations

from typing import Annotated

from flask import Response
from pydantic import AfterValidator, BaseModel, Field, StrictBool, StringConstraints

from database.customers import customer_base
from database.engine.bulk_insert import AnyRow
from database.segments import segments as queries
from gateway.openapi import Body, Keyset, answers, blueprint, ok
from gateway.security.authentication import current_user
from gateway.services.segments import segments
from gateway.services.segments.segments import Person
from gateway.web_environment import environment
from shared.errors import NotFound
from shared.parsing_limits import MAX_INT64
from shared.schema.features import Schema
from shared.validation import visible

bp = blueprint("segments", __name__, prefix="/api/segments")
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$"),
    AfterValidator(visible),
]
QueryText = Annotated[str, StringConstraints(max_length=4000)]
QUERY = "Query string of GET /api/customers: filters, sort and show, without limit and after"


class SegmentsQuery(Keyset):
    """A page of segments."""

    after: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="`next` of the previous page")


class SegmentPath(BaseModel):
    """A segment, by its number."""

    segment_id: int = Field(ge=1, le=MAX_INT64)


class NewSegment(Body):
    """A segment to save."""

    name: Name
    query: QueryText = Field(description=QUERY)
    shared: StrictBool = Field(False, description="Everybody sees it")


class SegmentChange(Body):
    """Fields to change."""

    name: Name | None = None
    query: QueryText | None = Field(None, description=QUERY)
    shared: StrictBool | None = None


class SegmentOut(BaseModel):
    """A saved view of customers."""

    id: int
    name: str
    query: str
    shared: bool
    owner: str | None
    is_own: bool
    is_readable: bool = Field(description="false: the schema no longer has something that the query names")
    created_at: str
    updated_at: str


class SavedSegments(BaseModel):
    """Own and shared segments, in the order they were made."""

    segments: list[SegmentOut]
    next: str | None


def _person() -> Person:
    me = current_user()
    return Person(me.id, me.role == "admin", me.actor)


def _out(row: AnyRow, me: int, schema: Schema | None) -> SegmentOut:
    return SegmentOut(
        id=row.id,
        name=row.name,
        query=row.query,
        shared=bool(row.shared),
        owner=row.owner,
        is_own=row.owner_id == me,
        is_readable=segments.is_readable(schema, row.query, environment().settings.confidence_threshold),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _schema() -> Schema | None:
    with environment().database.read() as connection:
        present = customer_base.get(connection)
    return present.schema if present else None


@bp.get("", summary="Own and shared segments", responses=answers(SavedSegments))
def list_segments(query: SegmentsQuery) -> Response:
    """In the order they were made."""
    me = current_user().id
    with environment().database.read() as connection:
        found = queries.page(connection, me, limit=query.limit + 1, after_id=int(query.after or 0))
    shown, schema = found[: query.limit], _schema()
    more = str(shown[-1].id) if len(found) > query.limit else None
    return ok(SavedSegments(segments=[_out(row, me, schema) for row in shown], next=more))


@bp.post("", summary="Save a segment", responses=answers(SegmentOut, status=201, also=(409,)))
def create_segment(body: NewSegment) -> Response:
    """Its query is checked as the list of customers checks it."""
    env, who = environment(), _person()
    made = segments.create(
        env.database,
        who,
        name=body.name,
        query=body.query,
        shared=body.shared,
        unsure_below=env.settings.confidence_threshold,
        clock=env.clock,
    )
    return ok(_out(made, who.user_id, _schema()), message="Segment saved", status=201)


@bp.get("/<int:segment_id>", summary="One segment", responses=answers(SegmentOut, also=(404,)))
def one_segment(path: SegmentPath) -> Response:
    """Own or shared."""
    me = current_user().id
    with environment().database.read() as connection:
        found = queries.one(connection, me, path.segment_id)
    if found is None:
        raise NotFound("Segment not found")
    return ok(_out(found, me, _schema()))


@bp.patch("/<int:segment_id>", summary="Change a segment", responses=answers(SegmentOut, also=(404, 409)))
def change_segment(path: SegmentPath, body: SegmentChange) -> Response:
    """One's own; an administrator shared ones too."""
    env, who = environment(), _person()
    changed = segments.change(
        env.database,
        who,
        path.segment_id,
        body.model_dump(exclude_none=True),
        unsure_below=env.settings.confidence_threshold,
        clock=env.clock,
    )
    return ok(_out(changed, who.user_id, _schema()))


@bp.delete("/<int:segment_id>", summary="Delete a segment", responses=answers(SegmentOut, also=(404,)))
def delete_segment(path: SegmentPath) -> Response:
    """One's own; an administrator shared ones too."""
    env, who = environment(), _person()
    return ok(_out(segments.delete(env.database, who, path.segment_id, clock=env.clock), who.user_id, _schema()))
