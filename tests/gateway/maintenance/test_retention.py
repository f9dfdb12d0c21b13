"""Records are kept for their time and deleted after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select

from database.accounts import audit
from database.accounts.audit import COMMAND_LINE
from database.engine.session import Connection, Database
from database.engine.sqlite import space
from database.jobs import job_lists
from database.scoring import ranks, runs
from database.tables import tables
from gateway.services.maintenance import retention
from gateway.services.maintenance.retention import Limits, months_before
from shared.clock import days_later, iso, utc_now
from tests.database import ledger
from tests.database.facts import Facts, full_run, plain_schema
from tests.database.ledger import a_score
from tests.once.migrated import migrated

TODAY = datetime(2026, 6, 30, 12, tzinfo=UTC)


def clock() -> datetime:
    return TODAY


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A fresh migrated database."""
    migrated(tmp_path / "retention.db")
    made = Database(tmp_path / "retention.db")
    yield made
    made.close()


def keep(
    database: Database, ledger: int | None = None, audit: int | None = None, jobs: int | None = None, **how: Any
) -> dict[str, int]:
    return dict(retention.run(database, Limits(ledger, audit, jobs), clock=how.pop("clock", clock), **how))


def ledgers(database: Database) -> dict[int, int]:
    """Ledger rows by run."""
    with database.read() as connection:
        found = connection.execute(select(tables.ledger.c.run_id)).scalars().all()
    return {run_id: found.count(run_id) for run_id in set(found)}


@pytest.fixture
def scored(database: Database) -> dict[str, int]:
    """Runs of a year ago, of 100 days ago, of 20 days ago and the published one; those that could have outcomes do."""
    facts = Facts(database, plain_schema("x"))
    ids = [facts.customer(f"usr_{number}") for number in range(5)]
    model = facts.model()
    scores = dict.fromkeys(ids, 0.5)
    made = {}
    for name, day in (("year", "2025-06-30"), ("hundred", "2026-03-22"), ("recent", "2026-06-10")):
        made[name] = full_run(database, model, scores, as_of=day, kind="past")
    made["shown"] = full_run(database, model, scores, as_of="2025-01-01")
    with database.write() as connection:
        for name in ("year", "hundred"):
            waiting = runs.without_outcome(connection, made[name])
            runs.add_outcomes(connection, made[name], [(key, 0) for key in waiting], iso(TODAY))
    return made


def test_nothing_goes_unless_a_limit_is_set(database: Database, scored: dict[str, int]) -> None:
    before = ledgers(database)
    assert keep(database) == {"ledger": 0, "audit": 0, "jobs": 0, "results": 0, "deliveries": 0}
    assert ledgers(database) == before


def test_old_ledger_rows_go_with_their_outcomes_and_the_run_and_its_roll_up_stay(
    database: Database,
    scored: dict[str, int],
) -> None:
    assert keep(database, ledger=3) == {"ledger": 10, "audit": 0, "jobs": 0, "results": 0, "deliveries": 0}
    assert ledgers(database) == {scored["recent"]: 5, scored["shown"]: 5}
    with database.read() as connection:
        assert connection.execute(select(tables.outcomes)).all() == []
        kept = set(connection.execute(select(tables.scoring_runs.c.id)).scalars())
        binned = set(connection.execute(select(tables.score_bins.c.run_id)).scalars())
    assert kept == binned == set(scored.values())


def test_the_published_run_and_what_is_shown_of_a_sample_never_go(database: Database, scored: dict[str, int]) -> None:
    with database.write() as connection:
        sample = runs.start(connection, kind="sample", model_id=1, as_of="2024-01-01", job_id=None, now=iso(TODAY))
        ledger.append(connection, sample, [1, 2], [a_score(0.6)] * 2)
        runs.finish(connection, sample, state="done", customers=2, average=0.6, now=iso(TODAY))
        ranks.refresh(connection, scored["shown"], sample, after_id=0, limit=10)
    keep(database, ledger=1)
    assert ledgers(database) == {scored["recent"]: 5, scored["shown"]: 5, sample: 2}


@pytest.mark.parametrize(("days", "stays"), [(0, True), (60, True), (61, False)])
def test_a_prediction_whose_outcome_may_still_come_stays_until_it_cannot(
    database: Database,
    scored: dict[str, int],
    days: int,
    stays: bool,
) -> None:
    day = days_later("2026-05-30", -days)
    undecided = full_run(database, 1, {1: 0.5, 2: 0.5}, as_of=day, kind="past")
    with database.write() as connection:
        customer_id = runs.without_outcome(connection, undecided)[0]
        runs.add_outcomes(connection, undecided, [(customer_id, 1)], iso(TODAY))
    keep(database, ledger=1)
    assert ledgers(database).get(undecided, 0) == (2 if stays else 0)


def test_a_running_run_is_left_alone(database: Database, scored: dict[str, int]) -> None:
    with database.write() as connection:
        running = runs.start(connection, kind="past", model_id=1, as_of="2020-01-01", job_id=None, now=iso(TODAY))
        ledger.append(connection, running, [1], [a_score(0.6)])
    keep(database, ledger=1)
    assert ledgers(database)[running] == 1


def test_runs_without_rows_wait_for_no_outcomes(database: Database, scored: dict[str, int]) -> None:
    keep(database, ledger=1)
    with database.read() as connection:
        wait = {run.id for run in runs.dates_scored(connection) if runs.some_without_outcome(connection, run.id)}
    assert wait == {scored["recent"], scored["shown"]}


def test_old_audit_rows_go_and_the_deleting_is_told_of(database: Database) -> None:
    now = utc_now()  # once: by midnight, what is three months old may be older
    for months in range(6):
        with database.write() as connection:
            at = f"{months_before(now.date(), months).isoformat()}T00:00:00.001Z"
            audit.record(connection, "a", at=at, actor=COMMAND_LINE, subject=str(months))
    assert keep(database, audit=3, clock=lambda: now, actor=audit.WORKER)["audit"] == 2
    with database.read() as connection:
        newest, *rest = audit.page(connection, limit=10)
    assert (newest.action, newest.actor, newest.subject) == ("retention.ran", "worker", "audit 2")
    assert [row.subject for row in rest] == ["3", "2", "1", "0"]


def test_old_ended_jobs_go_and_what_they_made_stays(database: Database) -> None:
    Facts(database, plain_schema("x")).model()
    with database.write() as connection:
        for state, at in (
            ("done", "2026-01-01"),
            ("failed", "2026-01-01"),
            ("running", None),
            ("queued", None),
            ("done", "2026-06-29"),
        ):
            values = {
                "kind": "train",
                "state": state,
                "params_json": "{}",
                "created_at": "2026-01-01",
            }
            connection.execute(insert(tables.jobs).values(**values, finished_at=at and f"{at}T00:00:00.000Z"))
        connection.execute(tables.models.update().values(job_id=1))
        runs.start(connection, kind="past", model_id=1, as_of="2020-01-01", job_id=2, now=iso(TODAY))
    assert keep(database, jobs=2)["jobs"] == 2
    with database.read() as connection:
        assert [job.id for job in job_lists.page(connection, limit=10)] == [5, 4, 3]
        assert connection.execute(select(tables.models.c.job_id)).scalar_one() is None
        assert connection.execute(select(tables.scoring_runs.c.job_id)).scalar_one() is None


def test_a_dry_run_counts_what_would_go_and_deletes_nothing(database: Database, scored: dict[str, int]) -> None:
    before = ledgers(database)
    assert keep(database, ledger=3, audit=1, jobs=1, dry_run=True)["ledger"] == 10
    assert ledgers(database) == before
    assert keep(database, ledger=3)["ledger"] == 10


def test_many_rows_go_in_short_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts(database, plain_schema("x"))
    model = facts.model()
    with database.write() as connection:
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO customers "
            "(user_id, churn, as_of, created_at, updated_at) SELECT 'u' || i, 0, '2026-01-01', '', '' FROM n"
        )
    scores = dict.fromkeys(range(1, 10_001), 0.5)
    full_run(database, model, scores, as_of="2026-06-30")
    old = full_run(database, model, scores, as_of="2025-01-01", kind="past")
    held: list[float] = []
    monkeypatch.setattr(Database, "write", _timed(Database.write, held))
    assert keep(database, ledger=1)["ledger"] == 10_000
    assert old not in ledgers(database)
    assert len(held) >= 5
    assert sorted(held)[len(held) // 2] < 0.25


def _timed(real: Any, held: list[float]) -> Any:
    @contextmanager
    def write(self: Database) -> Iterator[Connection]:
        with real(self) as connection:
            began = time.perf_counter()
            yield connection
            held.append(time.perf_counter() - began)

    return write


def test_told_to_stop_it_ends_after_the_present_chunk_and_goes_on_later(
    database: Database,
    scored: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    stops = threading.Event()
    gone = keep(database, ledger=1, stops=stops, report=lambda share, what: stops.set())
    assert gone["ledger"] == 2
    assert keep(database, ledger=1)["ledger"] == 8


def test_the_worker_does_it_by_itself_and_a_failure_of_one_day_does_not_end_the_next(
    database: Database,
    scored: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "EVERY_S", 0.01)
    broken = [OSError("disk"), None]
    stops = threading.Event()

    @event.listens_for(database.engine, "begin")
    def _breaks(connection: Any) -> None:
        if broken and (error := broken.pop(0)) is not None:
            raise error

    thread = threading.Thread(
        target=retention.daily, args=(database, Limits(3, None, None)), kwargs={"clock": clock, "stops": stops}
    )
    thread.start()
    deadline = time.monotonic() + 20
    while len(ledgers(database)) > 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    stops.set()
    thread.join(5)
    assert ledgers(database) == {scored["recent"]: 5, scored["shown"]: 5}
    assert not thread.is_alive()


def test_without_limits_the_worker_does_not_even_look_and_ends_at_once(
    database: Database, scored: dict[str, int]
) -> None:
    before, begun = ledgers(database), []
    event.listen(database.engine, "begin", begun.append)
    thread = threading.Thread(
        target=retention.daily,
        args=(database, Limits(None, None, None)),
        kwargs={"clock": clock, "stops": threading.Event()},
        daemon=True,
    )
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits for the next day"
    assert begun == []
    assert ledgers(database) == before


def _filled(database: Database, rows: int, kind: str) -> int:
    """Bytes of the file after so many audit rows more."""
    with database.write() as connection:
        for _ in range(rows):
            audit.record(connection, kind, at="2020-01-01T00:00:00.000Z", actor=COMMAND_LINE, subject="x" * 100)
    with database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def test_what_was_deleted_is_space_that_new_rows_take_and_shrinking_gives_back(database: Database) -> None:
    full = _filled(database, 5000, "one")
    assert keep(database, audit=1)["audit"] == 5000
    with database.read() as connection:
        free = space.free_bytes(connection)
    assert free > full / 2
    assert _filled(database, 4000, "two") == full, "the file has not grown"
    keep(database, audit=1)
    database.close()
    before, after = space.shrink(database.path)
    assert (before, after < full / 2) == (full, True)
    assert database.path.stat().st_size == after
    with database.read() as connection:
        assert space.free_bytes(connection) == 0
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"


@pytest.mark.parametrize(
    ("day", "months", "found"),
    [("2026-03-31", 1, "2026-02-28"), ("2024-03-31", 1, "2024-02-29"), ("2026-07-31", 1, "2026-06-30"), ("2026-01-01", 12, "2025-01-01"), ("2026-12-15", 1, "2026-11-15")],
)  # fmt: skip
def test_a_month_ends_where_it_ends(day: str, months: int, found: str) -> None:
    assert months_before(date.fromisoformat(day), months) == date.fromisoformat(found)
    assert months_before(date.fromisoformat(day), 1) <= date.fromisoformat(day) - timedelta(days=28)
