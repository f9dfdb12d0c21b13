"""Write transactions that stay short, whoever else is busy."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from database.engine.batch_sizing import AIM_S, HELD_S, REST_S, AdaptiveBatchSize
from database.engine.session import Database
from database.engine.sqlite.transactions import SLOW_WRITE_S
from database.engine.waiting import RETRY_S
from tests.once.migrated import migrated
from tests.virtual_time import VirtualTime


@pytest.fixture
def database(tmp_path: Path) -> Database:
    migrated(tmp_path / "pace.db")
    return Database(tmp_path / "pace.db", pooled=False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    """The time of writers and of those who wait for the lock; the lock and its waiting are real."""
    made = VirtualTime()
    monkeypatch.setattr("database.engine.batch_sizing.time", made)
    monkeypatch.setattr("database.engine.sqlite.transactions.time", made)
    monkeypatch.setattr("database.engine.waiting.time", made)
    return made


def test_slow_transactions_get_smaller_and_quick_ones_grow_within_their_limits() -> None:
    pace = AdaptiveBatchSize(1_000, 250, 8_000)
    pace.took(10 * AIM_S)
    assert pace.size == 250
    for _ in range(20):
        pace.took(AIM_S / 100)
    assert pace.size == 8_000
    assert pace.longest_s == 10 * AIM_S


def test_the_wait_for_the_lock_is_not_taken_for_work(database: Database, clock: VirtualTime) -> None:
    pace, waited = AdaptiveBatchSize(), []

    def holds() -> None:
        with database.write():
            clock.sleep(0.2)

    def waits() -> None:
        began = clock.monotonic()
        with pace.timed(database.write()):
            waited.append(clock.monotonic() - began)
            clock.sleep(0.01)

    clock.run(holds, waits)
    assert waited == [pytest.approx(0.2, abs=RETRY_S)]
    assert pace.longest_s == pytest.approx(0.01)


@pytest.mark.parametrize(("free_s", "rests"), [(0.0, 2), (2 * REST_S, 0)])
def test_a_rest_is_taken_only_where_the_lock_was_not_free_for_as_long_anyway(
    database: Database, clock: VirtualTime, free_s: float, rests: int
) -> None:
    pace, began = AdaptiveBatchSize(), clock.monotonic()
    for _ in range(4):
        with pace.timed(database.write()):
            clock.sleep(0.6 * HELD_S)
        clock.sleep(free_s)
    assert clock.monotonic() - began == pytest.approx(4 * (0.6 * HELD_S + free_s) + rests * REST_S)


def test_who_writes_chunk_after_chunk_lets_others_in_between(database: Database, clock: VirtualTime) -> None:
    stop, pace, chunk_s = threading.Event(), AdaptiveBatchSize(), 0.05
    waits: list[float] = []

    def writes() -> None:
        while not stop.is_set():
            with pace.timed(database.write()):
                clock.sleep(chunk_s)

    def asks() -> None:
        try:
            for _ in range(40):
                clock.sleep(0.013)
                began = clock.monotonic()
                with database.write():
                    waits.append(clock.monotonic() - began)
        finally:
            stop.set()

    clock.run(writes, asks)
    assert len(waits) == 40
    assert max(waits) > chunk_s, "it did meet the writer"
    assert max(waits) <= HELD_S + chunk_s + RETRY_S, "the chunks between two rests; without a rest it would never end"


def test_a_write_that_held_the_lock_too_long_is_logged_and_a_read_is_not(
    database: Database, clock: VirtualTime, unfiltered_logs: None
) -> None:
    with capture_logs() as logs:
        with database.read():
            clock.sleep(SLOW_WRITE_S + 0.05)
        with database.write():
            clock.sleep(SLOW_WRITE_S - 0.05)
        assert logs == []
        with database.write():
            clock.sleep(SLOW_WRITE_S + 0.05)
    assert [line["event"] for line in logs] == ["slow_write"]
    assert (logs[0]["seconds"], logs[0]["commit_seconds"]) == (SLOW_WRITE_S + 0.05, 0.0)
