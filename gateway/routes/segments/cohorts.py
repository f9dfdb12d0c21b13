"""Retention by cohort, and why the churn rate moved, over REST.

Law: read from roll-ups, which imports renew; a month that is not over is null.
"""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, Field

from database.segments import group_churn
from gateway.openapi import Query, answers, blueprint, ok
from gateway.routes import etag
from gateway.services.segments import cohorts
from gateway.web_environment import environment

bp = blueprint("cohorts", __name__, prefix="/api/dashboard")
etag.install(bp)
NO_COHORTS = (
    "No month that began after the first snapshot is over with its ends known, or the starts of subscriptions are not "
    "dated: of earlier customers only those who stayed are known."
)
NO_PERIODS = (
    "Two dates with facts, 27 days apart or more, with known ends 30 days later are needed, or the group is not "
    "counted by period."
)


class CohortsQuery(Query):
    """How far back."""

    limit: int = Field(12, ge=1, le=36, description="Cohorts, the newest ones")


class CellOut(BaseModel):
    """A cohort at the end of a month."""

    age: int = Field(description="Months after the cohort's own month")
    month: str
    active: int
    rate: float
    interval: tuple[float, float] = Field(description="95 %")


class CohortOut(BaseModel):
    """Customers whose first subscription began in a month."""

    month: str
    customers: int
    cells: list[CellOut | None] = Field(description="By age from 0; null where the month is not over")


class Triangle(BaseModel):
    """Cohorts, the oldest first."""

    cohorts: list[CohortOut]
    reason: str | None


class RateQuery(Query):
    """The groups."""

    by: str = Field("plan", min_length=1, max_length=500, description="A category or tenure, by its feature's name")


class PeriodRate(BaseModel):
    """Churn in a period."""

    start: str
    end: str
    customers: int
    left: int
    rate: float


class GroupChangeOut(BaseModel):
    """A group's part in the change; pairs are of the earlier and the later period."""

    value: str | None
    customers: tuple[int, int]
    left: tuple[int, int]
    mix: float
    rate: float


class RateChangeOut(BaseModel):
    """Change of the churn rate: `mix` + `rate` = `change`."""

    by: str
    before: PeriodRate | None
    after: PeriodRate | None
    change: float | None
    mix: float | None
    rate: float | None
    groups: list[GroupChangeOut]
    reason: str | None


@bp.get("/cohorts", summary="Retention by cohort", responses=answers(Triangle))
def retention(query: CohortsQuery) -> Response:
    """Customers by the month of their first subscription, and how many each later month ended with."""
    with environment().database.read() as connection:
        found = cohorts.triangle(connection, query.limit)
    shown = [
        CohortOut(
            month=each.month,
            customers=each.size,
            cells=[None if cell is None else CellOut.model_validate(cell, from_attributes=True) for cell in each.cells],
        )
        for each in found
    ]
    return ok(Triangle(cohorts=shown, reason=None if shown else NO_COHORTS))


@bp.get("/churn-change", summary="Why the churn rate moved: mix and rate", responses=answers(RateChangeOut))
def churn_change(query: RateQuery) -> Response:
    """The newest period of 30 days against the one before, by group."""
    with environment().database.read() as connection:
        periods = group_churn.read(connection, query.by)
    found = cohorts.rate_change(*periods) if len(periods) == 2 else None
    later, earlier = (_period(each) for each in periods) if found else (None, None)
    groups = found.groups if found else []
    return ok(
        RateChangeOut(
            by=query.by,
            before=earlier,
            after=later,
            change=found.after - found.before if found else None,
            mix=found.mix if found else None,
            rate=found.rate if found else None,
            groups=[GroupChangeOut.model_validate(each, from_attributes=True) for each in groups],
            reason=None if found else NO_PERIODS,
        )
    )


def _period(period: group_churn.GroupPeriod) -> PeriodRate:
    customers, left = sum(g.customers for g in period.groups), sum(g.left for g in period.groups)
    return PeriodRate(start=period.start, end=period.end, customers=customers, left=left, rate=left / customers)
