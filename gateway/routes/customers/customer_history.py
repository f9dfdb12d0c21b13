"""History of one customer, and the customers whose risk moved most.

Law: facts and scores are shown as stored; no model is called and nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from flask import Response
from pydantic import BaseModel, Field

from database.customers import customer_base, customers, history
from database.engine.bulk_insert import AnyRow
from database.models import models
from database.scoring import runs, score_figures
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


class MoversQuery(Query):
    """The direction of the change, and a page."""

    direction: Literal["up", "down"] = "up"
    limit: int = Field(20, ge=1, le=100)


class Mover(BaseModel):
    """A customer whose risk changed."""

    user_id: str
    plan: str | None
    monthly_price: float | None
    churn_probability: float
    before: float
    change: float
    time_of_year: float = Field(description="Part of the change that the levels of the two dates make")
    rest: float = Field(description="The other part: facts, and the models where two of them scored")


class Movers(BaseModel):
    """The largest changes since the last full run at least 30 days older; nulls where there is none."""

    customers: list[Mover]
    as_of: str | None
    model_version: str | None
    compared_with: str | None


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


@bp.get("/movers", summary="Customers whose risk changed most", responses=answers(Movers))
def movers(query: MoversQuery) -> Response:
    """Compares the present run with the last full run dated 30 days or more before it."""
    with environment().database.read() as connection:
        present, run = customer_base.get(connection), runs.published(connection)
        earlier = score_figures.run_before(connection, run.as_of) if run else None
        found = (
            history.movers(
                connection,
                present.schema,
                run_id=run.run_id,
                earlier_run_id=earlier,
                rising=query.direction == "up",
                limit=query.limit,
            )
            if present and run and earlier
            else []
        )
        then = history.run_of(connection, earlier) if earlier else None
        versions = (run.model_version, then.version) if run and then else ()
        both = [models.get(connection, version) for version in versions]
    return ok(
        Movers(
            customers=[_mover(each, both, (run.as_of, then.as_of)) for each in found] if run and then else [],
            as_of=run.as_of if run else None,
            model_version=run.model_version if run else None,
            compared_with=then.as_of if then else None,
        )
    )


def _mover(row: Mapping[str, Any], scored_by: Sequence[models.Model | None], dates: tuple[str, str]) -> Mover:
    """One customer, with the parts of the change; models and dates are those of the present run and of the earlier."""
    now, before = (
        0.0 if model is None else model.time_of_year_points(day, row[name])
        for model, day, name in zip(scored_by, dates, ("churn_probability", "before"), strict=True)
    )
    of_year = now - before
    return Mover(**row, time_of_year=of_year, rest=row["change"] - of_year)
