"""Imports at their limits: a disk that fills. A million rows: tests/load/test_million.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import event

from database.customers import facts
from database.engine.migrate import migrate
from database.engine.session import Database
from database.engine.sqlite import space
from database.importing import imports
from database.jobs import jobs
from gateway.environment import Environment
from gateway.services import kinds
from gateway.services.jobs import running
from gateway.services.jobs.work import Work
from shared.clock import iso, utc_now
from shared.schema.features import built_in_schema
from tests.stack import ROOT
from tests.world import settings_of

CUSTOMERS = ROOT / "examples" / "customers.csv"


def run_import(database: Database, path: Path, as_of: str) -> jobs.Job:
    """Run an import in this process, as a worker does."""
    params = {"path": str(path), "file_name": path.name, "schema": built_in_schema().as_dict(), "as_of": as_of}
    with database.write() as connection:
        now = iso(utc_now())
        job_id = jobs.create(connection, kind="import", params=params, now=now)
        job = jobs.claim_one(connection, job_id, worker="test", now=now)
    assert job is not None
    return running.run(
        Work(Environment(settings_of(database.path), database, cast(Any, None), utc_now), job), kinds.IMPORT
    )


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
    assert "page limit" in ended.error["message"]
    with database.read() as connection:
        assert imports.page(connection) == []
    pages[0] = 2**31
    assert run_import(database, CUSTOMERS, "2026-09-01").state == "done"


def test_a_disk_that_fills_while_rows_are_written_shows_nothing_and_the_next_import_ends_both(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.read() as connection:
        present = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    pages = [present + 20]  # enough to begin with
    _limit(database, pages)
    monkeypatch.setattr(space, "free_pages", lambda connection: None)  # nobody saw it coming
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
