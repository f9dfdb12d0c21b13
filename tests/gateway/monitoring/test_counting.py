"""Which runs count: each end once, and no run whose model may have learned from the ends."""

from __future__ import annotations

from typing import Any

from database.monitoring.outcome_bins import Run
from gateway.services.monitoring.counting import counted


def run(number: int, as_of: str, **other: Any) -> Run:
    given: dict[str, Any] = {
        "kind": "full", "version": "1.0.0", "trained_on": "2025-12-01", "customers": 10, "expected": 1.0,
        "stage": None, "is_counted": 0, "without_outcome": None, "threshold": None, "log_evidence": None,
    }  # fmt: skip
    return Run(id=number, as_of=as_of, **{**given, **other})


def test_runs_of_one_window_count_once_and_the_last_of_a_date_is_taken() -> None:
    runs = [
        run(1, "2026-01-31"),
        run(2, "2026-01-31"),
        run(3, "2026-02-07"),
        run(4, "2026-02-26"),
        run(5, "2026-02-27"),
        run(6, "2026-03-31"),
    ]
    dates = {each.as_of for each in runs} - {"2026-03-31"}
    assert [each.id for each in counted(runs, dates)] == [2, 5], "27 days apart, calendar months among them"


def test_a_sample_does_not_count() -> None:
    assert counted([run(1, "2026-01-31", kind="sample")], {"2026-01-31"}) == []


def test_a_run_of_a_model_that_may_know_its_ends_does_not_count() -> None:
    of = {"2026-01-31"}
    assert [each.id for each in counted([run(1, "2026-01-31", trained_on="2026-03-02")], of)] == [1]
    assert counted([run(1, "2026-01-31", trained_on="2026-03-03")], of) == []
