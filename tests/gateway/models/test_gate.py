"""The promotion gate: what a paired comparison on the same test rows allows."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.services.models.promotions import gate
from shared.contracts.api import BalancedFigures, Comparison, TestFigures, TrainReport


def figures(log_loss: float) -> TestFigures:
    some: dict[str, Any] = dict.fromkeys(("auc", "average_precision", "precision", "recall", "f1_score"), 0.5)
    balanced = BalancedFigures(threshold=0.1, precision=0.5, recall=0.5, f1_score=0.5)
    return TestFigures(
        n=900, positives=90, prevalence=0.1, log_loss=log_loss, brier=0.1, brier_skill=0.1, ece=0.01,
        lift_at_10_percent=2.0, threshold=0.3, balanced=balanced, **some,
    )  # fmt: skip


def report(comparison: Comparison | None) -> TrainReport:
    return TrainReport(
        auc=0.5, precision=0.5, recall=0.5, f1_score=0.5, training_samples=1000, model_version="2.4.2",
        timestamp="2026-01-01T00:00:00.000Z", features=3, split="time", training_period=None, training_prevalence=0.1,
        test=figures(0.30), baselines={}, champion=None if comparison is None else figures(0.29), importance=[],
        parameters={}, base_probability=0.1, out_of_fold_rows=0, data_sha256="", warnings=[], comparison=comparison,
    )  # fmt: skip


def compared(low: float, high: float, collapsed: list[str]) -> Comparison:
    return Comparison(difference=(low + high) / 2, interval=(low, high), not_worse=low <= 0, collapsed=collapsed)


@pytest.mark.parametrize(
    ("found", "allowed", "told"),
    [
        (None, True, "no live model"),
        (compared(-0.02, 0.01, []), True, "Promoted: not worse"),
        (compared(0.001, 0.02, []), False, "Not promoted: significantly worse"),
        (compared(-0.02, -0.01, ["plan = Basic Ads"]), False, "Not promoted: much worse for plan = Basic Ads"),
    ],
)
def test_a_challenger_goes_live_only_where_it_is_not_worse(found: Comparison | None, allowed: bool, told: str) -> None:
    decision, reason = gate(report(found))
    assert decision is allowed and told in reason
    if found is not None:
        assert "0.3000 against 0.2900" in reason and "900 test rows" in reason
