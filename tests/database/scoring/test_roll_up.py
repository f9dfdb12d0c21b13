"""Scores counted and ranked as they pass."""

from __future__ import annotations

import numpy as np
import pytest

from database.scoring.roll_up import Ranking, RollUp


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
