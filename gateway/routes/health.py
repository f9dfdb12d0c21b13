"""Health: whether the gateway runs, and whether it can serve scores. No envelope, no token.

Law: `/api/health` answers 200 as long as the process runs; `/api/health/ready` only when there are scores to show and
the live model can compute more, which needs no worker: without one its status is degraded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from flask import Response, jsonify
from pydantic import BaseModel

from database.models import models
from database.scoring import runs
from gateway import __version__
from gateway.openapi import blueprint
from gateway.services.jobs import work
from gateway.web_environment import environment
from shared.clock import iso
from shared.errors import ServiceUnavailable

bp = blueprint("health", __name__, prefix="/api/health", signed_in=False)


class Health(BaseModel):
    """The gateway runs, even if its dependencies do not."""

    status: Literal["OK"]
    timestamp: str
    service: str
    version: str
    registration: Literal["open", "closed"]
    dependencies: dict[str, str]


class Ready(BaseModel):
    """The conditions for serving scores, and whether each is met."""

    status: Literal["ready", "degraded", "not ready"]
    timestamp: str
    database: bool
    ml_service: bool
    worker: Literal["OK", "away", "unknown"]
    model: str | None
    model_problem: str | None
    scores_published: bool


@bp.get("", summary="State of the gateway and its dependencies", responses={"200": Health})
def health() -> Response:
    """200 as long as the process runs; `dependencies` tells of the others, `registration` who may register."""
    env = environment()
    reachable = env.database.is_reachable()
    database = "OK" if reachable else "unavailable"
    worker = _worker_state() if reachable else "unknown"
    state = Health(
        status="OK",
        timestamp=iso(env.clock()),
        service="RetainStream API",
        version=__version__,
        registration="open" if env.settings.registration_is_open else "closed",
        dependencies={"database": database, "ml_service": _ml_state(), "worker": worker},
    )
    return jsonify(state.model_dump())


@bp.get(
    "/ready",
    summary="200 once a model is live and its first scores are published",
    responses={"200": Ready, "503": Ready},
)
def ready() -> Response:
    """503 with the reasons until then."""
    env = environment()
    database, ml_service = env.database.is_reachable(), _ml_state() == "OK"
    live, published = None, False
    if database:
        with env.database.read() as connection:
            live, published = models.live_version(connection), runs.published(connection) is not None
    problem = _problem_of(live[1]) if live and ml_service else None
    is_ready = bool(database and ml_service and live and published and problem is None)
    worker = _worker_state() if database else "unknown"
    state = Ready(
        status=("ready" if worker == "OK" else "degraded") if is_ready else "not ready",
        timestamp=iso(env.clock()),
        database=database,
        ml_service=ml_service,
        worker=worker,
        model=live[1] if live else None,
        model_problem=problem,
        scores_published=published,
    )
    response = jsonify(state.model_dump())
    if not is_ready:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return response


def _worker_state() -> Literal["OK", "away"]:
    env = environment()
    return "OK" if work.worker_is_running(env.database, env.clock) else "away"


def _ml_state() -> str:
    return "OK" if _failure("", lambda: environment().ml.health()) is None else "unavailable"


def _problem_of(version: str) -> str | None:
    failure = _failure(version, lambda: environment().ml.require_intact(version))
    return failure.message if failure else None


def _failure(question: str, ask: Callable[[], object]) -> ServiceUnavailable | None:
    def failure_of() -> ServiceUnavailable | None:
        try:
            ask()
        except ServiceUnavailable as failure:
            return failure
        return None

    return environment().ml_states.get(question, failure_of)
