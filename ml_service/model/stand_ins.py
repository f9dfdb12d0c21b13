"""Boosters that answer where a feature is missing that training had complete.

Law: a row that lacks nothing never meets one, so it gets the same margin with them and without them, to the bit; a
row that lacks a feature is answered as by a model trained without it, the schema's directions included.

Hidden cells alone are too few to learn what the other features are worth without one: they are a few hundred rows,
with a few dozen leavers. So for each feature that the booster can't do without, one more is grown like it from rows
that all lack the feature. `ml_service.model.boosters` sends each row to the one it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from ml_service.data import hiding
from ml_service.model import boosting
from ml_service.model.boosters import StandIns
from ml_service.model.hyperparameter_search import Found, Rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

#: Training rows that a stand-in is grown from, at most.
ROWS = 40_000
#: Training rows that tell which features need one.
ASKED = 10_000
#: Share of these that it learns from once more with other features hidden too, each at odds of the row's own.
SEVERAL = 0.05
#: A feature needs one where blanking it raises the log loss by more than this share of it; below, nothing is lost.
WORTH = 0.005


def grow(boosters: Sequence[xgb.Booster], found: Found, rows: Rows, *, threads: int) -> StandIns:
    """For each feature the final booster can't do without, a booster for each given one, grown from the same rows.

    Parameters
    ----------
    boosters
        The final one, then one per fold, or none of these.
    rows
        All training rows, nothing hidden.
    """
    folds = range(len(boosters) - 1)
    learned = [np.arange(len(rows.label)), *(np.flatnonzero(found.folds != fold) for fold in folds)]
    rng = np.random.default_rng((found.params["seed"], 0xC0DE))
    missed = needed(boosters[0], rows, rng.permutation(len(rows.label))[:ASKED], threads=threads)
    drawn = [np.sort(rng.permutation(at)[:ROWS]) for at in learned]
    return {feature: [_without(feature, rows, at, found, threads) for at in drawn] for feature in missed}


def needed(booster: xgb.Booster, rows: Rows, asked: Ints, *, threads: int) -> list[int]:
    """Positions of the complete features whose absence costs the booster log loss, the dearest first.

    Parameters
    ----------
    asked
        The rows that tell.
    """
    values, label = rows.values[asked], rows.label[asked]

    def loss(of: Floats) -> float:
        margin = boosting.margins(rows.schema, booster, of, threads)
        return float(np.mean(np.logaddexp(0, margin) - label * margin))

    whole = loss(values)
    complete = [rows.schema.feature_names.index(n) for n in hiding.complete_features(rows.schema, rows.values)]
    costs = {feature: loss(hiding.blank(values, feature)) / whole - 1 for feature in complete}
    return sorted((f for f, cost in costs.items() if cost > WORTH), key=lambda f: -costs[f])


def _without(feature: int, rows: Rows, at: Ints, found: Found, threads: int) -> xgb.Booster:
    params: dict[str, Any] = found.params
    rng = np.random.default_rng((params["seed"], feature, 0xC0DE))
    copied = rng.permutation(at)[: int(SEVERAL * len(at))]
    known = rng.random((len(copied), rows.values.shape[1])) >= rng.random((len(copied), 1))
    learned = np.concatenate([rows.values[at], np.where(known, rows.values[copied], np.nan)])
    label = np.concatenate([rows.label[at], rows.label[copied]])
    count = found.cross_validation.rounds
    # No bag: it would be five times the trees for less than a hundredth of the log loss.
    return boosting.fit(
        rows.schema, params, hiding.blank(learned, feature), label, rounds=count, bag=1, threads=threads
    )
