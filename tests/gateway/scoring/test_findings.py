"""The ML service's findings about a run's customers are added up over its answers."""

from __future__ import annotations

from gateway.services.scoring.findings import Findings


def test_findings_of_all_answers_become_one_sentence_each() -> None:
    findings = Findings()
    unknown = {"feature": "plan", "rows": 2, "values": {"Gold": 2}, "known_as": {}}
    idle = {"feature": "idle", "values": "at least 25", "seen": 0, "rows": 900, "share": 0.03, "of_stayers": 0.01}
    for _ in range(2):
        findings.add({"unknown_values": [unknown], "leaver_values": [idle]})
    findings.add({"model_version": "2.4.1"})  # of an older service
    first, second = findings.warnings(1800)
    assert first.startswith("plan: 4 of 1,800 rows have values that the model does not know: 'Gold' (4)")
    assert "but for 0 of the 1,800 customers scored" in second
