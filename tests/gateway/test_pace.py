"""Write transactions that stay short, whoever else is busy."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from database.migrate import migrate
from database.session import REST_S, SLOW_WRITE_S, Database
from gateway.services.pace import AIM_S, HELD_S, Pace


@pytest.fixture
def database(tmp_path: Path) -> Database:
    migrate(tmp_path / "pace.db")
    return Database(tmp_path / "pace.db", pooled=False)


def test_slow_transactions_get_smaller_and_quick_ones_grow_within_their_limits() -> None:
    pace = Pace(1_000, 250, 8_000)
    pace.took(10 * AIM_S)
    assert pace.size == 250
    for _ in range(20):
        pace.took(AIM_S / 100)
    assert pace.size == 8_000
    assert pace.longest_s == 10 * AIM_S


def test_the_wait_for_the_lock_is_not_taken_for_work(database: Database) -> None:
    pace, held = Pace(), threading.Event()

    def holds() -> None:
        with database.write():
            held.set()
            time.sleep(0.2)

    thread = threading.Thread(target=holds)
    thread.start()
    held.wait(10)
    with pace.timed(database.write()):
        pass
    thread.join()
    assert pace.longest_s < 0.1


def busy(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


@pytest.mark.parametrize(("free_s", "rests"), [(0.0, 2), (2 * REST_S, 0)])
def test_a_rest_is_taken_only_where_the_lock_was_not_free_for_as_long_anyway(
    database: Database, monkeypatch: pytest.MonkeyPatch, free_s: float, rests: int
) -> None:
    pace, taken = Pace(), []
    monkeypatch.setattr("gateway.services.pace.time.sleep", taken.append)
    for _ in range(4):
        with pace.timed(database.write()):
            busy(0.6 * HELD_S)
        busy(free_s)
    assert taken == [REST_S] * rests


def test_who_writes_chunk_after_chunk_lets_others_in_between(database: Database) -> None:
    stop, pace = threading.Event(), Pace()

    def writes() -> None:
        while not stop.is_set():
            with pace.timed(database.write()):
                time.sleep(0.05)

    thread = threading.Thread(target=writes)
    thread.start()
    waits = []
    try:
        for _ in range(20):
            began = time.monotonic()
            with database.write():
                waits.append(time.monotonic() - began)
    finally:
        stop.set()
        thread.join()
    assert sorted(waits)[15] < 0.15, "about one chunk; SQLite's own waiting takes a second or more"


def test_a_write_that_held_the_lock_too_long_is_logged_and_a_read_is_not(database: Database) -> None:
    with capture_logs() as logs:
        with database.read():
            time.sleep(SLOW_WRITE_S + 0.05)
        assert logs == []
        with database.write():
            time.sleep(SLOW_WRITE_S + 0.05)
    assert [line["event"] for line in logs] == ["slow_write"]
    assert logs[0]["seconds"] - logs[0]["commit_seconds"] > SLOW_WRITE_S
