"""`python -m tests.evaluate.expected_leavers`: how often the interval of expected leavers holds those who leave.

Law: at each month, models and spread come from the rows whose outcome was known then; the oracle is told the truth
about the spread, and nothing else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import typed_columns
from ml_service.model.churn_model import ChurnModel
from ml_service.training import rolling_origins
from ml_service.training.level_spread import spread_of
from ml_service.training.rolling_origins import Origin, lag_days, roll
from shared.expected_leavers import Z95, interval
from shared.schema.features import schema_from_dict

#: Months that are judged, and months of history before the first of them.
JUDGED, BEFORE = 18, 16


@dataclass(frozen=True)
class Month:
    """One judged month: leavers, expectation, variance by chance, the interval's ends, the oracle's half width."""

    left: float
    expected: float
    low: float
    high: float
    oracle: float

    @property
    def holds(self) -> bool:
        """Whether the interval holds those who left."""
        return self.low <= self.left <= self.high


def history(customers: int, months: int, sigma: float, seed: int) -> Snapshot:
    """Months whose level moves by chance with a spread of sigma; three features, of which two tell something."""
    rng = np.random.default_rng((seed, 16))
    month = np.repeat(np.arange(months), customers)
    x = rng.normal(size=(len(month), 3))
    level = rng.normal(0, sigma, months)[month]
    truth = expit(-2.9 + 1.1 * x[:, 0] - 0.6 * np.maximum(x[:, 1], 0) + level)
    schema = schema_from_dict({"features": {name: {"kind": "number"} for name in ("a", "b", "c")}})
    columns = pa.table({name: x[:, at] for at, name in enumerate(("a", "b", "c"))})
    days = np.datetime64("2022-01-15") + 30 * month
    keys = pa.array(np.tile(np.arange(customers), months))
    label = (rng.random(len(month)) < truth).astype(np.int8)
    return Snapshot(schema, typed_columns(schema, columns), label, days, keys, truth)


def months_of(snapshot: Snapshot, sigma: float, seed: int) -> Iterator[Month]:
    """Judge the newest months; the configuration is chosen once, on what was known at the first of them."""
    assert snapshot.as_of is not None
    days = np.unique(snapshot.as_of)
    lag = np.timedelta64(lag_days(snapshot), "D")
    first = snapshot.take(np.flatnonzero(snapshot.as_of + lag <= days[-JUDGED]))
    model = ChurnModel(snapshot.schema, version="1.0.0", seed=seed).fit(
        first.features, first.label, row_keys=first.row_keys, trials=1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rolling_origins, "MAX_PERIODS", len(days))
        origins = roll(snapshot, np.arange(len(snapshot.label)), model, lambda done, stage: None)
    for at, origin in enumerate(origins[:JUDGED]):
        day = snapshot.as_of[origin.rows].min()
        past = [each for each in origins[at:] if snapshot.as_of[each.rows].max() + lag <= day]
        yield _month(snapshot, origin, past[:12], model, sigma)


def _month(snapshot: Snapshot, origin: Origin, past: list[Origin], model: ChurnModel, sigma: float) -> Month:
    said = model.calibration(origin.margins[None])
    expected, variance = float(said.sum()), float((said * (1 - said)).sum())
    before = [(model.calibration(each.margins[None]), float(snapshot.label[each.rows].sum())) for each in past]
    low, high = interval(expected, variance, spread_of(before))
    oracle = Z95 * np.sqrt(variance + (sigma * variance) ** 2)
    return Month(float(snapshot.label[origin.rows].sum()), expected, low, high, float(oracle))


def summary(every: list[Month]) -> str:
    """Coverage and width over months."""
    width = float(np.mean([(month.high - month.low) / (2 * month.oracle) for month in every]))
    held = sum(month.holds for month in every)
    ratio = float(np.mean([month.left / month.expected for month in every]))
    return (
        f"{held} of {len(every)} months held ({100 * held / len(every):.1f} %), mean width {width:.2f} of the oracle's, "
        f"left / expected {ratio:.3f}"
    )


def main() -> int:
    """Print coverage and width by spread, after each seed."""
    command = argparse.ArgumentParser(prog="python -m tests.evaluate.expected_leavers", description=__doc__)
    command.add_argument("--sigmas", nargs="*", type=float, default=[0.0, 0.1, 0.2])
    command.add_argument("--seeds", type=int, default=30)
    command.add_argument("--customers", type=int, default=1_500)
    options = command.parse_args()
    for sigma in options.sigmas:
        every: list[Month] = []
        for seed in range(options.seeds):
            snapshot = history(options.customers, BEFORE + JUDGED, sigma, seed)
            every += months_of(snapshot, sigma, seed)
            print(f"sigma {sigma}, seeds to {seed}: {summary(every)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
