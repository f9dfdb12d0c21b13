"""An app with sign-in and a few stand-in routes, on a real database file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from database.accounts.users import User
from database.engine.session import Database
from database.tables import tables
from gateway import openapi, web_environment
from gateway.clients.ml_client import MLClient
from gateway.environment import Environment
from gateway.openapi import Legacy, blueprint, ok
from gateway.routes.accounts.api_keys import bp as keys_bp
from gateway.routes.accounts.audit import bp as audit_bp
from gateway.routes.accounts.auth import bp as auth_bp
from gateway.routes.accounts.users import bp as users_bp
from gateway.security import guards
from gateway.security.callers import current_user
from gateway.services.accounts import accounts
from gateway.settings import Role, Settings
from shared.clock import utc_now
from shared.web.flask_app import install_defaults

PASSWORD = "correct horse battery"
MUCH = "100000 per minute"
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


@dataclass
class World:
    """An app, its database, and shortcuts to use them."""

    app: Flask
    database: Database
    settings: Settings

    @property
    def client(self) -> FlaskClient:
        """A browser without cookies."""
        return self.app.test_client()

    def person(self, role: Role = "analyst", email: str = "ann@example.com") -> User:
        """An account with PASSWORD."""
        return accounts.create_user(
            self.database, clock=utc_now, cost=4, email=email, password=PASSWORD, name="Ann", role=role
        )

    def login(self, email: str = "ann@example.com", password: str = PASSWORD, **more: Any) -> TestResponse:
        """Sign in."""
        return self.client.post("/api/auth/login", json={"email": email, "password": password, **more})

    def bearer(self, role: Role = "analyst", email: str | None = None) -> dict[str, str]:
        """Headers of somebody new with this role, who has signed in."""
        address = email or f"{role}@example.com"
        self.person(role, address)
        return {"Authorization": f"Bearer {self.login(address).get_json()['data']['token']}"}


def build(folder: Path, **variables: Any) -> World:
    """Join the pieces as `create_app` does.

    Parameters
    ----------
    folder
        Where the database file goes; an app built twice on one folder shares it.
    **variables
        Settings by their environment names.
    """
    given: dict[str, Any] = {
        "_env_file": None,
        "APP_ENV": "test",
        "JWT_SECRET": "a secret of this test, long enough for HS256",
        "BCRYPT_COST": 4,
        "CREDENTIALS_LIMIT": MUCH,
        "REQUEST_LIMIT": MUCH,
        "ALLOWED_ORIGINS": "http://localhost:3000,https://board.example.com",
        **variables,
    }
    settings = Settings(**given)
    database = Database(folder / "auth.db")
    tables.metadata.create_all(database.engine)
    app = openapi.make_app("gateway")
    app.config["MAX_CONTENT_LENGTH"] = 4 * 1024 * 1024
    ml = MLClient("http://127.0.0.1:9", "nobody")
    web_environment.install(app, Environment(settings, database, ml, utc_now))
    install_defaults(app)
    guards.install(app, settings, database)
    for each in [auth_bp, keys_bp, users_bp, audit_bp, *stand_ins()]:
        app.register_api(each)
    guards.require_roles(app)
    return World(app, database, settings)


def refused(response: TestResponse) -> tuple[int, str, str]:
    """Status, code and message of a failure."""
    body = response.get_json()
    assert body["success"] is False
    return response.status_code, body["error"]["code"], body["message"]
