"""The dashboard's figures.

Law: each figure follows its formula in docs/api.md#figures, over the published run; what can't be computed yet is null.
"""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, Field

from database.customers import churn_history, customer_base
from database.customers.churn_history import Period
from database.models import models
from database.models.models import Model
from database.scoring import runs, score_figures
from database.scoring.expected_leavers import ExpectedLeavers, expected_leavers
from database.scoring.score_figures import Step, Tail
from gateway.openapi import Query, answers, blueprint, ok
from gateway.routes import etag
from gateway.routes.jobs.job_responses import answer_job, answers_job
from gateway.routes.schemas import RunOut, SampleBody
from gateway.services import kinds
from gateway.services.monitoring import live_state
from gateway.services.monitoring.live_state import ModelStatus
from gateway.web_environment import environment
from shared.risk import HIGH_ABOVE, MEDIUM_ABOVE

bp = blueprint("dashboard", __name__, prefix="/api/dashboard")
etag.install(bp)
PREDICT_WAIT_S = 60.0
SHOWN_FEATURES = 5


class ChurnRate(BaseModel):
    """Logo churn of 30 days, in per cent."""

    current: float | None
    previous: float | None
    change: str | None
    period_end: str | None
    active_at_start: int | None


class PredictedChurners(BaseModel):
    """Active customers above the list's cut, and the expected number of leavers."""

    count: int | None
    confidence: str | None
    change: str | None
    expected: float | None = Field(description="Leavers expected among all; null where nobody is counted")
    expected_interval: tuple[float, float] | None = Field(description="95 %, of chance and of the level's spread")
    expected_note: str | None = Field(description="Parts that the interval leaves out, or why nobody is counted")
    revenue_at_risk: float | None
    cut: float
    customers: int | None
    as_of: str | None
    model_version: str | None
    older_facts: int | None = Field(description="Customers in none of these figures: their facts are too old")
    facts_from: str | None = Field(description="Date of the oldest facts that were scored")


class ModelAuc(BaseModel):
    """ROC AUC of the live model on its held-out test set, and whether its live performance keeps what that promised."""

    score: float | None
    status: ModelStatus | None = Field(description="Stable, Watch or Degraded: GET /api/model/live has the reason")
    version: str | None
    n: int | None
    target: float


class RiskLevels(BaseModel):
    """Probabilities above which a customer's risk is high, and medium."""

    high_above: float
    medium_above: float


class Metrics(BaseModel):
    """The three cards, and the levels of risk."""

    churnRate: ChurnRate
    predictedChurners: PredictedChurners
    modelAuc: ModelAuc
    riskLevels: RiskLevels


class Bucket(BaseModel):
    """The number of customers whose probability rounds to `bucket`."""

    bucket: float
    count: int


class FeatureValue(BaseModel):
    """A feature and its share of mean |SHAP|."""

    name: str
    value: float


class MonthOut(BaseModel):
    """One period of 30 days."""

    start: str
    end: str
    active_at_start: int
    left: int
    rate: float | None


class ThresholdQuery(Query):
    """A cut, at most three decimals."""

    cut: float = Field(0.7, ge=0, le=1)
    steps: bool = Field(False, description="Also every thousandth at which customers are, from the highest")


class StepOut(BaseModel):
    """Customers above a cut at a thousandth; the revenue is null if the price of somebody above it is unknown."""

    cut: float
    customers: int
    expected_leavers: float | None
    revenue_at_risk: float | None


class ThresholdOut(BaseModel):
    """Customers and expected leavers above a cut."""

    cut: float
    customers: int | None
    expected_leavers: float | None
    expected_interval: tuple[float, float] | None
    expected_note: str | None
    share_of_expected: float | None
    all_customers: int | None
    steps: list[StepOut] | None = Field(description="Only where asked for")


@bp.get("/metrics", summary="The three cards", responses=answers(Metrics))
def metrics() -> Response:
    """Churn rate, predicted churners, model AUC."""
    env = environment()
    with env.database.read() as connection:
        periods = churn_history.history(connection)
        run = runs.published(connection)
        live = models.live(connection)
        status = live_state.read(connection, env.settings.alert_auc).status
        tail = score_figures.tail(connection, run.run_id, env.settings.cut) if run else None
        earlier = score_figures.run_before(connection, run.as_of) if run else None
        before = score_figures.tail(connection, earlier, env.settings.cut) if earlier is not None else None
        leavers = (
            expected_leavers(connection, run.model_version, tail.expected, tail.variance) if run and tail else None
        )
    return ok(
        Metrics(
            churnRate=_churn_rate(periods),
            predictedChurners=_churners(run, tail, before, leavers, env.settings.cut),
            modelAuc=_model_auc(live, status, env.settings.target_auc),
            riskLevels=RiskLevels(high_above=HIGH_ABOVE, medium_above=MEDIUM_ABOVE),
        )
    )


def _churn_rate(periods: list[Period]) -> ChurnRate:
    current = periods[0] if periods else None
    rates = [None if p.rate is None else p.rate * 100 for p in periods[:2]] + [None, None]
    now, then = rates[0], rates[1]
    return ChurnRate(
        current=None if now is None else round(now, 2),
        previous=None if then is None else round(then, 2),
        change=None if now is None or then is None else f"{now - then:+.1f}%",
        period_end=current.end if current else None,
        active_at_start=current.active_at_start if current else None,
    )


def _churners(
    run: runs.Published | None, tail: Tail | None, before: Tail | None, leavers: ExpectedLeavers | None, cut: float
) -> PredictedChurners:
    if run is None or tail is None or leavers is None:
        return PredictedChurners.model_validate({**dict.fromkeys(PredictedChurners.model_fields), "cut": cut})
    mean = tail.probability_sum / tail.customers if tail.customers else None
    return PredictedChurners(
        count=tail.customers,
        confidence=None if mean is None else f"{mean * 100:.0f}%",
        change=None if before is None else f"{tail.customers - before.customers:+d}",
        expected=None if leavers.number is None else round(leavers.number, 1),
        expected_interval=_rounded(leavers.interval),
        expected_note=leavers.note,
        revenue_at_risk=None
        if tail.revenue_at_risk is None or leavers.number is None
        else round(tail.revenue_at_risk, 2),
        cut=cut,
        customers=tail.all_customers,
        as_of=run.as_of,
        model_version=run.model_version,
        older_facts=run.older_facts,
        facts_from=run.facts_from,
    )


def _rounded(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (round(interval[0], 1), round(interval[1], 1))


def _model_auc(live: Model | None, status: ModelStatus | None, target: float) -> ModelAuc:
    return ModelAuc(
        score=live.figures.get("auc") if live else None,
        status=status,
        version=live.version if live else None,
        n=live.figures["test"]["n"] if live and live.report else None,
        target=target,
    )


@bp.get("/distribution", summary="Customers by probability rounded to one decimal", responses=answers(list[Bucket]))
def distribution() -> Response:
    """All 11 buckets, over present scores of active customers."""
    with environment().database.read() as connection:
        run = runs.published(connection)
        counts = score_figures.distribution(connection, run.run_id if run else None)
    return ok([Bucket(bucket=at / 10, count=count) for at, count in enumerate(counts)])


@bp.get("/features", summary="The five most important features", responses=answers(list[FeatureValue]))
def features() -> Response:
    """Short names and their share of mean |SHAP|, descending; empty before the first model."""
    with environment().database.read() as connection:
        live, present = models.live_version(connection), customer_base.get(connection)
        rows = models.importance(connection, live[1])[:SHOWN_FEATURES] if live and present else []
    short = present.schema.feature_short if present else str
    return ok([FeatureValue(name=short(row.feature_name), value=row.shap_value) for row in rows])


@bp.post("/predict", summary="Score customers now", responses=answers_job(RunOut))
def predict(body: SampleBody) -> Response:
    """Waits up to 60 s, then answers 202 with the job (RFC 7240)."""
    return answer_job(
        kinds.SCORE,
        body.params(),
        default_wait_s=PREDICT_WAIT_S,
        done=lambda result: ok(result, message="Prediction run completed"),
    )


@bp.get("/history", summary="Logo churn by periods of 30 days", responses=answers(list[MonthOut]))
def history() -> Response:
    """Newest first; empty where subscriptions are unknown."""
    with environment().database.read() as connection:
        periods = churn_history.history(connection)
    return ok([MonthOut.model_validate(period, from_attributes=True) for period in periods])


@bp.get("/threshold", summary="Customers above a cut, and expected leavers among them", responses=answers(ThresholdOut))
def threshold(query: ThresholdQuery) -> Response:
    """Customers above the cut and how many of them are expected to leave, from the roll-up."""
    with environment().database.read() as connection:
        run = runs.published(connection)
        found = score_figures.tail(connection, run.run_id, query.cut) if run else None
        leavers = (
            expected_leavers(connection, run.model_version, found.probability_sum, found.variance_above)
            if run and found
            else None
        )
        steps = score_figures.steps(connection, run.run_id) if run and query.steps else None
    is_counted = leavers is not None and leavers.number is not None
    return ok(
        ThresholdOut(
            cut=query.cut,
            customers=found.customers if found else None,
            expected_leavers=leavers.number if leavers else None,
            expected_interval=_rounded(leavers.interval) if leavers else None,
            expected_note=leavers.note if leavers else None,
            share_of_expected=found.probability_sum / found.expected if found and found.expected else None,
            all_customers=found.all_customers if found else None,
            steps=None if steps is None else [_step(step, is_counted=is_counted) for step in steps],
        )
    )


def _step(step: Step, *, is_counted: bool) -> StepOut:
    expected = step.probability_sum if is_counted else None
    return StepOut(
        cut=step.cut, customers=step.customers, expected_leavers=expected, revenue_at_risk=step.revenue_at_risk
    )
