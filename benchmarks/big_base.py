"""A base of a million customers in a folder that lasts: months of facts, lifetimes, two scoring runs, outcomes, a model.

Law: some thousand customers go in by the product's own routes (imports, a training, scoring runs, a campaign); then all
that was written of them is copied in the database, under other names (`benchmarks.copies`). A folder is used again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from benchmarks import copies
from shared.clock import utc_now
from shared.schema.features import built_in_schema
from shared.simulation.simulate import END_REASONS, PLANS, Simulation, simulate
from tests import journey
from tests.stack import PASSWORD, Stack

#: Customers of the months before, by which the model is trained: training is not what is measured here.
PILOT, PILOT_MONTHS, MONTH_DAYS = 3_000, 7, 30
#: Customers of the last two months, beside them, before they are copied.
FEW = 3_000
JOB_S = 3600.0
MADE = "made.json"
COUNTRIES, METHODS = 30, ("card", "debit", "wallet", "invoice")
#: The built-in schema with lifetimes and two more categories.
SCHEMA = """
[features.country]
kind = "category"
missing = true

[features.payment_method]
kind = "category"
missing = true
"""


def schema_text() -> str:
    """The schema of the files."""
    text = (Path(__file__).parents[1] / "shared" / "schema" / "retainstream.toml").read_text(encoding="utf-8")
    roles = '[subscription]\nstart = "started_at"\nend = "ended_at"\nend_reason = "end_reason"\ncurrency = "currency"\n'
    without_label = "\n".join(line for line in text.splitlines() if not line.startswith(('label = "churn', "positive")))
    return without_label.replace("[subscription]\n", roles) + SCHEMA


class _Business:
    """A simulated business whose last month is taken on `last`, its months as files."""

    def __init__(self, prefix: str, simulation: Simulation, months: int, last: date) -> None:
        self._prefix, self._simulation = prefix, simulation
        self.days = [last - timedelta(days=MONTH_DAYS * (months - 1 - month)) for month in range(months)]

    def table(self, month: int) -> pa.Table:
        """Everybody active in a month, and who left since the month before, with the day and the reason."""
        rows = self._simulation.months
        here = rows.rows(rows.month == month)
        if month:
            before = rows.rows(rows.month == month - 1)
            gone = before.rows(before.churned == 1)
            parts = [here, gone.rows(~np.isin(gone.customer, here.customer))]
        else:
            parts = [here]
        return pa.concat_tables([self._columns(part, month) for part in parts])

    def _columns(self, rows: Any, month: int) -> pa.Table:
        day = month * MONTH_DAYS
        lives = self._simulation.subscriptions
        known = np.flatnonzero(lives.started_day <= day)
        # Lifetimes are ordered by customer, then start: the last one known is the present one.
        at = known[np.searchsorted(lives.customer[known], rows.customer, side="right") - 1]
        ended = np.where(lives.is_open[at] | (lives.ended_day[at] > day + MONTH_DAYS), 10**6, lives.ended_day[at])
        # One in five of those who are going to leave says so before.
        is_told = (ended <= day) | ((ended < 10**6) & (rows.customer % 5 == 0))
        names = [f"{self._prefix}_{number:08d}" for number in rows.customer.tolist()]
        first = np.datetime64(self.days[0], "D")
        end = (first + np.where(is_told, ended, 0).astype("timedelta64[D]")).astype(str)
        columns: dict[str, Any] = {"user_id": names, "email": [f"{name}@example.com" for name in names]}
        columns["plan"] = [PLANS[code].name for code in rows.plan.tolist()]
        columns |= {name: getattr(rows, name) for name in built_in_schema().feature_names if name != "plan"}
        columns |= {"monthly_price": rows.monthly_price, "currency": ["USD"] * len(names)}
        columns["started_at"] = (first + lives.started_day[at].astype("timedelta64[D]")).astype(str)
        columns["ended_at"] = [text if told else None for text, told in zip(end, is_told, strict=True)]
        reasons = lives.end_reason[at].tolist()
        columns["end_reason"] = [END_REASONS[k] if told else None for k, told in zip(reasons, is_told, strict=True)]
        columns["country"] = [f"country {k:02d}" for k in (rows.customer % 97 % COUNTRIES).tolist()]
        columns["payment_method"] = [METHODS[k] for k in (rows.customer % 7 % len(METHODS)).tolist()]
        return pa.table(columns)


def stack_in(folder: Path) -> Stack:
    """The services over a folder, not started yet."""
    return Stack(folder, {"DEMO": "0", "MAX_UPLOAD_MB": "1000", "LOG_LEVEL": "warning"}, interpreters=True)


def sign_in(stack: Stack) -> None:
    """Sign both people in who measure, and make them where the folder is new."""
    for role in ("admin", "analyst"):
        body = {"email": f"{role}@example.com", "password": PASSWORD}
        answer = stack.anonymous().post("/api/auth/login", body)
        if answer.status_code == 200:
            stack.tokens[role] = answer.json()["data"]["token"]
        else:
            stack.person(role)


def ready(folder: Path, customers: int) -> Stack:
    """Start the services over a base of so many customers, which is made where the folder does not hold it yet."""
    made = folder / MADE
    if made.exists() and json.loads(made.read_text())["customers"] != customers:
        raise SystemExit(f"{folder} holds another base: name another --folder.")
    stack = stack_in(folder)
    if not made.exists():
        stack.start()
        sign_in(stack)
        took = _make(stack)
        stack.stop()
        began = time.monotonic()
        times = copies.multiply(stack.database_path, customers)
        took["copy"] = round(time.monotonic() - began, 1)
        made.write_text(json.dumps({"customers": customers, "copies": times, "seconds": took}, indent=2))
    stack.start()
    sign_in(stack)
    return stack


def _make(stack: Stack) -> dict[str, float]:
    last = utc_now().date() - timedelta(days=1)
    took: dict[str, float] = {}
    pilot = _Business("pilot", simulate("documented", customers=PILOT, months=PILOT_MONTHS, seed=3), PILOT_MONTHS, last)
    everybody = _Business("usr", simulate("documented", customers=FEW, months=2, seed=5), 2, last)
    schema = stack.folder / "schema.toml"
    schema.write_text(schema_text(), encoding="utf-8")
    api = stack.person("analyst")

    def step(name: str, do: Any) -> None:
        began = time.monotonic()
        do()
        took[name] = round(time.monotonic() - began, 1)
        print(f"{name}: {took[name]} s", flush=True)

    def imported(table: pa.Table, day: date) -> None:
        file = stack.folder / "month.csv"
        pcsv.write_csv(table, file)
        how = {
            "schema": schema.read_text(encoding="utf-8"),
            "as_of": day.isoformat(),
            "ends_complete_to": day.isoformat(),
        }
        journey.done(api, journey.uploaded(api, "/api/customers/import", file, **how), JOB_S)
        file.unlink()

    def trained() -> None:
        answer = api.post("/api/model/train", {}, headers={"Prefer": "respond-async"})
        journey.done(api, answer, JOB_S)

    for month in range(PILOT_MONTHS - 2):
        step(f"pilot {month}", lambda month=month: imported(pilot.table(month), pilot.days[month]))
    step("train", trained)
    for month in (0, 1):
        both = lambda month=month: pa.concat_tables([pilot.table(PILOT_MONTHS - 2 + month), everybody.table(month)])
        step(f"import {month}", lambda both=both, month=month: imported(both(), everybody.days[month]))
        step(f"score {month}", lambda: journey.scored_by_rest(stack, JOB_S))
    step("campaign", lambda: _campaign(api))
    return took


def _campaign(api: Any) -> None:
    body = {"name": "The likeliest", "reduction": 0.2, "top": 2_000}
    journey.done(api, api.post("/api/campaigns", body, headers={"Prefer": "respond-async"}), JOB_S)


def forgotten(stack: Stack) -> None:
    """Commit something that changes no figure: what the gateway remembers of the database's last version is out of date."""
    with closing(sqlite3.connect(stack.database_path, timeout=60)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = version_num")
