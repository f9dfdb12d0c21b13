"""A value is read once for a state: one thread reads, the others wait, and no value of another state is returned."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from database.engine import kept_figures
from database.engine import once as once_module
from database.engine.migrate import migrate
from database.engine.once import OncePerState, State
from database.engine.session import Database

THREADS = 6
ONE, TWO, THREE = (State(version, 1) for version in (1, 2, 3))


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
        asked = [threads.submit(once.get, "sums", ONE, slow) for _ in range(THREADS)]
        assert slow.began.acquire(timeout=10)
        assert not slow.began.acquire(timeout=0.2), "nobody else reads"
        slow.may_end.set()
        assert [each.result(10) for each in asked] == [1] * THREADS
    assert once.get("sums", ONE, slow) == 1


def test_another_state_and_another_key_are_read_without_waiting() -> None:
    once, slow = OncePerState(4), Slow()
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(once.get, "sums", ONE, slow)
        assert slow.began.acquire(timeout=10)
        assert once.get("sums", TWO, lambda: 20) == 20
        assert once.get("others", ONE, lambda: 30) == 30
        slow.may_end.set()
        assert first.result(10) == 1
    assert once.get("sums", TWO, lambda: 21) == 20, "what was read in an older state does not come in its place"


def test_if_the_first_fails_it_is_told_and_one_of_those_who_wait_reads() -> None:
    once, may_fail, began = OncePerState(4), threading.Event(), threading.Event()

    def fails() -> int:
        began.set()
        assert may_fail.wait(10)
        raise OSError("disk")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(once.get, "sums", ONE, fails)
        assert began.wait(10)
        second = threads.submit(once.get, "sums", ONE, lambda: 7)
        may_fail.set()
        with pytest.raises(OSError, match="disk"):
            first.result(10)
        assert second.result(10) == 7


def spend(seconds: float, value: int) -> int:
    """A read that takes so much of the processor."""
    end_s = time.thread_time() + seconds
    while time.thread_time() < end_s:
        pass
    return value


def test_a_costly_value_stands_while_rows_change_and_a_cheap_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once_module, "COSTLY_S", 0.02)
    once = OncePerState(4)
    for version, costly, cheap in ((1, 1, 1), (2, 1, 2), (3, 1, 3)):
        state = State(version, 1)
        assert once.get("costly", state, partial(spend, 0.03, version)) == costly
        assert once.get("cheap", state, partial(spend, 0.0, version)) == cheap
    assert once.get("costly", State(4, 4), lambda: 4) == 4, "the state was replaced"
    assert once.get("costly", State(5, 4), lambda: 5) == 5, "its last read was cheap"


@pytest.mark.parametrize(
    ("state", "age_s", "found"),
    [(TWO, 0.0, 1), (TWO, 59.0, 1), (TWO, 61.0, 2), (State(2, 1, "about"), 0.0, 2), (State(0, 0), 0.0, 2)],
    ids=["next", "young", "old", "about something else", "an older snapshot"],
)
def test_a_costly_value_is_returned_for_a_minute(
    monkeypatch: pytest.MonkeyPatch, state: State, age_s: float, found: int
) -> None:
    monkeypatch.setattr(once_module, "COSTLY_S", 0.0)
    once = OncePerState(4)
    assert once.get("sums", ONE, lambda: 1) == 1
    now_s = time.monotonic() + age_s
    monkeypatch.setattr(once_module, "time", SimpleNamespace(monotonic=lambda: now_s, thread_time=time.thread_time))
    assert once.get("sums", state, lambda: 2) == found
    if state.version < ONE.version:
        assert once.get("sums", ONE, lambda: 3) == 1, "a value of an older snapshot does not come in its place"


def test_those_who_ask_in_the_next_state_wait_for_a_costly_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once_module, "COSTLY_S", 0.0)
    once, slow = OncePerState(4), Slow()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(once.get, "sums", ONE, slow)
        assert slow.began.acquire(timeout=10)
        second = threads.submit(once.get, "sums", TWO, slow)
        assert not slow.began.acquire(timeout=0.2), "nobody else reads"
        slow.may_end.set()
        assert (first.result(10), second.result(10)) == (1, 1)


def test_the_cost_of_a_read_is_known_though_the_next_state_was_read_before_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    once, slow = OncePerState(4), Slow()
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(once.get, "sums", ONE, slow)
        assert slow.began.acquire(timeout=10)
        assert once.get("sums", TWO, lambda: 2) == 2
        monkeypatch.setattr(once_module, "COSTLY_S", 0.0)
        slow.may_end.set()
        first.result(10)
    assert once.get("sums", THREE, lambda: 3) == 2


def test_a_costly_value_that_somebody_else_read_is_returned_for_a_minute_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once_module, "COSTLY_S", 0.0)
    once = OncePerState(4)
    assert once.get("sums", ONE, lambda: 1) == 1
    once.put("sums", TWO, 20)
    assert once.get("sums", THREE, lambda: -1) == 20


def test_who_looks_without_waiting_finds_what_is_there_alone() -> None:
    once, slow = OncePerState(4), Slow()
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(once.get, "sums", ONE, slow)
        assert slow.began.acquire(timeout=10)
        assert once.find("sums", ONE) is None
        slow.may_end.set()
        assert first.result(10) == 1
    assert [once.find("sums", state) for state in (ONE, TWO)] == [1, None]


def test_what_somebody_else_read_comes_in_the_place_of_older_values_alone() -> None:
    once = OncePerState(4)
    once.put("sums", TWO, 20)
    once.put("sums", ONE, 10)
    assert once.get("sums", TWO, lambda: -1) == 20
    once.put("sums", THREE, 30)
    assert once.get("sums", THREE, lambda: -1) == 30


def test_no_more_than_so_many_keys_are_kept() -> None:
    once = OncePerState(2)
    for key in (1, 2, 1, 3):
        once.get(key, ONE, lambda key=key: key)  # type: ignore[misc]
    assert [once.get(key, ONE, lambda: -1) for key in (1, 3, 2)] == [1, 3, -1]


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
