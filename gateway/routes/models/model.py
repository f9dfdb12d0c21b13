"""Models over REST: the live version, all versions and their reports, promotion and rollback.

Law: every figure comes from the training's report on held-out rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from flask import Response
from pydantic import BaseModel, Field, StrictBool

from database.customers import customer_base
from database.jobs import job_lists
from database.models import models
from gateway.openapi import Body, Failure, answers, blueprint, ok
from gateway.security.authentication import current_user
from gateway.services import kinds
from gateway.services.models import promotions
from gateway.web_environment import environment
from shared.contracts.api import HTML_TYPE
from shared.errors import NotFound

bp = blueprint("model", __name__, prefix="/api/model")
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'"
#: Set into a report that is read here: a stored one stands alone, and leads nowhere.
WAY_BACK = (
    b"<style>nav { max-width: 70rem; margin: 0 auto; padding: 1rem clamp(1rem, 2.5vw, 2rem) 0; }"
    b" nav a { display: inline-block; padding: .2rem 0; color: inherit; }"
    b" @media print { nav { display: none; } }</style></head><body>"
    b'<nav aria-label="Breadcrumbs"><a href="/#/model">Model</a> / <a href="/#/model/versions">Versions</a></nav>'
)
_PAGE: dict[Any, Any] = {
    "200": {"description": "Done", "content": {"text/html": {"schema": {"type": "string"}}}},
    **{str(code): Failure for code in (404, 503)},
}


class Improvement(BaseModel):
    """AUC compared with the previous champion's on the same test set; for a first model, with the v1.0 baseline's."""

    improved: bool | None
    previous_auc: float | None
    current_auc: float | None
    improvement: str | None


class Status(BaseModel):
    """The live model; nulls before the first."""

    version: str | None
    algorithm: str
    status: str
    auc_score: float | None
    training_samples: int | None
    features: int | None
    horizon_days: int | None = Field(description="Days that its scores cover; null where its table did not say")
    last_updated: str | None
    performance: Improvement


class ImportanceOut(BaseModel):
    """A feature and its share of mean |SHAP|."""

    name: str
    importance: float


class Features(BaseModel):
    """The importance of every feature, descending."""

    features: list[ImportanceOut]


class VersionOut(BaseModel):
    """A version with its main figures."""

    version: str
    state: str
    is_live: bool
    created_at: str
    decision: str | None
    auc: float | None
    log_loss: float | None
    n: int | None
    prevalence: float | None
    training_samples: int | None


class Versions(BaseModel):
    """Every version, newest first."""

    versions: list[VersionOut]


class VersionPath(BaseModel):
    """A version of the model."""

    version: str


class VersionReport(VersionOut):
    """One version with its whole report."""

    report: dict[str, Any] | None


class TimelineEntry(BaseModel):
    """A version, when it went live, and why."""

    version: str
    live_from: str
    reason: str
    user_id: int | None


class Timeline(BaseModel):
    """Versions that were live, newest first."""

    timeline: list[TimelineEntry]


Reason = Annotated[
    str, Field(min_length=1, max_length=500, pattern=r"\S", description="1 to 500 characters, not only blanks")
]


class PromoteBody(Body):
    """The version to promote, the reason, and whether to overrule the gate."""

    version: str = Field(min_length=1, max_length=32)
    reason: Reason
    force: StrictBool = False


class RollbackBody(Body):
    """The reason for the rollback."""

    reason: Reason


@bp.get("/status", summary="The live model", responses=answers(Status))
def status() -> Response:
    """Version, figures on held-out rows, and the improvement over the previous model."""
    with environment().database.read() as connection:
        live = models.live(connection)
        since = models.live_since(connection)
        training = job_lists.active(connection, kinds.TRAIN.name) is not None
    report = live.figures if live else {}
    return ok(
        Status(
            version=live.version if live else None,
            algorithm="XGBoost",
            status="training" if training else "active" if live else "untrained",
            auc_score=report.get("auc"),
            training_samples=report.get("training_samples"),
            features=report.get("features"),
            horizon_days=report.get("horizon_days"),
            last_updated=since.live_from if since else None,
            performance=_improvement(report),
        )
    )


def _improvement(report: Mapping[str, Any]) -> Improvement:
    now = report.get("auc")
    before = (report.get("champion") or report.get("baselines", {}).get("v1_0") or {}).get("auc")
    if now is None or before is None:
        return Improvement(improved=None, previous_auc=before, current_auc=now, improvement=None)
    gain = f"{now - before:+.2f} ({(now / before - 1) * 100:+.1f}%)"
    return Improvement(improved=now > before, previous_auc=before, current_auc=now, improvement=gain)


@bp.get("/features", summary="Every feature's importance", responses=answers(Features))
def features() -> Response:
    """Long names and shares of mean |SHAP|, descending; empty before the first model."""
    with environment().database.read() as connection:
        live, present = models.live_version(connection), customer_base.get(connection)
        rows = models.importance(connection, live[1]) if live and present else []
    label = present.schema.feature_label if present else str
    found = [ImportanceOut(name=label(row.feature_name), importance=row.shap_value) for row in rows]
    return ok(Features(features=found))


@bp.get("/versions", summary="Every version", responses=answers(Versions))
def versions() -> Response:
    """Newest first."""
    with environment().database.read() as connection:
        live = models.live_version(connection)
        found = models.versions(connection)
    return ok(Versions(versions=[_version(model, live) for model in found]))


@bp.get("/versions/<version>", summary="One version with its report", responses=answers(VersionReport, also=(404,)))
def version(path: VersionPath) -> Response:
    """The version and the report of its training."""
    with environment().database.read() as connection:
        live = models.live_version(connection)
        model = models.get(connection, path.version)
    if model is None:
        raise NotFound(f"There is no model version {path.version}.")
    return ok(VersionReport(**_version(model, live).model_dump(), report=model.report))


@bp.get("/versions/<version>/report", summary="One version's report as a page", responses=_PAGE)
def report(path: VersionPath) -> Response:
    """Self-contained HTML with a way back: figures, curves, segments, dependence of the score on each feature."""
    env = environment()
    with env.database.read() as connection:
        model = models.get(connection, path.version)
    if model is None:
        raise NotFound(f"There is no model version {path.version}.")
    page = env.ml.report_page(model.version).replace(b"</head><body>", WAY_BACK, 1)
    response = Response(page, content_type=HTML_TYPE)
    # The page has neither scripts nor requests, and is allowed none.
    response.headers["Content-Security-Policy"] = REPORT_POLICY
    return response


def _version(model: models.Model, live: tuple[int, str] | None) -> VersionOut:
    test = model.figures.get("test") or {}
    return VersionOut(
        version=model.version,
        state=model.state,
        is_live=live is not None and live[0] == model.id,
        created_at=model.created_at,
        decision=model.decision,
        auc=model.figures.get("auc"),
        log_loss=test.get("log_loss"),
        n=test.get("n"),
        prevalence=test.get("prevalence"),
        training_samples=model.figures.get("training_samples"),
    )


@bp.get("/timeline", summary="Models that were live, with their times", responses=answers(Timeline))
def timeline() -> Response:
    """Newest first, each with its reason."""
    with environment().database.read() as connection:
        rows = models.timeline(connection)
    return ok(Timeline(timeline=[TimelineEntry.model_validate(row, from_attributes=True) for row in rows]))


@bp.post("/promote", summary="Make a version live", responses=answers(VersionOut, also=(404, 409, 503)))
def promote(body: PromoteBody) -> Response:
    """A version that the gate refused needs `force`; the reason is recorded."""
    env = environment()
    actor = current_user().actor
    model = promotions.promote(env.database, env.clock, env.ml.require_intact, **body.model_dump(), actor=actor)
    return ok(_version(model, (model.id, model.version)), message=f"Version {model.version} is live.")


@bp.post("/rollback", summary="Go back to the previous model", responses=answers(VersionOut, also=(409, 503)))
def rollback(body: RollbackBody) -> Response:
    """The reason is recorded."""
    env = environment()
    model = promotions.roll_back(
        env.database, env.clock, env.ml.require_intact, reason=body.reason, actor=current_user().actor
    )
    return ok(_version(model, (model.id, model.version)), message=f"Version {model.version} is live again.")
