"""History of one customer.

Law: facts and scores are shown as stored; no model is called and nothing is interpolated.
"""

from __future__ import annotations

from typing import Any

from flask import Response
from pydantic import BaseModel, Field

from database.customers import customer_base, customers, history
from database.engine.bulk_insert import AnyRow
from database.models import models
from gateway.openapi import Query, answers, blueprint, ok
from gateway.web_environment import environment
from shared.contracts.api import REASON_NUMBERS, Cell
from shared.errors import NotFound
from shared.parsing_limits import MAX_INT64
from shared.schema.features import Schema

bp = blueprint("histories", __name__, prefix="/api/customers")
MAX_LIFETIMES = 100


class HistoryQuery(Query):
    """A page of a history."""

    limit: int = Field(24, ge=1, le=100, description="Facts, and scores, per page")
    facts_before: str | None = Field(
        None, pattern=r"^\d{4}-\d\d-\d\d$", description="`next_facts` of the previous page"
    )
    scores_before: int | None = Field(None, ge=1, le=MAX_INT64, description="`next_scores` of the previous page")


class CustomerPath(BaseModel):
    """A customer, by user_id."""

    customer_id: str


class Fact(BaseModel):
    """Facts of one date."""

    as_of: str
    known_at: str
    label: int | None
    import_id: int
    file_name: str | None
    features: dict[str, Cell]


class Lifetime(BaseModel):
    """One subscription."""

    started_at: str
    cancelled_at: str | None
    ended_at: str | None
    end_reason: str | None
    seen_until: str | None = Field(description="Only of an end dated by absence: it lies after this day ..")
    absent_from: str | None = Field(description=".. up to this one, the date of the first full snapshot without them")
    plan: str | None
    monthly_price: float | None
    currency: str | None
    known_at: str


class PastReason(BaseModel):
    """The contribution of a feature to a past score."""

    feature: str
    label: str
    points: float


class PastScore(BaseModel):
    """One row of the ledger; `churned` is null until the horizon has passed."""

    id: int
    run_id: int
    job_id: int | None
    run_kind: str
    as_of: str
    facts_as_of: str
    horizon_days: int | None
    prediction_date: str
    model_version: str
    churn_probability: float
    confidence: float
    out_of_fold: bool
    reasons: list[PastReason]
    churned: int | None
    outcome_known_at: str | None


class TouchedBy(BaseModel):
    """The imports and jobs that wrote what is shown here."""

    imports: list[dict[str, Any]]
    jobs: list[dict[str, Any]]


class History(BaseModel):
    """One customer over time, newest first."""

    customer_id: str
    facts: list[Fact]
    next_facts: str | None
    subscriptions: list[Lifetime]
    scores: list[PastScore]
    next_scores: int | None
    touched_by: TouchedBy


@bp.get("/<customer_id>/history", summary="One customer over time", responses=answers(History, also=(404,)))
def one(path: CustomerPath, query: HistoryQuery) -> Response:
    """Facts, lifetimes and scores with outcomes, and the imports and jobs that wrote them."""
    with environment().database.read() as connection:
        present = customer_base.get(connection)
        key = customers.ids_by_user_id(connection, [path.customer_id]).get(path.customer_id)
        if present is None or key is None:
            raise NotFound("Customer not found")
        facts = history.facts(connection, present.schema, key, limit=query.limit, before=query.facts_before)
        scores = history.scores(connection, key, limit=query.limit + 1, before_id=query.scores_before)
        lifetimes = history.subscriptions(connection, key, limit=MAX_LIFETIMES)
        page = scores[: query.limit]
        days = models.horizons(connection, {row.version for row in page})
        imported = history.imports_of(connection, sorted({fact["import_id"] for fact in facts}))
        jobs = history.jobs_of(connection, sorted({row.job_id for row in page if row.job_id is not None}))
    dates = {fact["as_of"] for fact in facts}
    return ok(
        History(
            customer_id=path.customer_id,
            facts=[Fact.model_validate(fact) for fact in facts],
            next_facts=min(dates) if len(dates) == query.limit else None,
            subscriptions=[Lifetime.model_validate(row, from_attributes=True) for row in lifetimes],
            scores=[_score(present.schema, row, days.get(row.version, row.horizon_days)) for row in page],
            next_scores=page[-1].id if len(scores) > query.limit else None,
            touched_by=TouchedBy(imports=[row._asdict() for row in imported], jobs=[row._asdict() for row in jobs]),
        )
    )


def _score(schema: Schema, row: AnyRow, horizon_days: int | None) -> PastScore:
    names = schema.feature_names
    reasons = [(getattr(row, f"reason_{k}"), getattr(row, f"points_{k}")) for k in REASON_NUMBERS]
    return PastScore(
        id=row.id,
        run_id=row.run_id,
        job_id=row.job_id,
        run_kind=row.kind,
        as_of=row.as_of,
        facts_as_of=row.facts_as_of,
        horizon_days=horizon_days,
        prediction_date=row.prediction_date,
        model_version=row.version,
        churn_probability=row.churn_probability,
        confidence=row.confidence,
        out_of_fold=bool(row.out_of_fold),
        reasons=[
            PastReason(feature=names[at], label=schema.feature_label(names[at]), points=points)
            for at, points in reasons
            if 0 <= at < len(names)
        ],
        churned=row.churned,
        outcome_known_at=row.outcome_known_at,
    )
