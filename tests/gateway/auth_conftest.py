"""A world with sign-in and a few stand-in routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Response, request
from werkzeug.test import TestResponse

from gateway.openapi import Legacy, blueprint, ok
from gateway.routes.accounts.api_keys import bp as keys_bp
from gateway.routes.accounts.audit import bp as audit_bp
from gateway.routes.accounts.auth import bp as auth_bp
from gateway.routes.accounts.users import bp as users_bp
from gateway.security.authentication import current_user
from tests.world import World, open_world

METRICS = "/api/dashboard/metrics"
PREDICT = "/api/dashboard/predict"
NO_TOKEN = (401, "unauthenticated", "Access token required")
REJECTED = (403, "token_rejected", "Invalid or expired token")


class Sample(Legacy):
    sample_size: int | None = None


def stand_ins() -> list[Any]:
    """Routes as the rest of the gateway has them, made anew for each app."""
    dashboard = blueprint("dashboard", __name__, prefix="/api/dashboard")
    customers = blueprint("customers", __name__, prefix="/api/customers")
    model = blueprint("model", __name__, prefix="/api/model")
    health = blueprint("health", __name__, prefix="/api/health", signed_in=False)

    @dashboard.get("/metrics")
    def metrics() -> Response:
        return ok({"by": current_user().role})

    @dashboard.post("/predict")
    def predict(body: Sample) -> Response:
        return ok({"sample_size": body.sample_size})

    @customers.post("/import")
    def take_file() -> Response:
        return ok({"files": sorted(request.files)})

    @model.post("/promote")
    def promote() -> Response:
        return ok({"by": current_user().id})

    @health.get("")
    def is_alive() -> Response:
        return ok({"address": request.remote_addr})

    return [dashboard, customers, model, health]


def build(folder: Path, **variables: Any) -> World:
    """A world with the routes of accounts and stand-ins for the rest; two of one folder share its database."""
    origins = "http://localhost:3000,https://board.example.com"
    world = open_world(folder / "auth.db", **{"ALLOWED_ORIGINS": origins, **variables})
    world.blueprints = [auth_bp, keys_bp, users_bp, audit_bp, *stand_ins()]
    return world


def refused(response: TestResponse) -> tuple[int, str, str]:
    """Status, code and message of a failure."""
    body = response.get_json()
    assert body["success"] is False
    return response.status_code, body["error"]["code"], body["message"]
