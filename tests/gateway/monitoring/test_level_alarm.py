"""The alarm on the level: few false ones in unchanged years, and a shift is told within months."""

from __future__ import annotations

import numpy as np
import pytest

from database.monitoring.outcome_bins import Bin
from gateway.services.monitoring.counting import ALARM_AT
from gateway.services.monitoring.level_alarm import Month, evidence, sigma_of
from gateway.services.monitoring.measuring import to_bins
from shared.contracts.report import LevelSpread

LEVEL = LevelSpread(sigma=0.08, periods=10, quantile=2.262)


def year(seed: int, *, n: int = 4_000, shift: float = 0.0, begins: int = 2, months: int = 12) -> list[float]:
    """Evidence over a year whose level strays by LEVEL's sigma, and shifts from a month on."""
    rng = np.random.default_rng(seed)
    made = []
    for month in range(months):
        x = rng.normal(-3.3, 1.5, n)
        level = rng.normal(0, 0.08) + (shift if month >= begins else 0.0)
        left = rng.random(n) < 1 / (1 + np.exp(-(x + level)))
        made.append(Month([Bin(*row) for row in to_bins(1 / (1 + np.exp(-x)), left, 0.3)], LEVEL))
    return evidence(made)


def test_levels_that_stray_as_training_found_raise_an_alarm_in_few_of_many_years() -> None:
    alarms = sum(max(year(seed)) >= ALARM_AT for seed in range(25))
    assert alarms <= 3, "5 % at most of 25 are 1.25"


@pytest.mark.parametrize("shift", [0.4, -0.5])
def test_a_shift_raises_the_alarm_within_months(shift: float) -> None:
    found = [year(seed, shift=shift) for seed in range(5)]
    assert all(max(each[:2]) < ALARM_AT for each in found), "not before the shift"
    assert sum(max(each) >= ALARM_AT for each in found) >= 4


def test_the_evidence_is_a_martingale_with_mean_one_while_nothing_has_shifted() -> None:
    """The mean over outcomes of one month is 1: a lower one would make the alarm late, a higher one false."""
    values = np.exp([year(seed, n=1_000, months=1)[0] for seed in range(150)])
    assert values.mean() == pytest.approx(1.0, abs=0.1)


def test_many_customers_do_not_make_a_straying_level_a_shift() -> None:
    """With a million customers chance is far narrower than the spread of the level, and than a cell of its grid."""
    rng = np.random.default_rng(1)
    for seed in range(5):
        p = 1 / (1 + np.exp(-rng.normal(-3.3, 1.5, 400)))
        months = []
        for level in np.random.default_rng(seed).normal(0, 0.08, 12):
            rows = [(at, 0, 25_000, round(25_000 * q), 25_000 * s) for at, (q, s) in enumerate(
                zip(1 / (1 + (1 / p - 1) * np.exp(-level)), p, strict=True))]  # fmt: skip
            months.append(Month([Bin(*row) for row in rows], LEVEL))
        assert max(evidence(months)) < ALARM_AT


def test_a_spread_of_nought_is_widened_by_what_chance_hides() -> None:
    none = LevelSpread(sigma=0.0, periods=5, quantile=2.776)
    assert sigma_of(none, 0.01) > 0.1
    assert sigma_of(LEVEL, 1e-9) == pytest.approx(0.08 * 2.262 / 1.959964 * 1.1**0.5, rel=1e-3)
