"""The live model as its matured predictions show it, over REST.

Law: nothing is computed here that a read does not find stored or counted; what has not matured is called pending.
"""

from __future__ import annotations

from flask import Response, current_app
from pydantic import Field

from gateway.openapi import Query, answers, blueprint, ok
from gateway.routes import etag
from gateway.services.monitoring import drift as drift_reports
from gateway.services.monitoring import live_state, service_state
from gateway.services.monitoring.drift import Drift
from gateway.services.monitoring.live_state import LiveState
from gateway.services.monitoring.service_state import ServiceState
from gateway.web_environment import environment
from shared.web.flask_app import RECENT

bp = blueprint("live", __name__, prefix="/api/model")
#: Apart, for its answers are kept until the database changes; requests are counted without it.
stored_bp = blueprint("drift", __name__, prefix="/api/model")
etag.install(stored_bp)


class DriftQuery(Query):
    """How many reports."""

    limit: int = Field(1, ge=1, le=100, description="Reports, newest run first")


class LiveAnswer(LiveState):
    """The live model, and how this gateway answers."""

    service: ServiceState


@bp.get("/live", summary="The live model's status, alarm and alerts", responses=answers(LiveAnswer))
def live() -> Response:
    """Status with its reason, the newest matured run beside what training promised, the alarm on the level, alerts."""
    env = environment()

    def read() -> LiveState:
        with env.database.read() as connection:
            return live_state.read(connection, env.settings.alert_auc)

    found, now = env.query_cache.get_or_read("live state", read), env.clock()
    service = service_state.state_of(current_app.extensions[RECENT].read(), now)
    alerts = [*found.alerts, *service_state.alerts_of(service, now)]
    return ok(LiveAnswer(**{**dict(found), "alerts": alerts}, service=service))


@stored_bp.get("/drift", summary="How scored customers differ from training rows", responses=answers(Drift))
def drift(query: DriftQuery) -> Response:
    """By feature and together, beside training rows of the same season; `alerts` names effects that are large."""
    with environment().database.read() as connection:
        return ok(drift_reports.read(connection, query.limit))
