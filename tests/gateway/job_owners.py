"""People and keys who ask one gateway for jobs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from database.jobs import jobs, workers
from gateway.services.accounts import accounts, api_keys
from gateway.settings import Role
from shared.clock import iso, utc_now
from shared.errors import InvalidTable
from tests.world import PASSWORD, open_world

CELL = "somebody@example.com"
PEOPLE: dict[str, Role] = {"ann": "analyst", "bob": "analyst", "vic": "viewer", "root": "admin"}
KEYS = {"ann": ("import", "score", "read"), "root": ("import",)}


class JobOwners:
    """People and keys who ask one gateway for jobs."""

    def __init__(self, folder: Path, **variables: Any) -> None:
        world = open_world(folder / "office.db", MAX_WAITING=0, **variables)
        self.database, self.settings = world.database, world.settings
        self.client: FlaskClient = world.client
        self.ids: dict[str, int] = {}
        self.key_ids: dict[str, int] = {}
        self.headers: dict[str, dict[str, str]] = {}
        for name, role in PEOPLE.items():
            self._join(name, role)
        for name, scopes in KEYS.items():
            for scope in scopes:
                self._key(name, scope)
        with self.database.write() as connection:
            workers.seen(connection, "w", iso(utc_now()))

    def _join(self, name: str, role: Role) -> None:
        email = f"{name}@example.com"
        made = accounts.create_user(
            self.database, clock=utc_now, cost=4, email=email, password=PASSWORD, name=name, role=role
        )
        answer = self.client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
        self.ids[name], token = made.id, answer.get_json()["data"]["token"]
        self.headers[name] = {"Authorization": f"Bearer {token}"}

    def _key(self, name: str, scope: str) -> None:
        key, secret = api_keys.create(self.database, clock=utc_now, user_id=self.ids[name], name=scope, scopes=(scope,))
        self.key_ids[f"{name}/{scope}"] = key.id
        self.headers[f"{name}/{scope}"] = {"X-API-Key": secret}

    def job(self, kind: str, by: str | None, *, state: str = "done", params: Mapping[str, Any] | None = None) -> int:
        """A job that somebody asked for, and how it ended."""
        owner = {} if by is None else {"user_id": self.ids[by.split("/")[0]], "key_id": self.key_ids.get(by)}
        with self.database.write() as connection:
            job_id = jobs.create(connection, kind=kind, params=params or {}, now=iso(utc_now()), **owner)
            if state == "queued":
                return job_id
            job = jobs.claim_one(connection, job_id, worker="w", now=iso(utc_now()))
            assert job is not None
            if state == "done":
                jobs.finish(connection, job, {"rows": [[CELL]]}, iso(utc_now()))
            elif state == "failed":
                error = InvalidTable(f"Row 2: {CELL} is not a number.", details=[{"row": 2, "value": CELL}])
                jobs.fail(connection, job, error, iso(utc_now()))
        return job_id

    def ask(self, who: str, path: str, method: str = "GET", **how: Any) -> TestResponse:
        headers = {**self.headers[who], **how.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **how)

    def data(self, who: str, path: str, **how: Any) -> Any:
        answer = self.ask(who, path, **how)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()["data"]
