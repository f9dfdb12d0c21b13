"""Customers over REST: the high-risk list, risk segments, one customer, recommended actions.

Law: a list is read from stored scores, never by calling the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from database.customers import contacting, customer_base, customers, history
from database.models import models
from database.scoring import runs, score_figures
from gateway.openapi import Legacy, Query, answers, blueprint, ok
from gateway.routes import etag
from gateway.routes.customers.outlook import CustomerOutlook, CustomerQuery, outlook_of
from gateway.security.authentication import current_user
from gateway.services.campaigns import measuring, ranking
from gateway.services.campaigns.ranking import Ranked
from gateway.services.customers import erasing
from gateway.services.scoring import lookups, recommending
from gateway.services.scoring import reasons as explaining
from gateway.services.scoring.others import others
from gateway.services.scoring.reasons import Explained, ReasonOut
from gateway.services.scoring.recommending import Action
from gateway.web_environment import environment
from shared.campaigns.catalogue import load_catalogue
from shared.contracts.api import REASON_NUMBERS, Cell
from shared.errors import NotFound
from shared.risk import risk_level
from shared.schema.features import Schema
from shared.web.request_ids import request_id

bp = blueprint("customers", __name__, prefix="/api/customers")
etag.install(bp)
INTERNAL = frozenset({"score_run_id", *(f"{part}_{k}" for part in ("reason", "points") for k in REASON_NUMBERS)})


class HighRiskQuery(Query):
    """Offset paging, as the old backend had it."""

    page: int = Field(1, ge=1, le=1_000_000)
    limit: int = Field(10, ge=1, le=100)


class AtRisk(BaseModel):
    """One row of the documented list, with its reasons."""

    user_id: str
    plan: str | None
    churn_probability: float
    last_activity: str | None
    tenure_months: int | None
    risk_level: str
    confidence: float
    low_confidence: bool
    monthly_price: float | None
    contact: contacting.Status = Field(description="Whether the customer may be contacted, or why not")
    reasons: list[ReasonOut]


class Pagination(BaseModel):
    """The position of the page in the list."""

    page: int
    limit: int
    total: int
    pages: int


class HighRisk(BaseModel):
    """Customers above the cut."""

    customers: list[AtRisk]
    pagination: Pagination
    cut: float
    model_version: str | None
    as_of: str | None


class CustomerPath(BaseModel):
    """A customer, by user_id."""

    customer_id: str


class CustomerOut(BaseModel):
    """Every column of a customer, including its features, and its present score."""

    model_config = ConfigDict(extra="allow")

    id: int
    user_id: str
    email: str | None
    plan: str | None
    churn: int
    churn_probability: float | None
    prediction_date: str | None
    confidence: float | None
    low_confidence: bool | None
    risk_level: str | None
    model_version: str | None
    base_probability: float | None
    reasons: list[ReasonOut]
    other_points: float | None
    time_of_year_points: float | None = Field(
        description="Points of the run's date; 0 where the model has no level for the time of year"
    )
    outlook: CustomerOutlook | None = Field(None, description="Only where asked for; null for who has left")


class Segment(BaseModel):
    """Customers of one risk level."""

    segment: str
    count: int


class Segments(BaseModel):
    """Customers by risk level; always all three levels."""

    segments: list[Segment]


class SegmentBody(Legacy):
    """An empty body; old clients send `{}`."""


class ErasedOut(BaseModel):
    """The customer who was erased."""

    customer_id: str
    rows: dict[str, int] = Field(description="Deleted rows by table; how many results and filters named the customer")


class Actions(BaseModel):
    """Actions for one customer: by the facts that add to the score, and of the catalogue, by expected value."""

    customer_id: str
    score: Explained
    actions: list[Action]
    ranked: list[Ranked] = Field(description="The catalogue and `nothing`, by expected value under assumed effects")


@bp.get("/high-risk", summary="Customers above the cut", responses=answers(HighRisk))
def high_risk(query: HighRiskQuery) -> Response:
    """Highest probability first."""
    env = environment()
    cut = env.settings.cut
    with env.database.read() as connection:
        present, run = customer_base.get(connection), runs.published(connection)
        total = score_figures.tail(connection, run.run_id, cut).customers if run else 0
        rows = (
            customers.ranked(
                connection, present.schema, limit=query.limit, above=cut, offset=(query.page - 1) * query.limit
            )
            if present and run
            else []
        )
    listed = [_at_risk(present.schema, row, env.settings.confidence_threshold) for row in rows] if present else []
    return ok(
        HighRisk(
            customers=listed,
            pagination=Pagination(page=query.page, limit=query.limit, total=total, pages=-(-total // query.limit)),
            cut=cut,
            model_version=run.model_version if run else None,
            as_of=run.as_of if run else None,
        )
    )


def _at_risk(schema: Schema, row: Mapping[str, Any], unsure: float) -> AtRisk:
    return AtRisk(
        user_id=row["user_id"],
        plan=row["plan"],
        churn_probability=row["churn_probability"],
        last_activity=row["last_activity"],
        tenure_months=row["tenure_months"],
        risk_level=risk_level(row["churn_probability"]),
        confidence=row["confidence"],
        low_confidence=row["confidence"] < unsure,
        monthly_price=row["monthly_price"],
        contact=row["contact_status"],
        reasons=explaining.stored_reasons(schema, row),
    )


@bp.post("/segment", summary="Active customers by level of risk", responses=answers(Segments))
def segment(body: SegmentBody) -> Response:
    """By present scores of active customers; the levels are those of `shared.risk`."""
    with environment().database.read() as connection:
        run = runs.published(connection)
        counts = score_figures.segments(connection, run.run_id if run else None)
    names = ("High Risk", "Medium Risk", "Low Risk")
    found = [Segment(segment=name, count=count) for name, count in zip(names, counts, strict=True)]
    return ok(Segments(segments=found))


@bp.get("/<customer_id>", summary="One customer", responses=answers(CustomerOut, also=(404, 409, 503)))
def one(path: CustomerPath, query: CustomerQuery) -> Response:
    """Every column, the present score (null when unscored) and its reasons; horizons, causes and value on request."""
    env = environment()
    with env.database.read() as connection:
        present = customer_base.get(connection)
        row = customers.one(connection, present.schema, path.customer_id) if present else None
        run = runs.published(connection)
        model = models.get(connection, run.model_version) if run else None
        scored_by = row["score_run_id"] if row else None
        day = None if scored_by is None else history.run_of(connection, scored_by).as_of
    if present is None or row is None:
        raise NotFound("Customer not found")
    columns = {name: value for name, value in row.items() if name not in INTERNAL}
    score = _score_of(present.schema, row, model, day, env.settings.confidence_threshold)
    asked = {"outlook": None if row["churn"] else outlook_of(path.customer_id, row, query)} if query.outlook else {}
    return ok(CustomerOut.model_validate(columns | score | asked))


UNSCORED = (
    "low_confidence",
    "risk_level",
    "model_version",
    "base_probability",
    "other_points",
    "time_of_year_points",
)


def _score_of(
    schema: Schema, row: Mapping[str, Any], model: models.Model | None, day: str | None, unsure: float
) -> dict[str, Any]:
    probability = row["churn_probability"]
    if probability is None or model is None or day is None:
        return {**dict.fromkeys(UNSCORED), "reasons": []}
    of_year = model.time_of_year_points(day, probability)
    reasons = explaining.stored_reasons(schema, row)
    base_probability = model.figures["base_probability"]
    return {
        "low_confidence": row["confidence"] < unsure,
        "risk_level": risk_level(probability),
        "model_version": model.version,
        "base_probability": base_probability,
        "reasons": reasons,
        "other_points": probability - base_probability - sum(reason["points"] for reason in reasons) - of_year,
        "time_of_year_points": of_year,
    }


@bp.delete("/<customer_id>", summary="Erase a customer", responses=answers(ErasedOut, also=(404, 409)))
def erase(path: CustomerPath) -> Response:
    """Every fact, lifetime, score, outcome, contact and note, in one transaction; counts that name nobody stay."""
    env, actor = environment(), current_user().actor
    rows = erasing.erase(env.database, env.settings, path.customer_id, clock=env.clock, actor=actor)
    return ok(ErasedOut(customer_id=path.customer_id, rows=rows))


@bp.get(
    "/<customer_id>/actions",
    summary="Actions for one customer, by their reasons",
    responses=answers(Actions, also=(404, 409, 503)),
)
def actions(path: CustomerPath) -> Response:
    """Actions on facts that add to the score, highest points first, each with a value that others have and its score.

    The score is what the model estimates if that fact alone were changed. It is not a measured effect of an action.
    """
    env = environment()
    live = lookups.live_model(env.database, env.query_cache)
    schema, version, as_of = live.schema, live.version, live.as_of
    key, facts = lookups.present_facts(env.database, schema, path.customer_id)
    compared = others(env.database, env.query_cache, schema)
    score, found = recommending.recommend(
        env.ml, schema, version, facts, compared, as_of=as_of, row_key=key, request_id=request_id()
    )
    ranked = _ranked(schema, key, facts, score.churn_probability)
    return ok(Actions(customer_id=path.customer_id, score=score, actions=found, ranked=ranked))


def _ranked(schema: Schema, key: int, facts: Mapping[str, Cell], probability: float) -> list[Ranked]:
    env = environment()
    today = env.clock().date().isoformat()
    measured = measuring.measured_actions(env.database, env.query_cache, today)
    catalogue = load_catalogue(env.settings.actions_file)
    with env.database.read() as connection:
        return ranking.rank(
            connection, catalogue, schema, measured, customer_id=key, facts=facts, probability=probability, today=today
        )
