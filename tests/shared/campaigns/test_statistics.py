"""Draws, sizes and intervals: golden figures, and short forms of what `tests/evaluate/campaigns/simulation.py` measures."""

from __future__ import annotations

import pytest

from shared.campaigns.draw import Draw, new_seed
from shared.campaigns.effect import Arm, measure, newcombe, srm_probability
from shared.campaigns.power import needed, power, size
from shared.wilson import wilson
from tests.evaluate.campaigns.simulation import Simulated, simulate


@pytest.mark.parametrize(("rate", "customers"), [(0.03, 12_758), (0.05, 7_511), (0.08, 4_560)])
def test_the_size_of_equal_arms_is_that_of_the_definitions(rate: float, customers: int) -> None:
    assert needed(rate, 0.19) == customers
    assert power(rate, 0.19, customers, customers) == pytest.approx(0.8, abs=1e-3)
    assert power(rate, 0.19, customers - 2, customers - 2) < 0.8


def test_unequal_arms_need_more_in_all_and_fewer_in_the_smaller_one() -> None:
    ninth = needed(0.05, 0.19, ratio=9)
    assert ninth is not None
    assert 7_511 > ninth > 7_511 / 2
    assert ninth * 10 > 2 * 7_511
    assert power(0.05, 0.19, 9 * ninth, ninth) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(("customers", "share"), [(1_000, 0.5), (15_022, 0.5), (20_000, 0.3), (100_000, 0.1)])
def test_the_share_without_contact_is_the_smallest_that_can_show_the_reduction(customers: int, share: float) -> None:
    found = size(customers, 0.05, 0.19)
    assert found.control_share == share
    assert found.is_large_enough == (customers >= 15_022)


def test_intervals_are_those_that_newcombe_printed() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    printed = {
        ((56, 70), (48, 80)): (0.0524, 0.3339),
        ((9, 10), (3, 10)): (0.1705, 0.8090),
        ((6, 7), (2, 7)): (0.0582, 0.8062),
        ((5, 56), (0, 29)): (-0.0381, 0.1926),
        ((0, 10), (0, 20)): (-0.1611, 0.2775),
        ((10, 10), (0, 20)): (0.6791, 1.0),
    }
    for ((a, n), (b, k)), interval in printed.items():
        assert newcombe(Arm(n, a), Arm(k, b)) == pytest.approx(interval, abs=5e-5)


def test_an_empty_arm_has_no_effect_and_no_probability() -> None:
    assert measure(Arm(0, 0), Arm(5, 1)) is None
    assert srm_probability(0, 0, 0.5) is None
    found = measure(Arm(5, 0), Arm(5, 1))
    assert found is not None
    assert found.relative is None


def test_a_draw_repeats_and_its_shares_are_nested() -> None:
    draw = Draw("seed")
    small, large = ({key for key in range(2_000) if draw.has(key, share)} for share in (0.1, 0.3))
    assert small < large
    assert len(large) / 2_000 == pytest.approx(0.3, abs=0.05)
    assert {key for key in range(2_000) if Draw("seed").has(key, 0.1)} == small
    assert len({new_seed() for _ in range(100)}) == 100


def test_campaigns_without_an_effect_claim_one_as_often_as_the_level_says() -> None:
    found = simulate(Simulated(customers=1_000, campaigns=600, rate=0.1, reduction=0.0, control_share=0.5), seed=1)
    assert 0.025 <= found.claimed <= 0.08
    assert found.covered >= 0.92


def test_a_planted_reduction_is_found_and_its_interval_holds_the_truth() -> None:
    found = simulate(Simulated(customers=2_000, campaigns=200, rate=0.2, reduction=0.4, control_share=0.5), seed=2)
    assert found.claimed >= 0.95
    assert found.covered >= 0.9
