"""Announced ends over REST: who cancelled and still runs, whose auto-renew is off, whose contract ends soon.

Law: these customers' ends are known or due, not predicted; where a base has no column that says so, the answer does.
"""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, Field

from database.customers import announced, contacting, customer_base
from database.customers.announced import Kind, Within
from database.engine.bulk_insert import AnyRow
from gateway.openapi import Keyset, answers, blueprint, ok
from gateway.web_environment import environment

bp = blueprint("announced", __name__, prefix="/api/customers")
POSITION = r"^[0-9]{1,15}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,2})?~[0-9]{1,18}$"
NO_BASE = "There are no customers yet: import a table first."
NO_COLUMN = (
    "The schema names no column that says so: set {key} under [subscription] (`retainstream schema edit FILE`, "
    "PATCH /api/schema)."
)
KEY_OF = {"auto_renew_off": "auto_renew", "contract_ends": "contract_end"}


class AnnouncedQuery(Keyset):
    """The kind and time of the ends, and a page."""

    kind: Kind = Field("cancelled", description="cancelled, auto_renew_off or contract_ends")
    within_days: int | None = Field(None, ge=1, le=3650, description="Ends within so many days; all if absent")
    after: str | None = Field(None, pattern=POSITION, description="`next` of the page before")


class WithinOut(BaseModel):
    """Customers whose end lies within these days, and in no shorter band."""

    days: int | None = Field(description="null: later, or on a day that is not known")
    customers: int
    monthly_revenue: float | None = Field(description="null: a price is unknown, or prices are in several currencies")


class Announced(BaseModel):
    """A customer whose end is known or due."""

    user_id: str
    plan: str | None
    monthly_price: float | None
    currency: str | None
    ends_on: str | None
    days_left: float | None
    cancelled_at: str | None = Field(description="The first day on which the end was known")
    end_reason: str | None
    contact: contacting.Status = Field(description="Whether the customer may be contacted")


class AnnouncedPage(BaseModel):
    """Counts by days left, and one page, those who end first first."""

    kind: str
    feature: str | None = Field(description="The column that says so; null where the subscriptions do")
    counts: list[WithinOut]
    customers: list[Announced]
    next: str | None
    today: str
    reason: str | None


@bp.get("/announced", summary="Customers whose end is known or due", responses=answers(AnnouncedPage))
def announced_ends(query: AnnouncedQuery) -> Response:
    """Certain, outside the scores: the most savable people."""
    env = environment()
    today = env.clock().date().isoformat()
    with env.database.read() as connection:
        present = customer_base.get(connection)
        kind = announced.source(present.schema, query.kind, today) if present else None
        if present is None or kind is None:
            return ok(_nothing(query.kind, today, is_empty=present is None))
        counts = announced.count(connection, present.schema, kind)
        rows = announced.page(
            connection,
            present.schema,
            kind,
            within=query.within_days,
            limit=query.limit + 1,
            after=_position(query.after),
        )
    shown = rows[: query.limit]
    return ok(
        AnnouncedPage(
            kind=query.kind,
            feature=kind.column,
            counts=[_within(each) for each in counts],
            customers=[_customer(row, is_dated=kind.days_left is not None) for row in shown],
            next=f"{shown[-1].days_left}~{shown[-1].id}" if len(rows) > query.limit else None,
            today=today,
            reason=None,
        )
    )


def _nothing(kind: Kind, today: str, *, is_empty: bool) -> AnnouncedPage:
    reason = NO_BASE if is_empty else NO_COLUMN.format(key=KEY_OF.get(kind, kind))
    return AnnouncedPage(kind=kind, feature=None, counts=[], customers=[], next=None, today=today, reason=reason)


def _position(text: str | None) -> tuple[float, int] | None:
    if text is None:
        return None
    days, _, key = text.partition("~")
    return float(days), int(key)


def _within(found: Within) -> WithinOut:
    is_known = not found.unpriced and found.currencies <= 1
    revenue = round(found.monthly_revenue, 2) if is_known else None
    return WithinOut(days=found.days, customers=found.customers, monthly_revenue=revenue)


def _customer(row: AnyRow, *, is_dated: bool) -> Announced:
    return Announced(
        user_id=row.user_id,
        plan=row.plan,
        monthly_price=row.monthly_price,
        currency=row.currency,
        ends_on=row.ends_on,
        days_left=row.days_left if is_dated else None,
        cancelled_at=row.cancelled_at,
        end_reason=row.end_reason,
        contact=contacting.as_status(row.contact),
    )
