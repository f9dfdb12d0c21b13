"""Each figure of docs/definitions.md#model-figures against a value worked out by hand, or against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from ml_service import metrics
from ml_service.evaluation.figures import figures, importance, recent_rows
from ml_service.model.thresholds import best_f1_threshold, recall_threshold

LABEL = np.array([0, 1, 0, 1, 1, 0, 0, 0], dtype=np.int8)
SCORE = np.array([0.1, 0.9, 0.4, 0.35, 0.8, 0.2, 0.6, 0.05])


def noisy(rows: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = np.round(rng.beta(1, 9, rows), 3)
    return (rng.random(rows) < p).astype(np.int8), p


def test_auc_counts_the_pairs_that_are_ranked_right() -> None:
    # 13 of 15 pairs are right: .35 loses to .4 and .6.
    assert metrics.auc(LABEL, SCORE) == pytest.approx(13 / 15)


def test_average_precision_by_hand() -> None:
    # Leavers stand at ranks 1, 2 and 5.
    assert metrics.average_precision(LABEL, SCORE) == pytest.approx((1 + 1 + 3 / 5) / 3)


def test_log_loss_and_brier_by_hand() -> None:
    y, p = np.array([1, 0], dtype=np.int8), np.array([0.8, 0.4])
    assert metrics.log_loss(y, p) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)
    assert metrics.brier(y, p) == pytest.approx((0.04 + 0.16) / 2)
    assert metrics.brier_skill(y, p) == pytest.approx(1 - 0.1 / 0.25)


def test_figures_agree_with_scikit_learn() -> None:
    y, p = noisy()
    assert metrics.auc(y, p) == sk.roc_auc_score(y, p)
    assert metrics.brier(y, p) == pytest.approx(sk.brier_score_loss(y, p))
    at = metrics.at_threshold(y, p, 0.15)
    assert at.precision == sk.precision_score(y, p >= 0.15)
    assert at.recall == sk.recall_score(y, p >= 0.15)
    assert at.f1 == pytest.approx(sk.f1_score(y, p >= 0.15))


def test_ece_by_hand_in_two_bins_of_equal_mass() -> None:
    y = np.array([0, 0, 1, 1, 1, 0], dtype=np.int8)
    p = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.8])
    # Lower bin: mean y 1/3, mean p .2; upper: 2/3 and .7; each half of the rows.
    assert metrics.ece(y, p, bins=2) == pytest.approx(0.5 * (1 / 3 - 0.2) + 0.5 * (0.7 - 2 / 3))


def test_ece_of_the_constant_rate_is_nothing() -> None:
    y, _ = noisy()
    assert metrics.ece(y, np.full(len(y), y.mean())) == pytest.approx(0, abs=1e-12)


def test_ece_agrees_with_a_plain_loop_where_no_scores_tie() -> None:
    rng = np.random.default_rng(5)
    p = rng.random(1003)
    y = (rng.random(1003) < p**2).astype(np.int8)
    order = np.argsort(p)
    bins = np.array_split(order, 15)
    expected = sum(len(b) / len(p) * abs(y[b].mean() - p[b].mean()) for b in bins)
    assert metrics.ece(y, p) == pytest.approx(expected, abs=1e-12)


def test_lift_shares_ties() -> None:
    # The top tenth is one row of four that tie, one of which left: 1/4 over a rate of 1/10.
    y = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], dtype=np.int8)
    score = np.array([0.9, 0.9, 0.9, 0.9, 0, 0, 0, 0, 0, 0])
    assert metrics.lift(y, score) == pytest.approx(2.5)
    assert metrics.lift(y, np.full(10, 0.3)) == pytest.approx(1)


def test_balanced_precision_is_the_same_roc_point_at_prevalence_one_half() -> None:
    at = metrics.at_threshold_balanced(LABEL, SCORE, 0.5)
    recall, false_alarms = 2 / 3, 1 / 5
    assert at.recall == pytest.approx(recall)
    assert at.precision == pytest.approx(recall / (recall + false_alarms))
    assert at.f1 == pytest.approx(2 * at.precision * recall / (at.precision + recall))


def test_precision_at_another_prevalence_follows_the_documented_identity() -> None:
    y, p = noisy()
    natural, balanced = metrics.at_threshold(y, p, 0.2), metrics.at_threshold_balanced(y, p, 0.2)
    rate, false_alarms = y.mean(), (p[y == 0] >= 0.2).mean()
    assert natural.precision == pytest.approx(
        rate * natural.recall / (rate * natural.recall + (1 - rate) * false_alarms)
    )
    assert natural.recall == balanced.recall


def test_what_cannot_be_computed_is_unknown_not_zero() -> None:
    nobody = np.zeros(20, dtype=np.int8)
    p = np.linspace(0, 0.4, 20)
    found = figures(nobody, p, threshold=0.5, balanced_threshold=0.5)
    assert found.auc is found.average_precision is found.brier_skill is found.lift_at_10_percent is None
    assert found.precision is found.recall is found.f1_score is None
    assert found.balanced.precision is found.balanced.recall is None
    assert metrics.at_threshold(LABEL, SCORE, 0.99).precision is None
    assert metrics.at_threshold(LABEL, SCORE, 0.99).recall == 0


def test_the_order_of_the_rows_changes_no_figure() -> None:
    y, p = noisy()
    mixed = np.random.default_rng(1).permutation(len(y))
    one = figures(y, p, threshold=0.2, balanced_threshold=0.1).model_dump()
    other = figures(y[mixed], p[mixed], threshold=0.2, balanced_threshold=0.1).model_dump()
    balanced, other_balanced = one.pop("balanced"), other.pop("balanced")
    assert other == pytest.approx(one, abs=1e-12) and other_balanced == pytest.approx(balanced, abs=1e-12)


def test_best_f1_threshold_is_the_best_there_is() -> None:
    y, p = noisy()
    best = max(sk.f1_score(y, p >= t) for t in np.unique(p))
    assert sk.f1_score(y, p >= best_f1_threshold(p, y)) == best


def test_recall_threshold_is_the_highest_that_catches_enough() -> None:
    y, p = noisy()
    threshold = recall_threshold(p, y, 0.925)
    assert (p[y == 1] >= threshold).mean() >= 0.925
    higher = p[p > threshold].min() + 1e-9
    assert (p[y == 1] >= higher).mean() < 0.925


def test_importance_is_a_share_that_sums_to_one(undated) -> None:  # type: ignore[no-untyped-def]
    found = importance(undated.schema, np.array([[3.0, -1.0, 0.0], [-3.0, 1.0, 0.0]]))
    assert [(each.name, each.importance) for each in found] == [("calls", 0.75), ("age", 0.25), ("tariff", 0.0)]


def test_recent_rows_are_the_newest() -> None:
    days = np.datetime64("2026-01-01") + np.arange(30_000) // 10_000
    chosen = recent_rows(30_000, days, seed=0)
    assert len(chosen) == 20_000 and chosen.min() == 10_000
