"""Imports at their limits: a disk that fills, and a million rows."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pytest
from sqlalchemy import event

from database import facts, imports, jobs, publishing
from database.migrate import migrate
from database.session import Database
from gateway.services import importing, work
from gateway.services.work import Work
from gateway.settings import Settings
from shared.clock import iso, utc_now
from shared.features import built_in_schema
from shared.simulation import PLANS, simulate
from tests.stack import ROOT, Stack

CUSTOMERS = ROOT / "examples" / "customers.csv"
ROWS = 1_000_000
MEMORY_MB, WRITE_MS = 700, 250


def run_import(database: Database, path: Path, as_of: str) -> jobs.Job:
    """Run an import in this process, as a worker does."""
    params = {"path": str(path), "file_name": path.name, "schema": built_in_schema().as_dict(), "as_of": as_of}
    with database.write() as connection:
        now = iso(utc_now())
        job_id = jobs.create(connection, kind="import", lane="rest", params=params, now=now)
        job = jobs.claim_one(connection, job_id, worker="test", now=now)
    assert job is not None
    return work.run(Work(database, cast(Any, None), Settings(database_path=database.path), utc_now, job), importing.run)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    path = tmp_path / "retainstream.db"
    migrate(path)
    return Database(path, pooled=False)


def _limit(database: Database, pages: list[int]) -> None:
    """From now on the file may grow to so many pages: SQLite's own full disk."""

    def connected(raw: Any, _: Any) -> None:
        raw.execute(f"PRAGMA max_page_count = {pages[0]}")

    event.listen(database.engine, "connect", connected)


def test_a_disk_known_to_be_too_full_refuses_before_anything_is_written(database: Database) -> None:
    pages = [10]  # fewer than there are: it may not grow at all
    _limit(database, pages)
    ended = run_import(database, CUSTOMERS, "2026-09-01")
    assert ended.state == "failed"
    assert ended.error is not None
    assert "no room" in ended.error["message"]
    with database.read() as connection:
        assert imports.page(connection) == []
    pages[0] = 2**31
    assert run_import(database, CUSTOMERS, "2026-09-01").state == "done"


def test_a_disk_that_fills_while_rows_are_written_shows_nothing_and_the_next_import_ends_both(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [70]
    _limit(database, pages)
    monkeypatch.setattr(publishing, "room", lambda connection: None)  # nobody saw it coming
    ended = run_import(database, CUSTOMERS, "2026-09-01")
    assert ended.error is not None
    assert "The disk is full" in ended.error["message"]
    with database.read() as connection:
        assert facts.last_date(connection) is None
    pages[0] = 2**31
    assert run_import(database, CUSTOMERS, "2026-09-02").state == "done"
    with database.read() as connection:
        assert facts.snapshot_dates(connection) == ["2026-09-01", "2026-09-02"]
        assert [found["state"] for found in imports.page(connection)] == ["published", "published"]


def write_million(path: Path) -> int:
    """A file of a million simulated rows, as many as there are months of 84,000 customers."""
    months = simulate("documented", customers=ROWS // 12 + 1, months=12, seed=5, last_calendar_month=6).months
    rows = months.rows(np.arange(min(ROWS, len(months))))
    names = [f"usr_{number:08d}" for number in range(len(rows))]
    columns: dict[str, Any] = {"user_id": names, "email": [f"{name}@example.com" for name in names]}
    columns["plan"] = [PLANS[code].name for code in rows.plan.tolist()]
    columns |= {name: getattr(rows, name) for name in built_in_schema().feature_names if name != "plan"}
    columns |= {"monthly_price": rows.monthly_price, "churn": rows.churned}
    pcsv.write_csv(pa.table(columns), path)
    return len(rows)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_rows_go_in_within_memory_and_with_short_write_transactions(tmp_path: Path) -> None:
    file = tmp_path / "million.csv"
    count = write_million(file)
    stack = Stack(tmp_path / "stack")
    words = ["-m", "gateway", "import", str(file), "--schema", "retainstream", "--as-of", "2026-09-01"]
    done = subprocess.run(
        [sys.executable, *words], cwd=stack.folder, env=stack.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(stack.value("SELECT result_json FROM jobs"))
    print(
        f"{count:,} rows: {result['seconds']} s, {used.ru_utime + used.ru_stime:.1f} CPU s, "
        f"{used.ru_maxrss / 1024:.0f} MB, longest write {result['longest_write_ms']} ms"
    )
    assert stack.value("SELECT count(*) FROM customer_snapshots") == count
    assert used.ru_maxrss / 1024 < MEMORY_MB
    assert result["longest_write_ms"] < WRITE_MS
