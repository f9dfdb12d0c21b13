"""Figures from bins: those of the rows themselves, and intervals that hold the true figure."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from database.monitoring.outcome_bins import Bin
from gateway.services.monitoring.figures import Figures, figures
from gateway.services.monitoring.measuring import to_bins
from tests.evaluate.monitoring.coverage import NAMES, counted

TAU = 0.3


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities said, true ones that differ a little, and outcomes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-3.3, 1.5, n)
    q = 1 / (1 + np.exp(-(0.15 + x + rng.normal(0, 0.3, n))))
    return 1 / (1 + np.exp(-x)), q, rng.random(n) < q


def of(p: np.ndarray, left: np.ndarray) -> Figures:
    return figures(Bin(*row) for row in to_bins(p, left, TAU))


def test_bins_of_two_hundredths_of_log_odds_give_the_figures_of_the_rows() -> None:
    p, _, left = drawn(5_000, 1)
    found = of(p, left)
    x = np.log(p / (1 - p))[:, None]
    fit = LogisticRegression(C=np.inf).fit(x, left)
    assert found.auc.value == pytest.approx(roc_auc_score(left, p), abs=1e-4)
    assert found.log_loss.value == pytest.approx(log_loss(left, p), abs=1e-5)
    assert found.slope.value == pytest.approx(float(fit.coef_[0, 0]), abs=2e-3)
    top = np.argsort(-p)[:500]
    assert found.lift_at_10_percent.value == pytest.approx(left[top].mean() / left.mean(), rel=0.01)


def test_the_intervals_hold_the_true_figures_as_often_as_they_say() -> None:
    held: dict[str, list[bool]] = {name: [] for name in NAMES}
    for seed in range(40):
        p, q, left = drawn(2_000, seed)
        found, true = counted(p, left, TAU), counted(p, q, TAU)
        for name in NAMES:
            low, high = getattr(found, name).interval
            held[name].append(low <= getattr(true, name).value <= high)
    shares = {name: np.mean(each) for name, each in held.items()}
    # 40 months: three standard errors below 95 %; all figures together are within three points of it.
    assert min(shares.values()) >= 0.85, shares
    assert 0.92 <= np.mean(list(shares.values())) <= 0.98, shares


def test_a_level_that_is_off_is_outside_the_interval() -> None:
    p, q, _ = drawn(20_000, 2)
    rng = np.random.default_rng(3)
    more = rng.random(len(q)) < np.minimum(1, 1.4 * q)
    low, _ = of(p, more).observed_expected.interval or (0.0, 0.0)
    assert low > 1.2


def test_with_few_leavers_what_compares_them_has_no_interval_and_nothing_is_invented() -> None:
    p, _, _ = drawn(200, 4)
    nobody = of(p, np.zeros(200, dtype=bool))
    assert (nobody.auc.value, nobody.recall.value, nobody.slope.value) == (None, None, None)
    assert nobody.prevalence.value == 0
    assert nobody.observed_expected.interval is not None
    assert nobody.observed_expected.interval[1] > 0
    few = of(p, np.arange(200) < 5)
    assert few.auc.value is not None
    assert few.auc.interval is None
    empty = figures([])
    assert (empty.n, empty.prevalence.value, empty.log_loss.value, empty.ece) == (0, None, None, None)
