"""Drift: unchanged years raise nothing, a planted shift is named, and the demo's first run has its report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gateway.services.monitoring.drift import DriftReport, FeatureReport, alerts
from gateway.services.monitoring.drift_figures import Column, Drift, compare
from gateway.services.monitoring.drifting import _reference
from shared.simulation.simulate import FEATURES, PLANS, simulate
from tests.world import World


def report(found: Drift) -> DriftReport:
    return DriftReport(
        run=1, as_of="2026-06-30", version="1.0.0", reference="2025-06-30", same_season=True, n=found.n,
        trained_n=found.trained_n, auc=found.auc, score_psi=0.0,
        features=[FeatureReport(**vars(each)) for each in found.features],
    )  # fmt: skip


def months(*wanted: int) -> list[dict[str, Column]]:
    every = simulate("documented", customers=3_000, months=max(wanted) + 1, seed=3).months

    def column(name: str, rows: np.ndarray) -> Column:
        if name == "plan":
            return [PLANS[code].name for code in every.plan[rows].tolist()]
        return np.asarray(getattr(every, name)[rows], dtype=np.float64)

    return [{name: column(name, np.flatnonzero(every.month == at)) for name in FEATURES} for at in wanted]


def test_an_unchanged_year_raises_nothing_and_a_shift_of_one_feature_is_named() -> None:
    before, now = months(0, 12)
    assert list(alerts(report(compare(before, now)))) == []
    fewer = np.asarray(now["watch_time_hours"]) * 0.6
    told = list(alerts(report(compare(before, {**now, "watch_time_hours": fewer}))))
    assert told
    assert all("watch_time_hours" in each for each in told)


def test_psi_is_that_of_the_formula() -> None:
    before: Column = ["a"] * 400 + ["b"] * 600
    now: Column = ["a"] * 600 + ["b"] * 400
    (found,) = compare({"x": before}, {"x": now}).features
    a, b = (400.5 / 1001, 600.5 / 1001)
    assert found.psi == pytest.approx((b - a) * np.log(b / a) + (a - b) * np.log(a / b))
    assert found.auc == pytest.approx(0.6, abs=0.02)


def test_missing_and_unknown_values_are_counted_and_named() -> None:
    rng = np.random.default_rng(0)
    before = {"n": rng.normal(size=2_000), "c": rng.choice(["x", "y"], 2_000).tolist()}
    now = {"n": np.where(rng.random(2_000) < 0.1, np.nan, rng.normal(size=2_000)),
           "c": ["new"] * 60 + [None] * 40 + ["x"] * 1_900}  # fmt: skip
    found = {each.feature: each for each in compare(before, now).features}
    assert found["n"].missing == pytest.approx(0.1, abs=0.03)
    assert (found["n"].missing_before, found["n"].unknown) == (0, None)
    assert (found["c"].unknown, found["c"].missing) == (0.03, 0.02)
    told = " ".join(alerts(report(compare(before, now))))
    assert "n is missing for " in told
    assert "c has a value that training did not know for 3.0% of rows" in told


def test_few_rows_raise_nothing() -> None:
    few = compare({"x": np.zeros(100)}, {"x": np.ones(100)})
    assert few.features[0].psi > 1
    assert list(alerts(report(few))) == []


def test_the_reference_is_the_same_season_of_the_newest_year_that_has_it() -> None:
    dates = ["2024-06-10", "2025-01-31", "2025-06-30", "2025-07-10", "2026-03-31"]
    assert _reference(dates, "2026-07-01") == ("2025-06-30", True)
    assert _reference(["2025-12-31", "2026-03-31"], "2026-07-01") == ("2026-03-31", False)


@pytest.mark.xdist_group("real ml service")
def test_the_demos_first_run_is_compared_with_the_year_before(demo_world: World) -> None:
    found: dict[str, Any] = demo_world.ask("GET", "/api/model/drift").get_json()["data"]
    (newest,) = found["reports"]
    assert newest["same_season"]
    assert (newest["n"], newest["version"]) == (600, "2.4.3")
    assert 0.4 < newest["auc"] < 0.7
    assert {each["feature"] for each in newest["features"]} == set(FEATURES)
    assert found["note"] is None


def test_before_the_first_run_the_answer_says_why_it_is_empty(world: World) -> None:
    found = world.ask("GET", "/api/model/drift").get_json()["data"]
    assert (found["reports"], found["alerts"]) == ([], [])
    assert found["note"].startswith("No run was compared yet")
