"""Rows on their way: in order, no further ahead than said, and failures arrive."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from gateway.services.scoring.rollup import Ranking, RollUp, ahead


def test_items_come_in_order_and_at_most_two_are_taken_before_the_first_is_done_with() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for k in range(50):
            taken.append(k)
            yield k

    for k, made in enumerate(ahead(lambda item: 10 * item, source())):
        assert made == 10 * k
        assert len(taken) <= k + 2
    assert taken == list(range(50))


def test_the_next_is_made_while_the_last_is_worked_on() -> None:
    second = threading.Event()

    def make(item: int) -> int:
        if item == 2:
            second.set()
        return item

    items = ahead(make, iter([1, 2]))
    assert next(items) == 1
    assert second.wait(5)
    assert list(items) == [2]


def test_items_are_taken_in_the_callers_own_thread() -> None:
    def source() -> Iterator[str]:
        yield threading.current_thread().name
        yield threading.current_thread().name

    assert set(ahead(str, source())) == {threading.current_thread().name}


def _broken(item: int) -> int:
    if item == 2:
        raise ValueError("broken")
    return item


@pytest.mark.parametrize("items", [[1, 2], [1, 2, 3]])
def test_a_failure_reaches_whoever_asks_and_ends_it(items: list[int]) -> None:
    made = ahead(_broken, iter(items))
    assert next(made) == 1
    with pytest.raises(ValueError, match="broken"):
        next(made)
    assert list(made) == []


def test_closing_leaves_no_thread_behind() -> None:
    items = ahead(str, iter(range(10)))
    next(items)
    items.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("ahead")]


def test_a_roll_up_of_nothing_has_no_average_and_no_bins() -> None:
    assert (RollUp().average, RollUp().rows()) == (None, [])


def test_chunks_count_like_one_and_an_unknown_price_is_counted_as_unknown() -> None:
    both, one = RollUp(), RollUp()
    both.add(np.array([0.0, 0.0005]), np.array([9.0, np.nan]))
    both.add(np.array([0.001, 1.0]), np.array([np.nan, 2.0]))
    one.add(np.array([0.0, 0.0005, 0.001, 1.0]), np.array([9.0, np.nan, np.nan, 2.0]))
    assert both.rows() == one.rows() == [(0, 1, 0.0, 0.0, 0), (1, 2, 0.0015, 0.0, 2), (1000, 1, 1.0, 2.0, 0)]
    assert both.average == pytest.approx(1.0015 / 4)


def test_ranks_run_from_the_highest_down_and_ties_by_customer() -> None:
    ranking = Ranking()
    ranking.add(np.array([0.2, 0.9, 0.5]), np.array([1, 2, 3]))
    ranking.add(np.array([0.9, 0.2]), np.array([4, 6]))
    parts = [(p.tolist(), ids.tolist()) for p, ids in ranking.parts(2)]
    assert parts == [([0.9, 0.9], [2, 4]), ([0.5, 0.2], [3, 1]), ([0.2], [6])]
    assert list(Ranking().parts(2)) == []
