"""Movement of monthly revenue over REST: what came, grew, shrank and went, by calendar month.

Law: read from a roll-up, which imports renew; amounts are null, with the reason, where prices can't be added up.
"""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, Field

from database.segments import movement
from database.segments.movement import Month
from gateway.openapi import Query, answers, blueprint, ok
from gateway.routes import etag
from gateway.web_environment import environment

bp = blueprint("movement", __name__, prefix="/api/dashboard")
etag.install(bp)
NO_MONTHS = "No month after that of the first snapshot is over with its ends known, or subscriptions are not known."


class MovementQuery(Query):
    """How far back."""

    limit: int = Field(12, ge=1, le=36, description="Months, the newest ones")


class PartOut(BaseModel):
    """One part of a month's movement."""

    customers: int
    revenue: float | None = Field(description="Per month, at least 0")


class MovementMonth(BaseModel):
    """A calendar month: start + new + returned + expansion - contraction - churned = end."""

    month: str
    start: PartOut = Field(description="Active at the end of the month before")
    new: PartOut
    returned: PartOut
    expansion: PartOut
    contraction: PartOut
    churned: PartOut
    end: PartOut = Field(description="Active at the month's end")
    net_retention: float | None = Field(description="NRR: revenue at the end of those active at the start, by that")
    gross_churn: float | None = Field(description="Revenue churned or contracted, by that at the start")


class Movement(BaseModel):
    """Months, the oldest first."""

    months: list[MovementMonth]
    reason: str | None


@bp.get("/movement", summary="Movement of monthly revenue", responses=answers(Movement))
def revenue_movement(query: MovementQuery) -> Response:
    """New, returned, expansion, contraction and churned revenue and customers, with net retention, by month."""
    with environment().database.read() as connection:
        found = movement.read(connection)[-query.limit :]
        reason = movement.unsummable(connection) if found else NO_MONTHS
    return ok(Movement(months=[_month(name, each, is_summed=reason is None) for name, each in found], reason=reason))


def _month(name: str, found: Month, *, is_summed: bool) -> MovementMonth:
    def part(customers: int, revenue: float) -> PartOut:
        return PartOut(customers=customers, revenue=round(revenue, 2) if is_summed else None)

    lost = found.churned + found.contraction
    start = found.revenue - found.new - found.returned - found.expansion + lost
    at_start = found.customers - found.new_customers - found.returned_customers + found.churned_customers
    has_rate = is_summed and start > 0
    return MovementMonth(
        month=name,
        start=part(at_start, start),
        new=part(found.new_customers, found.new),
        returned=part(found.returned_customers, found.returned),
        expansion=part(found.expanded_customers, found.expansion),
        contraction=part(found.contracted_customers, found.contraction),
        churned=part(found.churned_customers, found.churned),
        end=part(found.customers, found.revenue),
        net_retention=(start + found.expansion - lost) / start if has_rate else None,
        gross_churn=lost / start if has_rate else None,
    )
