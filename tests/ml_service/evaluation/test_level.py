"""The interval of left / expected: chance, by customer, and the level of the periods that the judged days lie in."""

from __future__ import annotations

import numpy as np
import pytest

from ml_service.evaluation.level import judged, ratio_warning
from shared.contracts.outlook import Judged
from shared.contracts.report import LevelSpread

CUSTOMERS, SIGMA, DATES = 1_500, 0.15, 3
#: Enough periods for the mean level to be known and Student's t to be normal.
SPREAD = LevelSpread(sigma=SIGMA, periods=2_000, quantile=1.961)


def judged_once(rng: np.random.Generator, days: int, spread: LevelSpread | None) -> Judged:
    """Judge the true probabilities of three monthly dates; every month has a level of its own."""
    hazard = rng.gamma(2.0, 0.03, CUSTOMERS)
    months = days // 30
    levels = np.exp(rng.normal(0, SIGMA, DATES + months - 1))
    left_in = rng.exponential(1.0, (CUSTOMERS, 1)) < np.cumsum(hazard[:, None] * levels, axis=1)
    label, said, customers = [], [], []
    for date in range(DATES):
        here = np.arange(CUSTOMERS) if date == 0 else np.flatnonzero(~left_in[:, date - 1])
        label.append(left_in[here, date + months - 1])
        said.append(1 - np.exp(-hazard[here] * months))
        customers.append(here)
    as_of = np.repeat(np.datetime64("2026-01-01") + 30 * np.arange(DATES), [len(here) for here in customers])
    return judged(
        np.concatenate(label).astype(np.int8),
        np.concatenate(said),
        np.concatenate(customers),
        as_of,
        days=days,
        spread=spread,
    )


def coverage(days: int, spread: LevelSpread | None, draws: int = 120) -> float:
    rng = np.random.default_rng(3)
    found = [judged_once(rng, days, spread).ratio_interval for _ in range(draws)]
    return float(np.mean([low <= 1 <= high for low, high in found]))


@pytest.mark.parametrize("days", [60, 180])
def test_the_interval_of_left_by_expected_holds_one_where_only_the_level_strays(days: int) -> None:
    assert coverage(days, SPREAD) > 0.89
    assert coverage(days, None) < 0.85, "chance alone is too narrow"


def test_a_ratio_is_warned_of_only_beyond_chance_and_the_spread() -> None:
    fair = judged_once(np.random.default_rng(1), 60, SPREAD)
    assert ratio_warning("Within 60 days", fair) is None
    off = fair.model_copy(update={"ratio": 1.5, "ratio_interval": (1.3, 1.7), "left": 600})
    sentence = ratio_warning("Within 60 days", off)
    assert sentence is not None and sentence.startswith("Within 60 days: 600 left where 400 were expected (1.50 times")
