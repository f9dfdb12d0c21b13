"""`python -m tests.evaluate drift`: reports of drift over a simulated year of a large base: false alarms, planted shifts.

Law: nothing changes but the season and the people, or one feature is moved; rows are sampled, compared and alerted on
as the product does.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gateway.services.monitoring.drift import DriftReport, FeatureReport, alerts
from gateway.services.monitoring.drift_figures import Column, Drift, compare
from gateway.services.monitoring.drifting import SAMPLE, _every
from shared.simulation.simulate import FEATURES, PLANS, simulate

#: Months of a year, each of which is compared with that a year before.
YEAR = 12
#: Customers that are simulated at once: memory does not grow with the base.
BLOCK = 50_000
Columns = dict[str, Column]


def year(customers: int, seed: int) -> Iterator[tuple[Columns, Columns]]:
    """Rows of each month of a year, and of the same month of the year before, sampled as the product samples them."""
    every = _every(customers, SAMPLE)
    parts: list[list[Columns]] = [[] for _ in range(2 * YEAR)]
    for at in range(0, customers, BLOCK):
        block = simulate("documented", customers=min(BLOCK, customers - at), months=2 * YEAR, seed=seed + at).months
        for month in range(2 * YEAR):
            rows = np.flatnonzero(block.month == month)[::every]
            parts[month].append({name: _column(block, name, rows) for name in FEATURES})
        print(f"{min(at + BLOCK, customers):,} customers", flush=True)
    joined = [_joined(month) for month in parts]
    yield from zip(joined[:YEAR], joined[YEAR:], strict=True)


def _column(months: object, name: str, rows: np.ndarray) -> Column:
    values = getattr(months, name)[rows]
    return [PLANS[code].name for code in values.tolist()] if name == "plan" else np.asarray(values, dtype=np.float64)


def _joined(parts: Sequence[Columns]) -> Columns:
    found: Columns = {}
    for name in FEATURES:
        columns = [part[name] for part in parts]
        texts = [value for column in columns if isinstance(column, list) for value in column]
        found[name] = texts or np.concatenate([column for column in columns if isinstance(column, np.ndarray)])
    return found


def shifted(column: Column, by: float, rng: np.random.Generator) -> Column:
    """A column whose numbers are moved by a share of their spread, or whose categories that share of rows changes."""
    if isinstance(column, list):
        return [
            column[0] if moved else value for value, moved in zip(column, rng.random(len(column)) < by, strict=True)
        ]
    return column + by * float(np.nanstd(column))


def told(found: Drift) -> list[str]:
    """The alerts on a comparison."""
    return list(
        alerts(
            DriftReport(
                run=1, as_of="", version="", reference="", same_season=True, n=found.n, trained_n=found.trained_n,
                auc=found.auc, score_psi=0.0, features=[FeatureReport(**vars(each)) for each in found.features],
            )
        )
    )  # fmt: skip


def judge(customers: int, seed: int, by: float) -> dict[str, object]:
    """Months with an alert in an unchanged year, the largest effects there, and in how many months a shift is named."""
    rng = np.random.default_rng(seed)
    alarms, largest, named = 0, [0.0, 0.0, 0.0], Counter[str]()
    for before, now in year(customers, seed):
        unchanged = compare(before, now)
        alarms += bool(told(unchanged))
        best = (unchanged.auc, *(max(getattr(each, what) for each in unchanged.features) for what in ("auc", "psi")))
        largest = [max(pair) for pair in zip(largest, best, strict=True)]
        for name in FEATURES:
            moved = told(compare(before, {**now, name: shifted(now[name], by, rng)}))
            named[name] += any(name in each for each in moved)
    return {
        "customers": customers, "months": YEAR, "false alarms": alarms,
        "largest AUC, AUC of one feature, PSI": [round(each, 3) for each in largest],
        "shift": by, "months in which it is named": {name: named[name] for name in FEATURES},
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of the model card; 1 where an unchanged month raises an alert."""
    parser = argparse.ArgumentParser(prog="python -m tests.evaluate drift", description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shift", type=float, default=0.5, help="in standard deviations; of categories, share of rows")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    found = judge(given.customers, given.seed, given.shift)
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if found["false alarms"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
