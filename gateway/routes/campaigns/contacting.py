"""Customers who are not contacted, over REST: the list of those who must not be, and the universal hold-out.

Law: an unknown customer is refused by name.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from flask import Response
from pydantic import BaseModel, Field, StrictFloat

from database.customers import contacting
from gateway.openapi import Body, Keyset, answers, blueprint, ok
from gateway.routes.campaigns.answers import ArmOut
from gateway.routes.jobs.job_responses import ACCEPTED
from gateway.routes.jobs.upload_jobs import FAILURES, FileForm, answer_upload
from gateway.security.authentication import current_user
from gateway.services import kinds
from gateway.services.campaigns import contacts, measuring
from gateway.services.jobs.params import SuppressParams
from gateway.web_environment import environment
from shared.campaigns.effect import Arm
from shared.clock import iso
from shared.errors import invalid
from shared.parsing_limits import MAX_INT64

bp = blueprint("contacting", __name__, prefix="/api")
Reason = Literal["objected", "no consent"]


class SuppressedOut(BaseModel):
    """A customer who must not be contacted."""

    customer: str
    reason: Reason
    since: str


class SuppressedList(BaseModel):
    """Those who must not be contacted."""

    customers: list[SuppressedOut]
    total: int
    next: str | None


class SuppressBody(Body):
    """Customers who must not be contacted any more."""

    customers: list[str] = Field(min_length=1, max_length=5_000, description="user_ids")
    reason: Reason


class SuppressResult(BaseModel):
    """How many are new on the list."""

    new: int
    total: int


class SuppressForm(FileForm):
    """A CSV or Parquet file with the column customer, and why these must not be contacted."""

    reason: Reason


class SuppressedFile(BaseModel):
    """How many customers of the file are new on the list."""

    file_name: str
    rows: int
    new: int
    notes: list[str]


class CustomerPath(BaseModel):
    """A customer, by user_id."""

    customer_id: str


class AllowedOut(BaseModel):
    """The customer who was taken off the list."""

    customer: str


class HoldoutBody(Body):
    """The share of the universal hold-out."""

    share: StrictFloat = Field(ge=0, le=0.5)


class ProgrammeOut(BaseModel):
    """Held-out customers beside all others, in the 30 days after a matured date."""

    day: str | None
    held_out: ArmOut | None
    others: ArmOut | None
    srm_probability: float | None
    effect: float | None = Field(description="Rate of the held-out customers minus the rate of all others")
    interval: tuple[float, float] | None = Field(description="Newcombe's, 95 %")
    is_shown: bool | None
    text: str


class HoldoutOut(BaseModel):
    """The universal hold-out."""

    share: float
    since: str | None
    seed: str | None
    customers: int = Field(description="Active customers who are held out")
    programme: ProgrammeOut


@bp.get("/do-not-contact", summary="Those who must not be contacted", responses=answers(SuppressedList))
def suppressed(query: Keyset) -> Response:
    """In the order of their keys."""
    after = query.after or "0"
    if not after.isdecimal() or int(after) > MAX_INT64:
        raise invalid("after", "expected the `next` of the page before")
    with environment().database.read() as connection:
        rows = contacting.suppressed(connection, limit_to=query.limit + 1, after_id=int(after))
        total = contacting.count_suppressed(connection)
    page = rows[: query.limit]
    return ok(
        SuppressedList(
            customers=[SuppressedOut(customer=row.user_id, reason=row.reason, since=row.since) for row in page],
            total=total,
            next=str(page[-1].id) if len(rows) > query.limit else None,
        )
    )


@bp.post("/do-not-contact", summary="Add those who must not be contacted", responses=answers(SuppressResult))
def suppress(body: SuppressBody) -> Response:
    """All or none; a customer who is on the list already stays as they are."""
    env = environment()
    new = contacts.suppress(env.database, body.customers, body.reason, at=iso(env.clock()), actor=current_user().actor)
    with env.database.read() as connection:
        return ok(SuppressResult(new=new, total=contacting.count_suppressed(connection)))


@bp.post(
    "/do-not-contact/import",
    summary="Add those of a file who must not be contacted",
    responses=answers(SuppressedFile, also=FAILURES) | ACCEPTED,
)
def suppress_file(form: SuppressForm) -> Response:
    """CSV or Parquet, read as an import of customers reads it; all rows or none, each that can't be used is named."""
    return answer_upload(kinds.SUPPRESS, form.file, partial(SuppressParams, reason=form.reason))


@bp.delete(
    "/do-not-contact/<customer_id>", summary="Take a customer off the list", responses=answers(AllowedOut, also=(404,))
)
def allow(path: CustomerPath) -> Response:
    """The customer may be contacted again."""
    env = environment()
    contacts.allow(env.database, path.customer_id, at=iso(env.clock()), actor=current_user().actor)
    return ok(AllowedOut(customer=path.customer_id))


@bp.get("/holdout", summary="The universal hold-out and its measure", responses=answers(HoldoutOut))
def holdout() -> Response:
    """The share that no campaign contacts, and the programme's effect once it has matured."""
    env = environment()
    found = measuring.programme(env.database, env.query_cache, env.clock().date().isoformat())
    held = found.held
    return ok(
        HoldoutOut(
            share=held.share if held else 0.0,
            since=held.since if held else None,
            seed=held.seed if held else None,
            customers=found.customers,
            programme=_programme(found.day, found.measured),
        )
    )


@bp.put("/holdout", summary="Set the universal hold-out", responses=answers(HoldoutOut))
def set_holdout(body: HoldoutBody) -> Response:
    """A larger share only adds customers; the programme is measured from the day of the change on."""
    env = environment()
    contacts.set_share(env.database, body.share, at=iso(env.clock()), actor=current_user().actor)
    return holdout()


def _programme(day: str | None, measured: measuring.Measured) -> ProgrammeOut:
    arms, effect = measured.arms, measured.effect
    return ProgrammeOut(
        day=day,
        held_out=_arm(arms.control) if arms else None,
        others=_arm(arms.contact) if arms else None,
        srm_probability=measured.srm,
        effect=effect.difference if effect else None,
        interval=effect.interval if effect else None,
        is_shown=effect.is_shown if effect else None,
        text=measured.verdict,
    )


def _arm(arm: Arm) -> ArmOut:
    return ArmOut(drawn=arm.customers, contacted=0, customers=arm.customers, left=arm.left, rate=arm.rate)
