"""`python -m tests.evaluate.profit`: what contacting the share that a report names brings in the month after it.

Law: the share, the threshold and the scores are those of before the month; the month decides nothing.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml_service.data.simulated import simulated
from ml_service.training.pipeline import Effort, train
from shared.campaigns.costs import DEFAULT_COSTS, GAMMA_MEAN

LIST_CUT = 0.7


def realised(left: npt.NDArray[np.int8], is_contacted: npt.NDArray[np.bool_]) -> float:
    """The profit of a campaign: of the leavers contacted, the mean share accepts; all stayers contacted do."""
    leavers, stayers = int(left[is_contacted].sum()), int((1 - left[is_contacted]).sum())
    costs = DEFAULT_COSTS
    kept = GAMMA_MEAN * (costs.clv - costs.offer) - costs.contact
    return leavers * kept - stayers * (costs.offer + costs.contact)


def run(seed: int, *, preset: str = "documented", customers: int = 4_000, trials: int = 1) -> dict[str, float]:
    """One seed: the realised profit in the newest simulated month, by who is contacted; and the shares contacted."""
    snapshot = simulated(preset, customers=customers, seed=seed).snapshot
    assert snapshot.as_of is not None
    newest = snapshot.as_of == snapshot.as_of.max()
    trained = train(snapshot.take(np.flatnonzero(~newest)), version="1.0.0", seed=seed, effort=Effort(trials=trials))
    month = np.flatnonzero(newest)
    p = trained.model.predict(snapshot.features.take(pa.array(month))).probability
    left = snapshot.label[month]
    assert trained.report.profit is not None
    share = trained.report.profit.share
    by_score = np.argsort(np.argsort(-p, kind="stable")) < round(share * len(p))
    chosen = {
        "share of the report": by_score,
        "break-even": p > DEFAULT_COSTS.break_even,
        "F1's threshold": p >= trained.model.threshold,
        "list cut": p > LIST_CUT,
    }
    profits = {name: realised(left, who) for name, who in chosen.items()}
    return {**profits, **{f"{name}, contacted": float(who.mean()) for name, who in chosen.items()}}


def main() -> int:
    """Print each seed, and in how many the report's share is no worse than F1's threshold and the list cut."""
    command = argparse.ArgumentParser(prog="python -m tests.evaluate.profit", description=__doc__)
    command.add_argument("--seeds", nargs="*", type=int, default=list(range(1, 11)))
    command.add_argument("--preset", default="documented")
    command.add_argument("--customers", type=int, default=4_000)
    options = command.parse_args()
    found = []
    for seed in options.seeds:
        found.append(run(seed, preset=options.preset, customers=options.customers))
        print(seed, {name: round(value, 4) for name, value in found[-1].items()}, flush=True)
    for name in ("share of the report", "break-even"):
        for rival in ("F1's threshold", "list cut"):
            better = sum(each[name] >= each[rival] for each in found)
            gain = np.mean([each[name] - each[rival] for each in found])
            print(f"{name} is no worse than {rival} in {better} of {len(found)} seeds; {gain:+.0f} on average")
    return 0


if __name__ == "__main__":
    sys.exit(main())
