"""A job is lost when it says nothing, whatever the clocks say."""

from __future__ import annotations

from gateway.services.jobs.silence import SILENT_S, Silence


class Watch:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def looks(silence: Silence, watch: Watch, beats: list[int], every_s: float = 3.0) -> list[bool]:
    """Whether job 1 is taken for silent at each look."""
    found = []
    for count in beats:
        found.append(bool(silence.look({(1, 1): count})))
        watch.now_s += every_s
    return found


def test_a_job_whose_beats_stand_still_is_silent_after_a_while() -> None:
    watch = Watch()
    turns = int(SILENT_S // 3)
    assert looks(Silence(watch), watch, [7] * (turns + 1)) == [False] * turns + [True]


def test_a_job_that_beats_now_and_then_is_not() -> None:
    watch = Watch()
    assert not any(looks(Silence(watch), watch, [n // 4 for n in range(40)]))


def test_who_could_not_look_for_long_begins_anew() -> None:
    watch, silence = Watch(), None
    silence = Silence(watch)
    assert looks(silence, watch, [7, 7]) == [False, False]
    watch.now_s += 60  # the machine slept, or the database was locked: the job could not beat either
    assert looks(silence, watch, [7, 8]) == [False, False]
