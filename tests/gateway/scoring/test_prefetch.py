"""Items on their way: in order, no further ahead than said, and failures arrive."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gateway.services.scoring.prefetch import prefetch_map


def test_items_come_in_order_and_at_most_two_are_taken_before_the_first_is_done_with() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for k in range(50):
            taken.append(k)
            yield k

    for k, made in enumerate(prefetch_map(lambda item: 10 * item, source())):
        assert made == 10 * k
        assert len(taken) <= k + 2
    assert taken == list(range(50))


def test_the_next_is_made_while_the_last_is_worked_on() -> None:
    second = threading.Event()

    def make(item: int) -> int:
        if item == 2:
            second.set()
        return item

    items = prefetch_map(make, iter([1, 2]))
    assert next(items) == 1
    assert second.wait(5)
    assert list(items) == [2]


def test_items_are_taken_in_the_callers_own_thread() -> None:
    def source() -> Iterator[str]:
        yield threading.current_thread().name
        yield threading.current_thread().name

    assert set(prefetch_map(str, source())) == {threading.current_thread().name}


def _broken(item: int) -> int:
    if item == 2:
        raise ValueError("broken")
    return item


@pytest.mark.parametrize("items", [[1, 2], [1, 2, 3]])
def test_a_failure_reaches_whoever_asks_and_ends_it(items: list[int]) -> None:
    made = prefetch_map(_broken, iter(items))
    assert next(made) == 1
    with pytest.raises(ValueError, match="broken"):
        next(made)
    assert list(made) == []


def test_closing_leaves_no_thread_behind() -> None:
    items = prefetch_map(str, iter(range(10)))
    next(items)
    items.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("ahead")]
