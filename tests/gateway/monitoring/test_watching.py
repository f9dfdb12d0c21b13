"""The watch over the counted runs: stored after each, and begun anew with a model that knows what raised an alarm."""

from __future__ import annotations

from math import log

import pytest

from database.monitoring.outcome_bins import Run
from gateway.services.monitoring import watching
from gateway.services.monitoring.counting import raised_by
from gateway.services.monitoring.level_alarm import Month
from shared.contracts.report import LevelSpread
from tests.gateway.monitoring.test_counting import run

NEVER, NOW = log(2), log(30)
LEVEL = LevelSpread(sigma=0.1, periods=9, quantile=2.306)


def watched(number: int, as_of: str, log_evidence: float | None, trained_on: str = "2026-01-01") -> Run:
    return run(
        number, as_of, stage="matured", is_counted=1, log_evidence=log_evidence, trained_on=trained_on, threshold=0.5
    )


def test_an_alarm_stands_when_the_evidence_falls_again() -> None:
    runs = [watched(1, "2026-02-01", NEVER), watched(2, "2026-03-03", NOW), watched(3, "2026-04-02", NEVER)]
    raised = raised_by(runs)
    assert raised is not None
    assert raised.id == 2
    assert raised_by(runs[:1]) is None


def test_a_run_of_a_model_that_knows_the_outcomes_ends_the_alarm() -> None:
    runs = [watched(1, "2026-02-01", NOW), watched(2, "2026-04-02", NEVER, trained_on="2026-04-01")]
    assert raised_by([*runs[:1], watched(2, "2026-04-01", NEVER, trained_on="2026-04-01")]) is not None
    assert raised_by([*runs[:1], watched(2, "2026-04-02", NEVER, trained_on="2026-04-02")]) is None


def test_after_an_alarm_the_watch_begins_anew_with_a_model_that_knows_its_outcomes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [
        watched(1, "2026-02-01", None),
        watched(2, "2026-03-03", None),
        watched(3, "2026-04-02", None),
        watched(4, "2026-05-02", None, trained_on="2026-05-02"),
    ]
    months = {each.id: Month([], LEVEL) for each in runs}
    # The evidence of so many months of a watch.
    monkeypatch.setattr(watching, "evidence", lambda of: [NEVER, NOW, NOW, NOW][: len(of)])
    found: dict[int, float] = {}
    left = watching._watch_from(runs, months, found)
    assert found == {1: NEVER, 2: NOW, 3: NOW}
    assert [each.id for each in left] == [4]
    assert watching._watch_from(left, months, found) == []
    assert found[4] == NEVER
