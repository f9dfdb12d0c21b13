"""`python -m tests.evaluate.payments`: payments of the next six months, said by repeating the score, beside those that came.

Law: the model is trained on what was known when the six months began.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa

from ml_service.data.simulated import FIRST_DAY, STEP_DAYS, simulated
from ml_service.training.pipeline import Effort, train
from shared.lifetime import OWN_STEPS

#: The month that the six begin with: five months to learn from are over.
ORIGIN = 5


def run(seed: int, *, preset: str = "documented", customers: int = 4_000) -> dict[str, float]:
    """One seed: payments said / come, of everybody, of the tenth with the highest scores, and of the others.

    Those of who stayed in the first month, weighted by p / (1 - p), are what value at risk adds up.
    """
    # Horizons are not judged here, and the later outcomes of the past lie in the future of its last month.
    snapshot = replace(simulated(preset, customers=customers, seed=seed).snapshot, later=None)
    assert snapshot.as_of is not None
    month = ((snapshot.as_of - FIRST_DAY) // np.timedelta64(STEP_DAYS, "D")).astype(int)
    past, present = np.flatnonzero(month < ORIGIN), np.flatnonzero(month == ORIGIN)
    trained = train(snapshot.take(past), version="1.0.0", seed=seed, effort=Effort(trials=1))
    p = trained.model.predict(snapshot.features.take(pa.array(present))).probability
    keys = np.asarray(snapshot.row_keys)
    stays, come = np.ones(len(present), dtype=bool), np.zeros(len(present))
    for step in range(OWN_STEPS):
        stayers = keys[(month == ORIGIN + step) & (snapshot.label == 0)]
        stays &= np.isin(keys[present], stayers)
        come += stays
    said = np.sum([(1 - p) ** step for step in range(1, OWN_STEPS + 1)], axis=0)
    top = p >= np.quantile(p, 0.9)
    parts = {"all": np.ones_like(top), "highest tenth": top, "others": ~top}
    found = {name: float(said[who].sum() / come[who].sum()) for name, who in parts.items()}
    stayed, odds = come > 0, p / (1 - p)
    for name, hazard in (("own hazard", p), ("mean hazard", np.full(len(p), p.mean()))):
        said = np.sum([(1 - hazard) ** step for step in range(OWN_STEPS)], axis=0)
        found[f"value at risk, {name}"] = float((odds * said)[stayed].sum() / (odds * come)[stayed].sum())
    return found


def main() -> int:
    """Print each seed."""
    command = argparse.ArgumentParser(prog="python -m tests.evaluate.payments", description=__doc__)
    command.add_argument("--seeds", nargs="*", type=int, default=list(range(1, 11)))
    command.add_argument("--preset", default="documented")
    options = command.parse_args()
    for seed in options.seeds:
        found = run(seed, preset=options.preset)
        print(seed, {name: round(ratio, 3) for name, ratio in found.items()}, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
