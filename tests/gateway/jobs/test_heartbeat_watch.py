"""A job is lost when its heartbeats stop, whatever the clocks say."""

from __future__ import annotations

from gateway.services.jobs.heartbeat_watch import STOPPED_S, HeartbeatWatch


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def found_silent(watch: HeartbeatWatch, clock: Clock, beats: list[int], every_s: float = 3.0) -> list[bool]:
    """Return whether job 1 is found silent at each check."""
    found = []
    for count in beats:
        found.append(bool(watch.find_stopped({(1, 1): count})))
        clock.now_s += every_s
    return found


def test_a_job_whose_heartbeats_stop_is_silent_after_a_while() -> None:
    clock = Clock()
    turns = int(STOPPED_S // 3)
    assert found_silent(HeartbeatWatch(clock), clock, [7] * (turns + 1)) == [False] * turns + [True]


def test_a_job_with_a_heartbeat_now_and_then_is_not_silent() -> None:
    clock = Clock()
    assert not any(found_silent(HeartbeatWatch(clock), clock, [n // 4 for n in range(40)]))


def test_a_watch_that_could_not_check_for_long_begins_anew() -> None:
    clock = Clock()
    watch = HeartbeatWatch(clock)
    assert found_silent(watch, clock, [7, 7]) == [False, False]
    clock.now_s += 60  # the machine slept, or the database was locked: the job had no heartbeat either
    assert found_silent(watch, clock, [7, 8]) == [False, False]
