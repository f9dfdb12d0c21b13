"""A world for tests: a migrated database file, settings, a clock and an ML client, joined as the product joins them.

Its jobs run in this process; its app is the one that `create_app` makes. Tests of processes use `tests.stack`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from flask_openapi import APIBlueprint
from werkzeug.test import TestResponse

from database.accounts.users import User
from database.engine.session import Database
from database.jobs import jobs
from database.jobs.jobs import Job
from gateway.app import create_app
from gateway.clients.ml_client import MLClient
from gateway.environment import Environment, open_environment
from gateway.routes.blueprints import ALL_BLUEPRINTS
from gateway.services import kinds
from gateway.services.accounts import accounts
from gateway.services.jobs import running, work
from gateway.services.jobs.work import Work
from gateway.settings import Role, Settings
from gateway.worker import Worker
from shared.clock import Clock, iso, utc_now
from tests.once.migrated import migrated

PASSWORD = "correct horse battery"
SECRET = "a secret of these tests, long enough for HS256"
TOKEN = "a-service-token-for-tests-of-32-characters"
MUCH = "1000000 per minute"
NOBODY = "http://127.0.0.1:9"
TODAY = datetime(2026, 6, 30, 12, tzinfo=UTC)
#: Parameters of a job for a test that gives none, where its kind can't do without.
LEAST_PARAMS: Mapping[str, Mapping[str, Any]] = {
    kind: {
        "path": "a.csv",
        "file_name": "a.csv",
        "schema": {},
        "content": "customers",
        "name": "a",
        "reason": "objected",
    }
    for kind in (
        *("import", "import-outcomes", "import-contacts", "do-not-contact", "preview", "propose-schema"),
        *("export", "campaign"),
    )
}


def clock() -> datetime:
    """The day on which these tests happen."""
    return TODAY


def on(day: str) -> Clock:
    """A clock that stands at noon of a day."""
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=12)
    return lambda: moment


def settings_of(path: Path, **variables: Any) -> Settings:
    """Settings for a database file, by their environment names."""
    given: dict[str, Any] = {
        "_env_file": None,
        "APP_ENV": "test",
        "DATABASE_PATH": path,
        "DEMO_CUSTOMERS": 600,
        "JWT_SECRET": SECRET,
        "ML_SERVICE_TOKEN": TOKEN,
        "BCRYPT_COST": 4,
        "CREDENTIALS_LIMIT": MUCH,
        "ACCOUNT_LIMIT": MUCH,
        "REQUEST_LIMIT": MUCH,
        **variables,
    }
    return Settings(**given)


@dataclass
class World:
    """A database, an ML client, jobs run in this process, and an app over them.

    The app has the routes of `blueprints`: those of the product, unless a test needs others.
    """

    database: Database
    ml: MLClient
    settings: Settings
    clock: Clock = clock
    blueprints: Sequence[APIBlueprint] = ALL_BLUEPRINTS
    _headers: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def environment(self) -> Environment:
        return Environment(self.settings, self.database, self.ml, self.clock)

    # --- jobs -------------------------------------------------------------------------------------------------------

    def job(self, kind: str, params: Mapping[str, Any] | None = None) -> Job:
        """A queued and claimed job."""
        made = kinds.KINDS[kind]
        job_id = work.submit(self.database, self.clock, made, made.read(params or LEAST_PARAMS.get(kind, {})))
        with self.database.write() as connection:
            found = jobs.claim_one(connection, job_id, worker="test", now=iso(self.clock()))
        assert found is not None
        return found

    def work(self, kind: str, params: Mapping[str, Any] | None = None, **more: Any) -> Work:
        """Arguments of a job's function."""
        return Work(self.environment, self.job(kind, params), **more)

    def run(self, kind: str, handler: Any, params: Mapping[str, Any] | None = None, **more: Any) -> Job:
        """A job, run to its end by a function of work and typed parameters."""
        return running.run(self.work(kind, params, **more), replace(kinds.KINDS[kind], run=handler))

    def do(self, kind: str, handler: Any, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run a job and return its result; its failure is raised."""
        return work.result_or_raise(self.run(kind, handler, params))

    @contextmanager
    def working(self) -> Iterator[None]:
        """A worker of a thread of its own, over the same database file."""
        stops = threading.Event()
        worker = Worker(open_environment(self.settings), name="in-process", stops=stops)
        thread = threading.Thread(target=worker.run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stops.set()
            thread.join(10)

    # --- the app ----------------------------------------------------------------------------------------------------

    @cached_property
    def app(self) -> Flask:
        return create_app(
            self.settings, clock=self.clock, database=self.database, ml=self.ml, blueprints=self.blueprints
        )

    @property
    def client(self) -> FlaskClient:
        """A browser without cookies."""
        return self.app.test_client()

    def person(self, role: Role = "analyst", email: str = "ann@example.com") -> User:
        """An account with PASSWORD."""
        return accounts.create_user(
            self.database, clock=self.clock, cost=4, email=email, password=PASSWORD, name="Ann", role=role
        )

    def login(self, email: str = "ann@example.com", password: str = PASSWORD, **more: Any) -> TestResponse:
        """Sign in."""
        return self.client.post("/api/auth/login", json={"email": email, "password": password, **more})

    def bearer(self, role: Role = "analyst", email: str | None = None) -> dict[str, str]:
        """Headers of somebody new with this role, who has signed in."""
        address = email or f"{role}@example.com"
        self.person(role, address)
        return {"Authorization": f"Bearer {self.login(address).get_json()['data']['token']}"}

    def signed_in(self, role: Role) -> dict[str, str]:
        """Headers of the one person of this role."""
        if role not in self._headers:
            self._headers[role] = self.bearer(role)
        return self._headers[role]

    def ask(self, method: str, path: str, role: Role = "analyst", **how: Any) -> Any:
        """The app's answer to a person of this role."""
        headers = self.signed_in(role) | how.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **how)


def open_world(path: Path, *, url: str = NOBODY, at: Clock = utc_now, **variables: Any) -> World:
    """A world over a database file, which is made where there is none; without an ML service unless given."""
    migrated(path)
    return World(Database(path), MLClient(url, TOKEN), settings_of(path, **variables), at)
