"""The documented figures as floors: what the simulated preset of that name has to clear.

Law: these floors are of simulated customers and say nothing of real ones.
"""

from __future__ import annotations

from shared.contracts.api import TrainReport

LEAST_AUC, LEAST_PRECISION, LEAST_RECALL, LEAST_F1 = 0.87, 0.84, 0.89, 0.86
#: AUC of the true probability, less the model's.
MOST_BELOW_CEILING = 0.008


def missed_floors(report: TrainReport) -> list[str]:
    """A sentence for each floor that the report does not clear."""
    balanced = report.test.balanced
    floors = {
        "AUC": (report.test.auc, LEAST_AUC),
        "balanced precision": (balanced.precision, LEAST_PRECISION),
        "balanced recall": (balanced.recall, LEAST_RECALL),
        "balanced F1": (balanced.f1_score, LEAST_F1),
    }
    if report.ceiling is not None and report.ceiling.auc is not None:
        floors["AUC beside the ceiling"] = (report.test.auc, report.ceiling.auc - MOST_BELOW_CEILING)
    return [
        f"{name} {'unknown' if reached is None else f'{reached:.4f}'}, {least:.4f} is needed"
        for name, (reached, least) in floors.items()
        if reached is None or reached < least
    ]
