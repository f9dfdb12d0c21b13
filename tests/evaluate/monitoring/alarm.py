"""`python -m tests.evaluate alarm`: false alarms in years in which nothing changes, and months until a shift is told.

Law: the truth is known, because every year is drawn here, season included. One model scores all of them; the spread of
its level is estimated from the months before each year, as training does.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.stats import t

from database.monitoring.outcome_bins import Bin
from gateway.services.monitoring.counting import ALARM_AT
from gateway.services.monitoring.level_alarm import Month, evidence
from gateway.services.monitoring.measuring import to_bins
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.simulated import _column
from ml_service.evaluation.level import level_offset
from ml_service.model.churn_model import ChurnModel
from shared.contracts.report import LevelSpread
from shared.schema.features import built_in_schema
from shared.simulation.records import SimulatedMonths
from shared.simulation.simulate import simulate

#: Months whose level tells its spread, months watched, and the month in which the shift begins.
PAST, WATCHED, BEGINS = 10, 12, 3
SCHEMA = built_in_schema()


def features(months: SimulatedMonths) -> pa.Table:
    """The columns that the model reads."""
    return typed_columns(SCHEMA, pa.table({name: _column(months, name) for name in SCHEMA.features}))


def trained() -> ChurnModel:
    """One model of a year of other customers."""
    year = simulate("documented", customers=6_000, months=12, seed=10_000).months
    keys = pa.array(year.customer, pa.int64())
    return ChurnModel(SCHEMA, version="1.0.0").fit(features(year), year.churned, row_keys=keys, trials=1)


def spread(months: list[tuple[np.ndarray, np.ndarray]]) -> LevelSpread:
    """The spread of the level, as `level_spread` estimates it."""
    offsets = [level_offset(float(left.sum()), p) for p, left in months]
    chance = np.mean([1 / (p * (1 - p)).sum() for p, _ in months])
    variance = max(0.0, float(np.var(offsets, ddof=1) - chance))
    return LevelSpread(sigma=float(np.sqrt(variance)), periods=PAST, quantile=float(t.ppf(0.975, PAST - 1)))


def shifted(q: np.ndarray, by: float) -> np.ndarray:
    """Probabilities whose log-odds are moved."""
    odds = q / (1 - q) * np.exp(by)
    return np.asarray(odds / (1 + odds))


def alarmed(watched: list[tuple[np.ndarray, np.ndarray]], level: LevelSpread) -> int | None:
    """The month, from 0, in which the alarm is raised."""
    months = [Month([Bin(*row) for row in to_bins(p, left, 0.5)], level) for p, left in watched]
    over = [at for at, value in enumerate(evidence(months)) if value >= ALARM_AT]
    return over[0] if over else None


def year(model: ChurnModel, customers: int, seed: int, by: float) -> tuple[float, int | None, int | None]:
    """The spread found, and the months in which an alarm is raised: without a change, and with a shift."""
    rng = np.random.default_rng(seed)
    last = int(rng.integers(1, 13))
    every = simulate(
        "documented", customers=customers, months=PAST + WATCHED, seed=seed, last_calendar_month=last
    ).months
    p, q, left = model.predict(features(every)).probability, every.p_true, every.churned == 1
    of = [np.flatnonzero(every.month == month) for month in range(PAST + WATCHED)]
    level = spread([(p[rows], left[rows]) for rows in of[:PAST]])
    # The months before tell the mean of the level too: a training learns it.
    offset = float(np.mean([level_offset(float(left[rows].sum()), p[rows]) for rows in of[:PAST]]))
    p = shifted(p, offset)
    watched = [(p[rows], left[rows]) for rows in of[PAST:]]
    changed = [
        (p[rows], left[rows] if at < BEGINS else rng.random(len(rows)) < shifted(q[rows], by))
        for at, rows in enumerate(of[PAST:])
    ]
    return level.sigma or 0.0, alarmed(watched, level), alarmed(changed, level)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of the model card."""
    parser = argparse.ArgumentParser(prog="python -m tests.evaluate alarm", description=__doc__)
    parser.add_argument("--customers", type=int, default=6_000)
    parser.add_argument("--years", type=int, default=200)
    parser.add_argument("--shift", type=float, default=0.3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    model = trained()
    found = []
    for seed in range(given.years):
        found.append(year(model, given.customers, seed, given.shift))
        if seed % 20 == 19:
            print(seed + 1, summary(found), flush=True)
    if given.json:
        given.json.write_text(json.dumps(summary(found)) + "\n", encoding="utf-8")
    return 0


def summary(found: list[tuple[float, int | None, int | None]]) -> dict[str, float]:
    """False alarms, and how long a shift takes; an alarm before the shift is none of it."""
    delays = [at - BEGINS + 1 for _, _, at in found if at is not None and at >= BEGINS]
    return {
        "years": len(found),
        "sigma": float(np.mean([sigma for sigma, _, _ in found])),
        "false alarms": sum(at is not None for _, at, _ in found),
        "shifts found": len(delays),
        "median delay": float(np.median(delays)) if delays else float("nan"),
        "90 % delay": float(np.quantile(delays, 0.9)) if delays else float("nan"),
    }


if __name__ == "__main__":
    raise SystemExit(main())
