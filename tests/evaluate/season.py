"""`python -m tests.evaluate.season`: why the ECE of the simulated test months is above chance on some seeds.

Law: the same seeds with and without the season, everything else alike; a remedy is judged on the months it has not seen.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit

from ml_service import metrics
from ml_service.data.simulated import simulated
from ml_service.evaluation import calibration_checks
from ml_service.model.churn_model import ChurnModel
from ml_service.training.pipeline import split_snapshot

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]


def level(probability: Floats, label: Labels) -> float:
    """The shift of the log-odds that makes the mean probability equal the rate."""
    z = logit(probability)
    return float(brentq(lambda added: expit(z + added).mean() - label.mean(), -2, 2))


def judged(label: Labels, probability: Floats) -> dict[str, float]:
    """ECE beside its limit of chance."""
    return {"ece": metrics.ece(label, probability), "limit": calibration_checks.perfect_ece(probability)}


def run(seed: int) -> dict[str, object]:
    """One seed of the simulation as it stands: as trained, its level known, its level of the newest training months."""
    snapshot = simulated(seed=seed).snapshot
    split = split_snapshot(snapshot, seed)
    past, test = split.training, split.test
    margins: list[Floats] = []
    with pytest.MonkeyPatch.context() as patch:
        calibrate = ChurnModel._calibrate

        def noted(self: ChurnModel, margin: Floats, label: Labels) -> None:
            margins.append(margin)
            calibrate(self, margin, label)

        patch.setattr(ChurnModel, "_calibrate", noted)
        model = ChurnModel(snapshot.schema, version="1.0.0", seed=seed).fit(
            snapshot.features.take(pa.array(past)),
            snapshot.label[past],
            row_keys=snapshot.row_keys.take(pa.array(past)),
            trials=1,
        )
    said, left = model.predict(snapshot.features.take(pa.array(test))).probability, snapshot.label[test]
    assert snapshot.as_of is not None and snapshot.true_probability is not None
    truth = float(snapshot.true_probability[test].mean())
    newest = snapshot.as_of[past] >= np.unique(snapshot.as_of[past])[-3]
    of_newest = level(model.calibration(margins[0])[newest], snapshot.label[past][newest])
    return {
        "as trained": {**judged(left, said), "said": float(said.mean()), "left": float(left.mean()), "truth": truth},
        "slope": calibration_checks.calibration_line(left, said)[0],
        "level of the test months": judged(left, expit(logit(said) + level(said, left))),
        "level of the newest three training months": judged(left, expit(logit(said) + of_newest)),
    }


def main() -> int:
    """Print each seed with the season and without."""
    command = argparse.ArgumentParser(prog="python -m tests.evaluate.season", description=__doc__)
    command.add_argument("--seeds", nargs="*", type=int, default=list(range(1, 11)))
    for seed in command.parse_args().seeds:
        print(seed, "with the season", run(seed), flush=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("shared.simulation.simulate._Run._season", lambda self: 0.0)
            print(seed, "without", run(seed), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
