"""A value is read once for a state: one thread reads, the others wait, and no value of another state is returned."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from database.engine import kept_figures
from database.engine.migrate import migrate
from database.engine.once import OncePerState
from database.engine.session import Database

THREADS = 6


class Slow:
    """A read that ends when it is told to, and counts how often it began."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Semaphore(0), threading.Event()
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        self.began.release()
        assert self.may_end.wait(10)
        return self.times


def test_those_who_ask_while_it_is_read_wait_and_get_what_the_first_read() -> None:
    once, slow = OncePerState(4), Slow()
    with ThreadPoolExecutor(THREADS) as threads:
        asked = [threads.submit(once.get, "sums", 1, slow) for _ in range(THREADS)]
        assert slow.began.acquire(timeout=10)
        assert not slow.began.acquire(timeout=0.2), "nobody else reads"
        slow.may_end.set()
        assert [each.result(10) for each in asked] == [1] * THREADS
    assert once.get("sums", 1, slow) == 1


def test_another_state_and_another_key_are_read_without_waiting() -> None:
    once, slow = OncePerState(4), Slow()
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(once.get, "sums", 1, slow)
        assert slow.began.acquire(timeout=10)
        assert once.get("sums", 2, lambda: 20) == 20
        assert once.get("others", 1, lambda: 30) == 30
        slow.may_end.set()
        assert first.result(10) == 1
    assert once.get("sums", 2, lambda: 21) == 20, "what was read in an older state does not come in its place"


def test_if_the_first_fails_it_is_told_and_one_of_those_who_wait_reads() -> None:
    once, may_fail, began = OncePerState(4), threading.Event(), threading.Event()

    def fails() -> int:
        began.set()
        assert may_fail.wait(10)
        raise OSError("disk")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(once.get, "sums", 1, fails)
        assert began.wait(10)
        second = threads.submit(once.get, "sums", 1, lambda: 7)
        may_fail.set()
        with pytest.raises(OSError, match="disk"):
            first.result(10)
        assert second.result(10) == 7


def test_no_more_than_so_many_keys_are_kept() -> None:
    once = OncePerState(2)
    for key in (1, 2, 1, 3):
        once.get(key, 0, lambda key=key: key)  # type: ignore[misc]
    assert [once.get(key, 0, lambda: -1) for key in (1, 3, 2)] == [1, 3, -1]


def test_a_figure_is_measured_once_in_a_state_of_the_data(tmp_path: Path) -> None:
    migrate(tmp_path / "a.db")
    database, measured = Database(tmp_path / "a.db"), []

    def figure() -> int:
        with database.read() as connection:
            return kept_figures.get_or_measure(connection, "sums", lambda: measured.append(1) or len(measured))  # type: ignore[func-returns-value]

    assert [figure(), figure()] == [1, 1]
    with database.write() as connection:
        kept_figures.changed(connection)
    assert [figure(), figure()] == [2, 2]


def test_a_figure_that_a_writer_measures_is_not_kept_for_others(tmp_path: Path) -> None:
    """The state that it sees is nobody's if it is rolled back; the next one has the same number."""
    migrate(tmp_path / "a.db")
    database = Database(tmp_path / "a.db")

    def measure_and_fail() -> None:
        with database.write() as connection:
            kept_figures.changed(connection)
            assert kept_figures.get_or_measure(connection, "sums", lambda: "never committed") == "never committed"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure_and_fail()
    with database.write() as connection:
        kept_figures.changed(connection)
    with database.read() as connection:
        assert kept_figures.get_or_measure(connection, "sums", lambda: "committed") == "committed"
