"""`python -m tests.evaluate coverage`: do the intervals of live figures hold the true figure, and how wide are they?

Law: the truth is known, because every month is drawn here: the figure that the true probabilities give, at the scores
of a model that was trained on earlier months. The oracle's width is that of the figure over outcomes drawn anew.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from database.monitoring.outcome_bins import Bin
from gateway.services.monitoring.figures import Figures, figures
from gateway.services.monitoring.measuring import to_bins
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.simulated import _column
from ml_service.model.churn_model import ChurnModel
from shared.expected_leavers import Z95
from shared.schema.features import built_in_schema
from shared.simulation.simulate import simulate

#: Months that the model learns from, that pass until their outcomes are known, and that are judged.
LEARNED, WAITED, JUDGED = 10, 2, 18
NAMES = ("prevalence", "observed_expected", "auc", "log_loss", "brier", "slope", "lift_at_10_percent", "precision",
         "recall")  # fmt: skip


def months(customers: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, float]]:
    """Scores, true probabilities and outcomes of each judged month, and the model's threshold."""
    every = simulate("documented", customers=customers, months=LEARNED + WAITED + JUDGED, seed=seed).months
    schema = built_in_schema()
    columns = typed_columns(schema, pa.table({name: _column(every, name) for name in schema.features}))
    learned = np.flatnonzero(every.month < LEARNED)
    model = ChurnModel(schema, version="1.0.0").fit(
        columns.take(pa.array(learned)),
        every.churned[learned],
        row_keys=pa.array(every.customer[learned], pa.int64()),
        trials=1,
    )
    for month in range(LEARNED + WAITED, LEARNED + WAITED + JUDGED):
        rows = np.flatnonzero(every.month == month)
        p = model.predict(columns.take(pa.array(rows))).probability
        yield p, every.p_true[rows], every.churned[rows] == 1, model.threshold


def counted(p: np.ndarray, left: np.ndarray, threshold: float) -> Figures:
    """The figures of predictions and whether each left, or how probably each did."""
    return figures(Bin(*row) for row in soft_bins(p, left.astype(np.float64), threshold))  # type: ignore[arg-type]  # fractions


def soft_bins(p: np.ndarray, left: np.ndarray, threshold: float) -> list[tuple[int, int, int, float, float]]:
    """The product's bins, with leavers that may be fractions."""
    rows = to_bins(p, np.zeros(len(p), dtype=bool), threshold)
    x = np.floor(np.log(p / (1 - p)) / 0.02).astype(np.int64)
    sums: dict[tuple[int, int], float] = defaultdict(float)
    for key, value in zip(
        zip(x.tolist(), (p >= threshold).astype(int).tolist(), strict=True), left.tolist(), strict=True
    ):
        sums[key] += value
    return [(at, listed, n, sums[at, listed], total) for at, listed, n, _, total in rows]


def judge(customers: int, seeds: range, draws: int) -> dict[str, dict[str, float]]:
    """Coverage, mean width and the oracle's mean width of each figure, over all months and seeds."""
    held, widths, oracle = defaultdict(list), defaultdict(list), defaultdict(list)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for p, q, left, threshold in months(customers, seed):
            found, true = counted(p, left, threshold), counted(p, q, threshold)
            again = [counted(p, rng.random(len(q)) < q, threshold) for _ in range(draws)]
            for name in NAMES:
                interval, value = getattr(found, name).interval, getattr(true, name).value
                if interval is None:
                    continue
                held[name].append(interval[0] <= value <= interval[1])
                widths[name].append(interval[1] - interval[0])
                values = [getattr(each, name).value for each in again]
                oracle[name].append(2 * Z95 * float(np.std(values, ddof=1)))
        print(seed, {name: f"{np.mean(held[name]):.3f}" for name in NAMES}, flush=True)
    return {
        name: {
            "months": len(held[name]),
            "coverage": float(np.mean(held[name])),
            "width / oracle": float(np.mean(widths[name]) / np.mean(oracle[name])),
        }
        for name in NAMES
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of the model card."""
    parser = argparse.ArgumentParser(prog="python -m tests.evaluate coverage", description=__doc__)
    parser.add_argument("--customers", type=int, default=6_000)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    found = judge(given.customers, range(given.seeds), given.draws)
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
