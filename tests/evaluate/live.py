"""`python -m tests.evaluate.live`: the live model after a price rise, and trainings on noise.

Law: the truth is known, because every table is drawn here; each figure is printed by seed before its mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from ml_service import metrics
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.simulated import FIRST_DAY, STEP_DAYS, _column
from ml_service.model.churn_model import ChurnModel
from ml_service.training.pipeline import Effort, train
from shared.errors import InsufficientData, NoSignal
from shared.schema.features import built_in_schema, schema_from_dict
from shared.simulation.simulate import Campaign, SimulatedMonths, _Run, simulate

#: Months of history, the month of the price rise, and what it adds to the log-odds of leaving.
MONTHS, RISE, ADDED = 37, 28, 0.5


def rising(customers: int, seed: int) -> Snapshot:
    """Three years of the preset `documented`, in which more leave from a price rise on."""
    month = _Run.month

    def raised(self: _Run, number: int, campaigns: Sequence[Campaign]) -> SimulatedMonths:
        self._constant += ADDED if number == RISE else 0.0
        return month(self, number, campaigns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Run, "month", raised)
        months = simulate("documented", customers=customers, months=MONTHS, seed=seed).months
    schema = built_in_schema()
    columns = pa.table({name: _column(months, name) for name in schema.features})
    as_of = FIRST_DAY + months.month.astype(np.int64) * STEP_DAYS
    return Snapshot(
        schema, typed_columns(schema, columns), months.churned, as_of, pa.array(months.customer, pa.int64())
    )


def after_the_rise(customers: int, seed: int) -> dict[str, float]:
    """The model trained at the beginning of the last month, on the rows of that month."""
    every = rising(customers, seed)
    assert every.as_of is not None
    today = every.as_of.max()
    known = every.take(np.flatnonzero(every.as_of + np.timedelta64(60, "D") <= today))
    last = every.take(np.flatnonzero(every.as_of == today))
    live = train(known, version="1.0.0", effort=Effort(1)).model
    assert live.sibling is not None
    refit = ChurnModel(known.schema, version="1.0.0").fit(
        known.features, known.label, row_keys=known.row_keys, trials=1
    )
    figures = {"left": float(last.label.mean())}
    for name, model in (("live", live), ("sibling", live.sibling), ("refit on everything", refit)):
        p = model.predict(last.features).probability
        figures |= {f"{name}: said / left": float(p.mean() / last.label.mean())}
        figures |= {f"{name}: log loss": metrics.log_loss(last.label, p)}
    return figures


def noise(step_days: int, seed: int, customers: int = 600, days: int = 240) -> Snapshot:
    """Snapshots of customers whose features, constant and changing ones, say nothing of when they leave."""
    rng = np.random.default_rng((seed, step_days))
    dates = np.arange(0, days, step_days)
    end = rng.exponential(30 / 0.05, customers)
    who, at = (each.ravel() for each in np.meshgrid(np.arange(customers), dates, indexing="ij"))
    active = at < end[who]
    who, at = who[active], at[active]
    own = rng.normal(size=(customers, 3))
    columns = {f"own_{k}": own[who, k] for k in range(3)} | {f"row_{k}": rng.normal(size=len(who)) for k in range(3)}
    schema = schema_from_dict({"features": {name: {"kind": "number"} for name in columns}})
    label = (end[who] <= at + 30).astype(np.int8)
    as_of = np.datetime64("2025-01-01") + at
    return Snapshot(schema, typed_columns(schema, pa.table(columns)), label, as_of, pa.array(who))


def on_noise(step_days: int, seeds: int) -> tuple[int, list[float | None]]:
    """How many trainings on noise made a model, and their test AUC."""
    found: list[float | None] = []
    for seed in range(seeds):
        try:
            found.append(train(noise(step_days, seed), version="1.0.0", effort=Effort(1)).report.auc)
        except (NoSignal, InsufficientData) as refusal:
            print(f"noise every {step_days} days, seed {seed}: {refusal.message[:70]}", flush=True)
    return len(found), found


def main() -> int:
    """Print the figures of both."""
    command = argparse.ArgumentParser(prog="python -m tests.evaluate.live", description=__doc__)
    command.add_argument("--seeds", type=int, default=10)
    command.add_argument("--customers", type=int, default=4_000)
    command.add_argument("--noise", type=int, default=40, metavar="N", help="trainings on noise of each kind")
    options = command.parse_args()
    rows = []
    for seed in range(options.seeds):
        rows.append(after_the_rise(options.customers, seed))
        print(seed, {name: round(value, 4) for name, value in rows[-1].items()}, flush=True)
    if rows:
        print("mean", {name: round(float(np.mean([row[name] for row in rows])), 5) for name in rows[0]})
    for step_days in (1, 7, 30) if options.noise else ():
        made, areas = on_noise(step_days, options.noise)
        print(f"noise every {step_days} days: {made} of {options.noise} trainings made a model, test AUC {areas}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
