"""Shares of changed facts in the change of a value."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import pytest

from gateway.services.score_changes.baseline_shapley import EXACT, path


def value(row: dict[str, Any]) -> float:
    """Something with interactions: no share is simply one fact's own change."""
    numbers = [float(row[name]) for name in sorted(row)]
    total = sum(numbers)
    for a, b in pairwise(numbers):
        total += a * b
    return total + numbers[0] * numbers[1] * numbers[-1]


def facts(*values: float) -> dict[str, Any]:
    return {f"f{at:02}": each for at, each in enumerate(values)}


def test_a_few_facts_have_the_mean_over_all_orders() -> None:
    before, after = facts(1, 2, 3, 4), facts(2, 0, 3, 7)
    made = path(before, after)
    shares = made.shares([value(row) for row in made.rows])
    expected = dict.fromkeys(shares, 0.0)
    orders = list(permutations(expected))
    for order in orders:
        row = dict(before)
        for name in order:
            was = value(row)
            row[name] = after[name]
            expected[name] += (value(row) - was) / len(orders)
    assert set(shares) == {"f00", "f01", "f03"}, "f02 did not change"
    assert shares == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("count", [0, 1, EXACT, EXACT + 1, 30])
def test_shares_add_up_to_the_change(count: int) -> None:
    before, after = facts(*range(1, 32)), facts(*(k + (1 if k <= count else 0) for k in range(1, 32)))
    made = path(before, after)
    assert (made.rows[0], made.rows[-1]) == (before, after)
    values = [value(row) for row in made.rows]
    shares = made.shares(values)
    assert len(shares) == count
    assert sum(shares.values()) == pytest.approx(values[-1] - values[0], abs=1e-9)
    assert len(made.rows) <= max(2**EXACT, 32 * count)


def test_a_missing_fact_is_a_fact() -> None:
    made = path({"a": None, "b": 1.0}, {"a": "x", "b": 1.0})
    assert made.rows == [{"a": None, "b": 1.0}, {"a": "x", "b": 1.0}]
    assert made.shares([0.5, 0.75]) == {"a": 0.25}
