"""Lifetimes: the golden values of the literature, and their laws."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.lifetime import (
    OWN_STEPS,
    AtAge,
    ShiftedBetaGeometric,
    fit_sbg,
    hazards_within,
    mixed_hazards,
    of_cohort,
    payment_weights,
    survival,
    value_given_staying,
)

#: Fader and Hardie 2007, "High End": what was left of a thousand customers after each of seven years.
HIGH_END = [0.869, 0.743, 0.653, 0.593, 0.551, 0.517, 0.491]
hazards = st.floats(0, 1, allow_nan=False)
parameters = st.builds(ShiftedBetaGeometric, st.floats(0.01, 50), st.floats(0.01, 50))


def test_the_golden_fit_and_projection_of_the_definitions() -> None:
    found = fit_sbg(of_cohort(HIGH_END))
    assert found is not None
    assert (round(found.alpha, 3), round(found.beta, 3)) == (0.668, 3.806)
    assert [round(share, 3) for share in survival(found, 12)[7:]] == [0.460, 0.436, 0.414, 0.395, 0.378]


@given(parameters)
def test_survival_only_falls_and_stays_a_share(distribution: ShiftedBetaGeometric) -> None:
    shares = survival(distribution, 40)
    assert all(1 >= before > after > 0 for before, after in zip([1.0, *shares], shares, strict=False))


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 8.0), (1.5, 20.0), (3.0, 2.0)])
def test_a_distribution_is_found_again_whichever_ages_were_at_risk(alpha: float, beta: float) -> None:
    truth = ShiftedBetaGeometric(alpha, beta)
    # Delayed entry: cohorts of different sizes, seen for a few months each, their ages half way between two steps.
    seen = [AtAge(age + 0.5, 1000.0 / (age + 1), 1000.0 / (age + 1) * truth.hazard(age + 0.5)) for age in range(4, 60)]
    found = fit_sbg(seen)
    assert found is not None
    assert (found.alpha, found.beta) == (pytest.approx(alpha, rel=1e-3), pytest.approx(beta, rel=1e-3))


@pytest.mark.parametrize("shares", [[0.9, 0.81, 0.729, 0.6561], [0.9, 0.8, 0.6, 0.3], [1.0, 1.0], [0.0], []], ids=str)
def test_nothing_is_fitted_where_hazards_do_not_fall_or_nobody_or_everybody_left(shares: list[float]) -> None:
    assert fit_sbg(of_cohort(shares)) is None


def test_of_a_base_of_several_ages_the_young_leave_first() -> None:
    curve = ShiftedBetaGeometric(1.0, 1.0)
    # Hazards at the ages 0 and 2: 1/2 and 1/4; a step later those left are 1/2 and 3/4, at hazards of 1/3 and 1/5.
    assert mixed_hazards(curve, [0.0, 2.0], 2) == pytest.approx([3 / 8, (1 / 6 + 3 / 20) / (5 / 4)])
    alone = mixed_hazards(curve, [3.0], 5)
    assert alone == pytest.approx([curve.hazard(3.0 + step) for step in range(5)])


def test_the_value_of_who_stays_by_hand() -> None:
    # Payments after one, two and three steps: certain; if the second hazard of a fifth passes; and the third of a half.
    assert value_given_staying([0.2, 0.5], 0.1) == pytest.approx(1 / 1.1 + 0.8 / 1.21 + 0.4 / 1.331)


@given(st.lists(hazards, max_size=30), st.floats(0, 0.2), hazards)
def test_the_value_falls_with_any_hazard_and_is_at_most_a_payment_a_step(
    given_hazards: list[float], discount: float, worse: float
) -> None:
    value = value_given_staying(given_hazards, discount)
    assert 0 < value <= len(given_hazards) + 1
    raised = [max(each, worse) for each in given_hazards]
    assert value_given_staying(raised, discount) <= value + 1e-12


@given(st.lists(hazards, max_size=OWN_STEPS - 1), st.lists(hazards, max_size=30), st.floats(0, 0.2))
def test_the_weights_are_the_value_as_a_sum_over_the_months_of_own_survival(
    own: list[float], later: list[float], discount: float
) -> None:
    weights = payment_weights(later, discount, len(own) + 1)
    shares = accumulate((1 - hazard for hazard in own), lambda left, stays: left * stays, initial=1.0)
    found = sum(weight * share for weight, share in zip(weights, shares, strict=True))
    assert found == pytest.approx(value_given_staying(own + later, discount))


@given(st.lists(hazards, min_size=4, max_size=4).map(sorted))
def test_hazards_of_horizons_give_back_the_probability_of_each(within: list[float]) -> None:
    found = hazards_within(list(zip((30, 60, 90, 180), within, strict=True)), 30)
    left, stays = 1.0, []
    for hazard in found:
        assert 0 <= hazard <= 1
        left *= 1 - hazard
        stays.append(left)
    assert len(found) == 6
    assert [stays[at] for at in (0, 1, 2, 5)] == pytest.approx([1 - p for p in within], abs=1e-9)
