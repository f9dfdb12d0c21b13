"""Customers by group over REST: a category, tenure, plan or risk.

Law: what can't be computed is null, with the reason; nothing of a person who asks is in the answer, which is cached.
"""

from __future__ import annotations

from typing import ClassVar

from flask import Response, request
from pydantic import BaseModel, Field

from database.customers import customer_base
from gateway.openapi import Query, answers, blueprint, ok
from gateway.routes import etag
from gateway.services.customers import filtering
from gateway.services.scoring.value import Terms
from gateway.services.segments import summary
from gateway.services.segments.summary import Churned, GroupRow
from gateway.web_environment import environment
from shared.errors import NoCustomers
from shared.lifetime import OWN_STEPS

bp = blueprint("segment summaries", __name__, prefix="/api/segments")
etag.install(bp)
#: Groups that a summary lists, the largest first.
LISTED = 200


class SummaryQuery(filtering.FilterFields, Query):
    """The feature to group by, filters, and the worth of a payment."""

    open_prefix: ClassVar[str | None] = filtering.PREFIX
    by: str = Field("plan", min_length=1, max_length=500, description="A category, tenure, plan or risk")
    margin: float = Field(Terms.margin, gt=0, le=1, description="Share of the price that is earned")
    discount: float = Field(Terms.discount, ge=0, le=1, description="Per year")
    months: int = Field(Terms.months, ge=OWN_STEPS + 1, le=120, description="Months looked ahead")


class ChurnOut(BaseModel):
    """Churn of a group in the past period."""

    customers: int
    left: int
    rate: float
    interval: tuple[float, float] = Field(description="95 %")


class GroupOut(BaseModel):
    """Present customers of one group; what is null has a reason."""

    value: str | None
    customers: int
    scored: int
    churn: ChurnOut | None
    expected_leavers: float | None
    expected_interval: tuple[float, float] | None = Field(description="95 %, of chance and of the level's spread")
    expected_rate: float | None = Field(description="Mean churn probability of the scored")
    monthly_revenue: float | None
    revenue_at_risk: float | None = Field(description="Per month")
    value_at_risk: float | None
    currency: str | None
    reason: str | None


class PeriodOut(BaseModel):
    """The period of the churn rates: from the end of one day to the end of another."""

    start: str
    end: str


class SummaryOut(BaseModel):
    """Groups, the most customers first."""

    by: str
    groups: list[GroupOut]
    groups_left_out: int
    churn_period: PeriodOut | None
    churn_reason: str | None
    as_of: str | None
    model_version: str | None


@bp.get("/summary", summary="Customers by group", responses=answers(SummaryOut, also=(409,)))
def segment_summary(query: SummaryQuery) -> Response:
    """Customers, churn, revenue and what is at risk, by a category, tenure, plan or risk, over those filters leave."""
    env = environment()
    own = ("by", "margin", "discount", "months")
    with env.database.read() as connection:
        present = customer_base.get(connection)
        if present is None:
            raise NoCustomers("There are no customers yet: import a table first.")
        filters = filtering.parse(
            present.schema,
            list(request.args.items(multi=True)),
            unsure_below=env.settings.confidence_threshold,
            allowed=own,
        )
        terms = Terms(query.margin, query.discount, query.months)
        found = summary.summarise(connection, present.schema, query.by, filters, terms)
    return ok(
        SummaryOut(
            by=query.by,
            groups=[_group(row) for row in found.groups[:LISTED]],
            groups_left_out=max(0, len(found.groups) - LISTED),
            churn_period=PeriodOut(start=found.period.start, end=found.period.end) if found.period else None,
            churn_reason=found.churn_reason,
            as_of=found.run.as_of if found.run else None,
            model_version=found.run.model_version if found.run else None,
        )
    )


def _group(row: GroupRow) -> GroupOut:
    totals, risk = row.totals, row.at_risk
    return GroupOut(
        value=row.value,
        customers=totals.members,
        scored=totals.customers,
        churn=_churn(row.churn),
        expected_leavers=risk.expected_leavers if risk else None,
        expected_interval=risk.expected_interval if risk else None,
        expected_rate=risk.expected_leavers / totals.customers
        if risk and risk.expected_leavers is not None and totals.customers
        else None,
        monthly_revenue=row.monthly_revenue,
        revenue_at_risk=risk.revenue_at_risk if risk else None,
        value_at_risk=risk.value_at_risk if risk else None,
        currency=min(totals.currencies, key=str) if len(totals.currencies) == 1 else None,
        reason=row.revenue_reason or (risk.reason if risk else summary.NO_RUN),
    )


def _churn(found: Churned | None) -> ChurnOut | None:
    return ChurnOut.model_validate(found, from_attributes=True) if found else None
