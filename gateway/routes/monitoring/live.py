"""The live model as its matured predictions show it, over REST.

Law: nothing is computed here that a read does not find stored; what has not matured is called pending.
"""

from __future__ import annotations

from flask import Response
from pydantic import Field

from gateway.openapi import Query, answers, blueprint, ok
from gateway.routes import etag
from gateway.services.monitoring import drift as drift_reports
from gateway.services.monitoring import live_state
from gateway.services.monitoring.drift import Drift
from gateway.services.monitoring.live_state import LiveState
from gateway.web_environment import environment

bp = blueprint("live", __name__, prefix="/api/model")
etag.install(bp)


class DriftQuery(Query):
    """How many reports."""

    limit: int = Field(1, ge=1, le=100, description="Reports, newest run first")


@bp.get("/live", summary="The live model's status, alarm and alerts", responses=answers(LiveState))
def live() -> Response:
    """Status with its reason, the newest matured run beside what training promised, the alarm on the level, alerts."""
    env = environment()
    with env.database.read() as connection:
        return ok(live_state.read(connection, env.settings.alert_auc))


@bp.get("/drift", summary="How scored customers differ from training rows", responses=answers(Drift))
def drift(query: DriftQuery) -> Response:
    """By feature and together, beside training rows of the same season; `alerts` names effects that are large."""
    with environment().database.read() as connection:
        return ok(drift_reports.read(connection, query.limit))
