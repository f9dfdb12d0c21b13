"""The promotion gate: what a paired comparison on the same test rows allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from database.models.models import Model
from gateway.services.models.promotions import gate, last_decided
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


def compared(low: float, high: float, collapsed: Sequence[str] = (), behind: float = 0.0) -> Comparison:
    margin = 0.005 * 0.29
    return Comparison(
        difference=(low + high) / 2, interval=(low, high), collapsed=list(collapsed), margin=margin,
        verdict="not_worse" if high < margin else "worse" if low > 0 else "undecided",
        decided_version="2.3.9", behind_decided=behind,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "allowed", "told"),
    [
        (None, True, "no live model"),
        (compared(-0.02, -0.01), True, "Promoted: not worse"),
        (compared(0.0001, 0.0014), True, "Promoted: not worse"),
        (compared(0.001, 0.02), False, "Not promoted: significantly worse"),
        (compared(-0.02, 0.01), True, "Promoted because it is newer: undecided"),
        (compared(-0.02, 0.01, behind=0.0014), True, "Promoted because it is newer: undecided"),
        (compared(-0.02, 0.01, behind=0.0015), False, "Not promoted: undecided"),
        (compared(-0.02, -0.01, ["plan = Basic Ads"]), False, "Not promoted: much worse for plan = Basic Ads"),
    ],
)
def test_a_challenger_goes_live_where_it_is_not_worse_or_newer(
    found: Comparison | None, allowed: bool, told: str
) -> None:
    decision, reason = gate(report(found))
    assert decision is allowed and told in reason
    if found is not None:
        assert "0.3000 against 0.2900" in reason and "900 test rows" in reason
    if found is not None and told == "Not promoted: undecided":
        assert "+0.0015 behind 2.3.9" in reason and "0.0014 is allowed" in reason


def test_a_chain_of_undecided_promotions_cannot_lead_down() -> None:
    rng, margin = np.random.default_rng(0), 0.005 * 0.29
    live = version("2.4.0", None)
    losses, promoted = {"2.4.0": 0.29}, 0
    for step in range(1, 60):
        name, decided = f"2.4.{step}", last_decided(live)
        losses[name] = losses[live.version] + rng.uniform(0, margin)
        half = rng.uniform(2, 6) * margin
        difference = losses[name] - losses[live.version]
        found = compared(difference - half, difference + half, behind=losses[name] - losses[decided])
        found.decided_version = decided
        if gate(report(found))[0]:
            live, promoted = version(name, found), promoted + 1
        assert losses[live.version] - losses["2.4.0"] <= margin
    assert promoted >= 1


def version(name: str, found: Comparison | None) -> Model:
    stored = {"comparison": None if found is None else found.model_dump(mode="json")}
    return Model(1, name, "ready", schema_checksum="", trained_on="", created_at="", decision=None, report=stored)
