"""A signed-in client over a small customer base whose every value is known to the test."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import insert
from werkzeug.test import TestResponse

from database.customers import customer_base
from database.customers.customer_base import column_names, customers_table, snapshots_table
from database.engine.bulk_insert import insert_dicts
from database.engine.session import Database
from database.models import models
from database.scoring import runs
from database.tables import tables
from gateway.settings import Settings
from shared.clock import utc_now
from shared.schema.features import Schema, schema_from_dict
from tests.database import ledger
from tests.world import World, open_world

NOW, DAY, BEFORE = "2026-06-30T12:00:00.000Z", "2026-06-30", "2026-05-20"
PLANS = ("Standard", "Basic Ads", "=cmd()", None)
SCHEMA = schema_from_dict(
    {
        "name": "small",
        "id": "who",
        "email": "mail",
        "label": "gone",
        "positive": ["1"],
        "subscription": {"price": "price", "plan": "plan"},
        "features": {
            "plan": {"kind": "category"},
            "tenure_months": {"kind": "number", "whole": True},
            "last_login_days": {"kind": "number", "whole": True},
            "Call  Failure": {"kind": "number"},
            "=risky": {"kind": "category"},
        },
    }
)


@dataclass
class Small:
    """A world with the base, what is in it, and how an analyst asks for it."""

    world: World
    people: list[dict[str, Any]]
    schema: Schema = SCHEMA

    @property
    def database(self) -> Database:
        return self.world.database

    @property
    def settings(self) -> Settings:
        return self.world.settings

    @property
    def client(self) -> FlaskClient:
        return self.world.client

    @property
    def headers(self) -> dict[str, str]:
        return self.world.signed_in("analyst")

    def get(self, path: str, **how: Any) -> TestResponse:
        return self.client.get(path, headers=self.headers, **how)

    def data(self, path: str, **how: Any) -> Any:
        answer = self.get(path, **how)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()["data"]

    def problems(self, path: str) -> set[str]:
        """Fields that a 422 names."""
        answer = self.get(path)
        assert answer.status_code == 422, answer.get_data(as_text=True)
        return {each["field"] for each in answer.get_json()["error"]["details"]}


def people(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """Customers with ties, gaps, and names that are meant to break something."""
    rnd = random.Random(seed)
    ids = ["=1+1", "+49", "-x", "@you", "'=quoted", "O'Neil", 'say "hi"', "a,b", "Ünï", "line\nbreak"]
    found = []
    for k in range(count):
        scored = rnd.random() < 0.8
        found.append(
            {
                "user_id": ids[k] if k < len(ids) else f"usr_{k:04}",
                "email": rnd.choice([None, f"Mail{k % 7}.{k}@example.com"]),
                "plan": rnd.choice(PLANS),
                "tenure_months": rnd.choice([None, 0, 1, 5, 5, 12]),
                "last_login_days": rnd.choice([None, 0, 3, 3, 40]),
                "failure": rnd.choice([None, -1.5, 0.1, 2.0, 1e17]),
                "risky": rnd.choice([None, "=1", "-5", "'=a", "x"]),
                "price": rnd.choice([None, 9.99, 9.99, 15.0]),
                "left": 0 if scored else int(rnd.random() < 0.5),
                "probability": rnd.choice([0.05, 0.05, 0.3, 0.61, 0.7, 0.81, 0.95]) if scored else None,
                "reasons": rnd.sample(range(5), 3),
            }
        )
    return found


def small(folder: Path, count: int = 60) -> Small:
    """Make the base."""
    world = open_world(folder / "retainstream.db")
    given = people(count)
    _fill(world.database, given)
    return Small(world, given)


def _fill(database: Database, given: list[dict[str, Any]]) -> None:
    names = column_names(SCHEMA)
    with database.write() as connection:
        customer_base.adopt(connection, SCHEMA, is_demo=False, clock=utc_now)
        row = {"file_name": "a.csv", "sha256": "0", "schema_checksum": SCHEMA.checksum(), "rows": len(given)}
        more = {"customers_new": len(given), "customers_updated": 0, "created_at": NOW}
        adding = insert(tables.imports).values({**row, **more}).returning(tables.imports.c.id)
        import_id = connection.execute(adding).scalar_one()
        insert_dicts(connection, customers_table(SCHEMA), [_customer(k, one) for k, one in enumerate(given, 1)])
        for day in (BEFORE, DAY):
            facts = [
                {
                    "customer_id": k,
                    "as_of": day,
                    "known_at": day,
                    "import_id": import_id,
                    "label": one["left"],
                    **_features(one),
                }
                for k, one in enumerate(given, 1)
            ]
            insert_dicts(connection, snapshots_table(SCHEMA), facts)
        connection.execute(
            insert(tables.subscriptions).values(customer_id=1, started_at="2025-01-01", known_at=NOW, plan="Standard")
        )
        values = {"version": "1.0.0", "state": "ready", "schema_checksum": SCHEMA.checksum(), "trained_on": DAY}
        adding = insert(tables.models).values({**values, "created_at": NOW, "report_json": '{"base_probability": 0.1}'})
        model_id = connection.execute(adding.returning(tables.models.c.id)).scalar_one()
        models.promote(connection, model_id, reason="test", live_from=NOW)
        _score(connection, model_id, given, "past", BEFORE, 0.5)
        _score(connection, model_id, given, "full", DAY, 1.0)
        customer_base.mark_ready(connection)
    assert set(names) == set(SCHEMA.features)


def _customer(key: int, one: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": key,
        "user_id": one["user_id"],
        "email": one["email"],
        "last_activity": None,
        "churn": one["left"],
        "monthly_price": one["price"],
        "as_of": DAY,
        "created_at": NOW,
        "updated_at": NOW,
        **_features(one),
    }


def _features(one: dict[str, Any]) -> dict[str, Any]:
    names = column_names(SCHEMA)
    return {
        names["plan"]: one["plan"],
        names["tenure_months"]: one["tenure_months"],
        names["last_login_days"]: one["last_login_days"],
        names["Call  Failure"]: one["failure"],
        names["=risky"]: one["risky"],
    }


def _score(connection: Any, model_id: int, given: list[dict[str, Any]], kind: Any, day: str, times: float) -> None:
    run_id = runs.start(connection, kind=kind, model_id=model_id, as_of=day, job_id=None, now=NOW)
    scored = [(k, one) for k, one in enumerate(given, 1) if one["probability"] is not None]
    rows = []
    for _, one in scored:
        a, b, c = one["reasons"]
        p = one["probability"] * times
        rows.append((p, max(p, 1 - p), 0, a, 0.2, b, 0.1, c, -0.05))
    keys = [k for k, _ in scored]
    prices = [one["price"] for _, one in scored]
    ledger.append(connection, run_id, keys, rows, prices, ranked=kind == "full")
    runs.store_bins(connection, run_id, runs.measure_bins(connection, run_id, shown=kind == "full"))
    state = "published" if kind == "full" else "done"
    runs.finish(connection, run_id, state=state, customers=len(keys), average=0.2, now=NOW)
    if kind == "full":
        runs.publish(connection, run_id, NOW)
