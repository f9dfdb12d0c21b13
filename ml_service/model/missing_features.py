"""Stand-ins: boosters that score rows without a feature that was complete in training.

Law: a complete row gets the same margin with stand-ins as without them, to the bit.

The booster sees too few hidden cells (a few hundred rows with a few dozen leavers) to score well without a feature
that it relies on. So for each such feature, another booster is grown from rows that all lack it.
`ml_service.model.trees.boosters` chooses the booster that scores each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xgboost as xgb

from ml_service.arrays import Floats, Indices
from ml_service.data import hiding
from ml_service.model.hyperparameter_search import SearchData, SearchResult
from ml_service.model.trees import boosting
from ml_service.model.trees.boosters import StandIns

#: Maximum number of training rows a stand-in is grown from.
MAX_ROWS = 40_000
#: Number of training rows that decide which features need a stand-in.
PROBE_ROWS = 10_000
#: Share of the rows that are added again, as copies in which other features are hidden too.
COPY_SHARE = 0.15
#: A feature needs a stand-in if blanking it raises the log loss by more than this share.
MIN_LOSS_INCREASE = 0.005


def grow(boosters: Sequence[xgb.Booster], result: SearchResult, rows: SearchData, *, threads: int) -> StandIns:
    """Grow the stand-ins of each booster, from the rows that the booster was trained on.

    Parameters
    ----------
    boosters : sequence of xgboost.Booster
        The final booster, then one per fold or none.
    result : SearchResult
        The configuration and the folds.
    rows : SearchData
        All training rows, without hidden cells.
    threads : int
        Threads of xgboost.

    Returns
    -------
    stand_ins : mapping of int to list of xgboost.Booster
        One for each of `boosters`, by the position of the feature they lack, the costliest first.
    """
    folds = range(len(boosters) - 1)
    learned = [np.arange(len(rows.label)), *(np.flatnonzero(result.folds != fold) for fold in folds)]
    rng = np.random.default_rng((result.params["seed"], 0xC0DE))
    missed = needed(boosters[0], rows, rng.permutation(len(rows.label))[:PROBE_ROWS], threads=threads)
    drawn = [np.sort(rng.permutation(at)[:MAX_ROWS]) for at in learned]
    return {feature: [_without(feature, rows, at, result, threads) for at in drawn] for feature in missed}


def needed(booster: xgb.Booster, rows: SearchData, probe: Indices, *, threads: int) -> list[int]:
    """Positions of the complete features whose absence costs the booster log loss, the costliest first.

    Parameters
    ----------
    booster : xgboost.Booster
    rows : SearchData
        All training rows, without hidden cells.
    probe : ndarray of intp
        Positions of the rows to measure on.
    threads : int
        Threads of xgboost.

    Returns
    -------
    positions : list of int
        Positions in the schema.
    """
    values, label = rows.values[probe], rows.label[probe]

    def loss(of: Floats) -> float:
        margin = boosting.margins(rows.schema, booster, of, threads)
        return float(np.mean(np.logaddexp(0, margin) - label * margin))

    whole = loss(values)
    complete = [rows.schema.feature_names.index(n) for n in hiding.complete_features(rows.schema, rows.values)]
    costs = {feature: loss(hiding.blank(values, feature)) / whole - 1 for feature in complete}
    return sorted((f for f, cost in costs.items() if cost > MIN_LOSS_INCREASE), key=lambda f: -costs[f])


def _without(feature: int, rows: SearchData, at: Indices, result: SearchResult, threads: int) -> xgb.Booster:
    params: dict[str, Any] = result.params
    rng = np.random.default_rng((params["seed"], feature, 0xC0DE))
    copied = rng.permutation(at)[: int(COPY_SHARE * len(at))]
    # Each copy has its own probability of hiding a cell.
    known = rng.random((len(copied), rows.values.shape[1])) >= rng.random((len(copied), 1))
    learned = np.concatenate([rows.values[at], np.where(known, rows.values[copied], np.nan)])
    label = np.concatenate([rows.label[at], rows.label[copied]])
    count = result.cross_validation.rounds
    # No bag: five times the trees would lower the log loss by less than 1 %.
    return boosting.fit(
        rows.schema, params, hiding.blank(learned, feature), label, rounds=count, bag=1, threads=threads
    )
