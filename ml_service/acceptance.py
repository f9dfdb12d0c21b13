"""Acceptance criteria of the simulated preset `documented`; they say nothing about real customers."""

from __future__ import annotations

from shared.contracts.api import TrainReport

MIN_AUC, MIN_PRECISION, MIN_RECALL, MIN_F1 = 0.87, 0.84, 0.89, 0.86
#: AUC of the true probability minus that of the model.
MAX_BELOW_CEILING = 0.008


def missed_floors(report: TrainReport) -> list[str]:
    """List the documented figures that a report does not reach.

    Parameters
    ----------
    report : TrainReport
        Report of a model that was trained on the preset `documented`.

    Returns
    -------
    missed : list of str
        A sentence for each missed figure; empty if all are reached.
    """
    balanced = report.test.balanced
    floors = {
        "AUC": (report.test.auc, MIN_AUC),
        "balanced precision": (balanced.precision, MIN_PRECISION),
        "balanced recall": (balanced.recall, MIN_RECALL),
        "balanced F1": (balanced.f1_score, MIN_F1),
    }
    if report.ceiling is not None and report.ceiling.auc is not None:
        floors["AUC (relative to the ceiling)"] = (report.test.auc, report.ceiling.auc - MAX_BELOW_CEILING)
    return [
        f"{name} is {'unknown' if reached is None else f'{reached:.4f}'}; at least {least:.4f} is needed"
        for name, (reached, least) in floors.items()
        if reached is None or reached < least
    ]
