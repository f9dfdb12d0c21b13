"""Scoring as one would write it first: xgboost's own probabilities and contributions, rows made of them, executemany.

Law: nothing is handed over that it has not made itself; what it stores is compared with what the product stores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from benchmarks import world
from ml_service.model.reasons import to_points


def score_and_store(data: world.Data, matrix: xgb.DMatrix, prices: list[float | None], path: Path) -> world.Stored:
    """Score, explain and store customers 1, 2, .. in run 1; the rows by table."""
    model = data.model
    margin = data.booster.predict(matrix, output_margin=True).astype(np.float64)
    shap = data.booster.predict(matrix, pred_contribs=True).astype(np.float64)
    probability = model.calibration(margin)
    confidence = np.where(probability >= model.threshold, probability, 1 - probability)
    base = float(shap[0, -1])
    told = to_points(model.calibration, shap[:, :-1], base, probability, model.base_probability, 3)
    count = len(prices)
    # Neither seen in training nor of older facts.
    ids, runs, seen, p = range(1, count + 1), [1] * count, [0] * count, probability.tolist()
    reasons = [part.tolist() for k in range(3) for part in (told.order[:, k], told.points[:, k])]
    stored: world.Stored = {
        "ledger": list(zip(runs, ids, p, confidence.tolist(), seen, *reasons, prices, seen, strict=True)),
        "present_ranks": sorted(zip(runs, p, ids, strict=True), key=_by_rank),
    }
    world.store_bare(path, stored)
    return stored


def _by_rank(row: tuple[Any, ...]) -> tuple[float, int]:
    return -row[1], row[2]


def equal(ours: world.Stored, theirs: world.Stored) -> bool:
    """Return whether both stored the same: numbers within 1e-5, the same three reasons for 99.99 % of the customers."""
    same_reasons = 0
    for mine, other in zip(ours["ledger"], theirs["ledger"], strict=True):
        if (mine[0], mine[1]) != (other[0], other[1]) or abs(mine[2] - other[2]) > 1e-5:
            return False
        if mine[5:11:2] == other[5:11:2]:
            same_reasons += 1
            if max(abs(a - b) for a, b in zip(mine[6:11:2], other[6:11:2], strict=True)) > 1e-5:
                return False
    sizes = [{table: len(rows) for table, rows in stored.items()} for stored in (ours, theirs)]
    return sizes[0] == sizes[1] and same_reasons >= 0.9999 * len(ours["ledger"])
