"""Stand-ins: boosters that score rows without a feature that was complete in training.

Law: a complete row gets the same margin with stand-ins as without them, to the bit.

Hidden cells are too few to learn what the other features are worth without one: a few hundred rows with a few dozen
leavers. So for each feature that the booster can't do without, another booster is grown from rows that all lack it.
`ml_service.model.boosters` sends each row to the booster that scores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xgboost as xgb

from ml_service.arrays import Floats, Indices
from ml_service.data import hiding
from ml_service.model import boosting
from ml_service.model.boosters import StandIns
from ml_service.model.hyperparameter_search import SearchData, SearchResult

#: Maximum number of training rows a stand-in is grown from.
MAX_ROWS = 40_000
#: Number of training rows that decide which features need a stand-in.
PROBE_ROWS = 10_000
#: A feature needs a stand-in if blanking it raises the log loss by more than this share.
MIN_LOSS_INCREASE = 0.005


def grow(boosters: Sequence[xgb.Booster], result: SearchResult, rows: SearchData, *, threads: int) -> StandIns:
    """For each feature the final booster can't do without, a booster for each given one, grown from the same rows.

    Parameters
    ----------
    boosters
        The final one, then one per fold, or none of these.
    rows
        All training rows, nothing hidden.
    """
    folds = range(len(boosters) - 1)
    learned = [np.arange(len(rows.label)), *(np.flatnonzero(result.folds != fold) for fold in folds)]
    rng = np.random.default_rng((result.params["seed"], 0xC0DE))
    missed = needed(boosters[0], rows, rng.permutation(len(rows.label))[:PROBE_ROWS], threads=threads)
    drawn = [np.sort(rng.permutation(at)[:MAX_ROWS]) for at in learned]
    return {feature: [_without(feature, rows, at, result, threads) for at in drawn] for feature in missed}


def needed(booster: xgb.Booster, rows: SearchData, asked: Indices, *, threads: int) -> list[int]:
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
    return sorted((f for f, cost in costs.items() if cost > MIN_LOSS_INCREASE), key=lambda f: -costs[f])


def _without(feature: int, rows: SearchData, at: Indices, result: SearchResult, threads: int) -> xgb.Booster:
    params: dict[str, Any] = result.params
    lacking = hiding.blank(rows.values[at], feature)
    count = result.cross_validation.rounds
    # No bag: it would be five times the trees for less than a hundredth of the log loss.
    return boosting.fit(rows.schema, params, lacking, rows.label[at], rounds=count, bag=1, threads=threads)
