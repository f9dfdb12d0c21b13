"""Predictions over REST: scoring runs, the newest predictions, performance, single scores, what-if.

Law: a run is a job; a single score is explained and never written to the ledger.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from database.models import models
from database.scoring import score_figures
from gateway.openapi import Body, Query, answers, blueprint, ok
from gateway.routes.jobs.job_responses import answer_job, answers_job
from gateway.routes.schemas import Balanced, RunOut, SampleBody
from gateway.services import kinds
from gateway.services.monitoring import performance as live_performance
from gateway.services.monitoring.performance import By, LivePerformance
from gateway.services.scoring import lookups, reasons
from gateway.services.scoring.reasons import Explained
from gateway.web_environment import environment
from shared.clock import iso
from shared.contracts.api import Cell, Shown
from shared.errors import invalid
from shared.web.request_ids import request_id

bp = blueprint("predictions", __name__, prefix="/api/predictions")
GENERATE_WAIT_S = 60.0
NEWEST = 100
TOTAL_DAYS = 7


class PredictionOut(BaseModel):
    """One ledger row; `customer_id` is the user_id."""

    id: int
    customer_id: str
    churn_probability: float
    confidence: float
    prediction_date: str
    low_confidence: bool


class Results(BaseModel):
    """The newest predictions."""

    predictions: list[PredictionOut]
    total: int
    timestamp: str


class Performance(BaseModel):
    """The live model on its held-out test set; nulls before the first model."""

    auc: float | None
    precision: float | None
    recall: float | None
    f1_score: float | None
    training_samples: int | None
    model_version: str | None
    last_trained: str | None
    threshold: float | None
    prevalence: float | None
    n: int | None
    balanced: Balanced | None


class PerformanceQuery(Query):
    """Which performance, and of live performance which groups."""

    view: Literal["held-out", "live"] = Field("held-out", description="On held-out rows, or what has happened since")
    by: By = Field("run", description="Groups of view=live; segments are those of the newest version that has matured")
    feature: str | None = Field(
        None, max_length=500, description="Of by=segment: one category, or a number in bands; every category if absent"
    )
    limit: int = Field(24, ge=1, le=100, description="Groups of view=live, newest first")


def _named(field: str, kind: str) -> dict[str, Any]:
    return {"required": [field], "properties": {field: {"type": kind}}}


class ScoreBody(Body):
    """A customer by user_id, or the facts of a customer who need not exist."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [_named("customer_id", "string"), _named("features", "object")]}
    )

    customer_id: str | None = Field(None, min_length=1, max_length=200)
    features: dict[str, Cell] | None = None
    reasons: Shown = Field("top", description="The reasons to return: the top three, every feature's, or none")
    outlook: StrictBool = Field(False, description="Whether to return further horizons and causes")


class WhatIfBody(Body):
    """A customer, and changed values of features that can be acted on."""

    customer_id: str = Field(min_length=1, max_length=200)
    changes: dict[str, Cell] = Field(min_length=1)
    outlook: StrictBool = Field(False, description="Whether to return further horizons and causes, before and after")


class WhatIfOut(BaseModel):
    """Before, after, and the difference between both scores."""

    before: Explained
    after: Explained
    score_if_changed: float = Field(description="The model's score for the changed facts: that of `after`")
    difference: float = Field(description="score_if_changed - the score before")
    note: str


@bp.get("/results", summary="The newest predictions, highest first", responses=answers(Results))
def results() -> Response:
    """At most 100; `total` counts all of the last 7 days."""
    env = environment()
    now = env.clock()
    with env.database.read() as connection:
        rows, total = score_figures.recent_predictions(
            connection, limit=NEWEST, since=iso(now - timedelta(days=TOTAL_DAYS))
        )
    unsure = env.settings.confidence_threshold
    return ok(
        Results(
            predictions=[
                PredictionOut(
                    id=row.id,
                    customer_id=row.user_id,
                    churn_probability=row.churn_probability,
                    confidence=row.confidence,
                    prediction_date=row.prediction_date,
                    low_confidence=row.confidence < unsure,
                )
                for row in rows
            ],
            total=total,
            timestamp=iso(now),
        )
    )


@bp.post("/generate", summary="Score customers now", responses=answers_job(RunOut))
def generate(body: SampleBody) -> Response:
    """Waits up to 60 s, then answers 202 with the job (RFC 7240)."""
    return answer_job(kinds.SCORE, body.params(), default_wait_s=GENERATE_WAIT_S, done=ok)


@bp.get("/performance", summary="Performance, promised or live", responses=answers(Performance | LivePerformance))
def performance(query: PerformanceQuery) -> Response:
    """Held-out figures of the live model: natural prevalence first, balanced beside it.

    With `view=live`: what the predictions of the past were worth, newest group first.
    """
    with environment().database.read() as connection:
        if query.view == "live":
            return ok(live_performance.read(connection, query.by, query.limit, query.feature))
        live = models.live(connection)
    report = live.figures if live else {}
    test = report.get("test") or {}
    return ok(
        Performance(
            auc=report.get("auc"),
            precision=report.get("precision"),
            recall=report.get("recall"),
            f1_score=report.get("f1_score"),
            training_samples=report.get("training_samples"),
            model_version=live.version if live else None,
            last_trained=report.get("timestamp"),
            threshold=test.get("threshold"),
            prevalence=test.get("prevalence"),
            n=test.get("n"),
            balanced=test.get("balanced"),
        )
    )


@bp.post("/score", summary="Score one customer, or facts", responses=answers(Explained, also=(404, 409, 503)))
def score(body: ScoreBody) -> Response:
    """The score is explained and not written to the ledger."""
    if (body.customer_id is None) == (body.features is None):
        raise invalid("body", "send either customer_id or features")
    env = environment()
    live = lookups.live_model(env.database, env.query_cache)
    ignored: frozenset[str] = frozenset()
    if body.customer_id is not None:
        key, facts = lookups.present_facts(env.database, live.schema, body.customer_id)
    else:
        given = body.features or {}
        key, facts = None, lookups.given_facts(live.schema, given, left_out=live.left_out)
        ignored = live.left_out & {name for name, value in given.items() if value is not None}
    answer = reasons.score(
        env.ml,
        live.schema,
        live.version,
        [facts],
        as_of=live.as_of,
        row_key=key,
        reasons=body.reasons,
        outlook=body.outlook,
        request_id=request_id(),
    )
    return ok(reasons.explain(live.schema, facts, answer, ignored=ignored))


@bp.post(
    "/what-if",
    summary="The score with changed facts",
    responses=answers(WhatIfOut, also=(404, 409, 503)),
)
def what_if(body: WhatIfBody) -> Response:
    """Features that can be acted on may be changed; the score is computed like any other.

    It is what the model estimates for the changed facts. It is not a measured effect of changing them.
    """
    env = environment()
    live = lookups.live_model(env.database, env.query_cache)
    key, facts = lookups.present_facts(env.database, live.schema, body.customer_id)
    changed = lookups.changed_facts(live.schema, facts, body.changes)
    answer = reasons.score(
        env.ml,
        live.schema,
        live.version,
        [facts, changed],
        as_of=live.as_of,
        row_key=key,
        outlook=body.outlook,
        request_id=request_id(),
    )
    before = reasons.explain(live.schema, facts, answer)
    after = reasons.explain(live.schema, changed, answer, at=1, ignored=live.left_out & set(body.changes))
    then = after.churn_probability
    difference = then - before.churn_probability
    return ok(
        WhatIfOut(before=before, after=after, score_if_changed=then, difference=difference, note=reasons.ESTIMATE)
    )
