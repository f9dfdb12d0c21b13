"""`python -m tests.evaluate.choice`: how often a level is chosen where nothing, chance or a season moves the periods.

Law: probabilities are true but for the period's level, so that nothing else can be found; the rule is the product's.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
from scipy.special import expit

from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.splitting import Split
from ml_service.model.calibration import BetaCalibration
from ml_service.model.churn_model import ChurnModel
from ml_service.training.candidates import choose_among
from ml_service.training.rolling_origins import Origin
from shared.schema.features import schema_from_dict

#: Periods of training; the newest twelve are origins, two of which are not known before the next.
PERIODS, ORIGINS, LAG = 34, 12, 2


def choice(rows: int, season: float, shock: float, seed: int) -> str:
    """The choice in one history of a base with a season and with shocks of each period, both in log-odds."""
    rng = np.random.default_rng((seed, 21))
    month = np.repeat(np.arange(PERIODS), rows)
    margin = rng.normal(-3.2, 1.3, len(month))
    level = season * np.cos(2 * np.pi * np.arange(PERIODS) / 12) + rng.normal(0, shock, PERIODS)
    label = (rng.random(len(month)) < expit(margin + level[month])).astype(np.int8)
    schema = schema_from_dict({"features": {"x": {"kind": "number"}}})
    days = np.datetime64("2022-01-15") + np.round(30.4375 * month).astype(np.int64)
    features = typed_columns(schema, pa.table({"x": margin}))
    snapshot = Snapshot(schema, features, label, days, pa.array(np.tile(np.arange(rows), PERIODS)))
    model = ChurnModel(schema, version="1.0.0")
    model.calibration, model.out_of_fold_margins = BetaCalibration(), margin
    origins = []
    for period in range(PERIODS - 1, PERIODS - 1 - ORIGINS, -1):
        at = np.flatnonzero(month == period)
        origins.append(Origin(at, np.flatnonzero(month <= period - LAG), {None: margin[at]}))
    every = np.arange(len(month))
    return choose_among(snapshot, Split("time", every, every, every[:0]), model, origins).way.name


def main() -> int:
    """Print how often each way was chosen."""
    command = argparse.ArgumentParser(prog="python -m tests.evaluate.choice", description=__doc__)
    command.add_argument("--seeds", type=int, default=200)
    command.add_argument("--rows", type=int, default=2_000, help="customers in each period")
    options = command.parse_args()
    for season, shock in ((0.0, 0.0), (0.0, 0.1), (0.1, 0.0), (0.2, 0.0), (0.2, 0.1), (0.4, 0.1)):
        found = Counter(choice(options.rows, season, shock, seed) for seed in range(options.seeds))
        print(f"season {season}, shocks {shock}: {dict(found)} of {options.seeds}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
