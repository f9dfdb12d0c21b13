"""Beta calibration and the prior shift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from ml_service import metrics
from ml_service.model.calibration import BetaCalibration, fit_beta, shift_prior

slopes = st.floats(0, 20)
margins = st.lists(st.floats(-60, 60), min_size=2, max_size=60)


def outcomes(chance: np.ndarray, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(chance)) < chance).astype(np.int8)


@settings(deadline=None)
@given(a=slopes, b=slopes, c=st.floats(-10, 10), m=margins)
def test_calibration_is_monotone_and_stays_a_probability(a: float, b: float, c: float, m: list[float]) -> None:
    p = BetaCalibration(a, b, c)(np.sort(m))
    assert (np.diff(p) >= -1e-14).all() and (p >= 0).all() and (p <= 1).all()


@settings(deadline=None)
@given(m=margins)
def test_slopes_of_one_change_nothing(m: list[float]) -> None:
    assert BetaCalibration()(m) == pytest.approx(expit(np.array(m)), rel=1e-9)


@settings(deadline=None)
@given(a=slopes, b=slopes, c=st.floats(-5, 5), m=margins)
def test_one_margin_and_many_give_the_same_bits(a: float, b: float, c: float, m: list[float]) -> None:
    calibration = BetaCalibration(a, b, c)
    together = calibration(m)
    assert all(calibration([each])[0] == whole for each, whole in zip(m, together, strict=True))


def test_it_follows_the_published_formula() -> None:
    m, calibration = np.array([-2.0, 0.3, 1.7]), BetaCalibration(1.4, 0.6, -0.2)
    s = expit(m)
    assert logit(calibration(m)) == pytest.approx(1.4 * np.log(s) - 0.6 * np.log(1 - s) - 0.2)


def test_a_shifted_calibration_gives_the_shifted_probabilities() -> None:
    m, calibration = np.linspace(-9, 9, 40), BetaCalibration(1.4, 0.6, -0.2)
    shifted = calibration.shifted(cohort=0.27, natural=0.04)
    assert shifted(m) == pytest.approx(shift_prior(calibration(m), cohort=0.27, natural=0.04), rel=1e-9)


def test_it_mends_scores_that_claim_too_much() -> None:
    true = np.random.default_rng(2).normal(-2, 1.2, 40_000)
    y = outcomes(expit(true))
    claimed = 1.8 * true + 0.7
    mended = fit_beta(claimed, y)(claimed)
    assert metrics.ece(y, expit(claimed)) > 0.03
    assert metrics.ece(y, mended) < 0.006
    assert metrics.log_loss(y, mended) <= metrics.log_loss(y, expit(true)) + 1e-3


def test_scores_that_rank_backwards_give_a_constant_not_a_reversal() -> None:
    m = np.random.default_rng(3).normal(size=4000)
    y = outcomes(expit(-2 * m))
    found = fit_beta(m, y)
    assert found.a >= 0 and found.b >= 0
    assert np.ptp(found(m)) < 1e-3


def test_classes_that_are_apart_do_not_blow_up() -> None:
    found = fit_beta(np.array([-3.0] * 50 + [3.0] * 50), np.array([0] * 50 + [1] * 50, dtype=np.int8))
    assert np.isfinite(list(found.as_dict().values())).all()


@pytest.mark.parametrize("numbers", [(-0.1, 1, 0), (1, -1, 0), (1, 1, float("nan"))])
def test_falling_or_infinite_calibrations_are_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="slopes"):
        BetaCalibration(*numbers)


def test_the_prior_shift_brings_a_resampled_cohort_back() -> None:
    chance = expit(np.random.default_rng(4).normal(-3.2, 1, 200_000))
    y = outcomes(chance)
    # Every leaver and as many stayers: what a model learns there is the shifted truth.
    natural, cohort = float(y.mean()), 0.5
    learned = expit(logit(chance) + logit(cohort) - logit(natural))
    assert metrics.ece(y, learned) > 0.2
    assert metrics.ece(y, shift_prior(learned, cohort=cohort, natural=natural)) < 0.004


def test_the_prior_shift_at_one_half_by_hand() -> None:
    assert shift_prior([0.5], cohort=0.5, natural=0.05)[0] == pytest.approx(0.05)
    with pytest.raises(ValueError, match="prevalence"):
        shift_prior([0.5], cohort=0, natural=0.05)
