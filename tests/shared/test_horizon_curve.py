"""Later horizons as a function of the score: what the calibrations say of its margin."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.outlook import Calibration, HorizonCheck, Judged, OutlookReport
from shared.horizon_curve import Beta, HorizonCurve, curve_of, staying

slopes = st.floats(0.2, 3)
betas = st.builds(Beta, slopes, slopes, st.floats(-2, 2))
JUDGED = Judged(
    n=1000, period=("2026-01-31", "2026-03-31"), left=60, ratio=1.0, ratio_interval=(0.8, 1.2), ece=0.01, auc=0.9
)


def probability(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))


@given(betas, betas, st.floats(-12, 8), st.floats(-0.5, 0.5))
def test_the_margin_is_found_again_and_its_horizon_is_that_of_the_calibration(
    own: Beta, later: Beta, margin: float, level: float
) -> None:
    curve = HorizonCurve(own, ((90, later),), level)
    p = probability(own.log_odds(margin) + level)
    if not 1e-9 < p < 1 - 1e-9:
        return
    (_, first), (days, within) = curve.within(p)
    assert (first, days) == (p, 90)
    assert within == pytest.approx(max(p, probability(later.log_odds(margin))), rel=1e-6)


@given(betas, betas, betas, st.floats(0, 1))
def test_who_stays_only_becomes_fewer(own: Beta, a: Beta, b: Beta, p: float) -> None:
    curve = HorizonCurve(own, ((60, a), (180, b)))
    found = staying(curve, p)
    assert len(found) == curve.months == 6
    assert found[0] == 1
    assert all(before >= after >= 0 for before, after in pairwise(found))


def test_the_log_odds_follow_the_published_formula() -> None:
    s = probability(-1.5)
    assert Beta(0.7, 1.2, 0.3).log_odds(-1.5) == pytest.approx(0.7 * log(s) - 1.2 * log(1 - s) + 0.3)


def report(score: Calibration | None, calibration: Calibration | None) -> OutlookReport:
    horizons = [
        HorizonCheck(days=60, judged=JUDGED, reason=None, calibration=calibration),
        HorizonCheck(days=90, judged=None, reason="Follow-up is too short."),
    ]
    return OutlookReport(horizons=horizons, causes=[], causes_reason="none", reasons_known=None, score=score)


def test_horizons_that_are_left_out_are_not_in_the_curve() -> None:
    some = Calibration(a=1.0, b=0.9, c=0.1)
    assert curve_of(None, 0.2) == HorizonCurve()
    found = curve_of(report(some, some), 0.2)
    assert found is not None
    assert (found.months, [days for days, _ in found.later], found.level) == (2, [60], 0.2)


def test_a_report_that_judges_a_horizon_without_its_calibration_says_no_curve() -> None:
    some = Calibration(a=1.0, b=0.9, c=0.1)
    assert curve_of(report(some, None), 0.0) is None
    assert curve_of(report(None, some), 0.0) is None
    assert curve_of(report(Calibration(a=0.0, b=0.0, c=-3.0), some), 0.0) is None, "every margin has one score"
