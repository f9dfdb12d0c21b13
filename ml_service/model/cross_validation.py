"""Cross-validation of all rows: the rows of a search, its result, and the same for a configuration already chosen.

Law: rows of one customer are never in different folds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_service.arrays import Floats, Folds, Ints, Labels
from ml_service.data.splitting import fold_rows
from ml_service.model.trees import boosting
from ml_service.model.trees.boosting import CrossValidation, FoldedRows
from shared.schema.features import Schema

#: Called with the share of the work that is done, in [0, 1], and the name of the stage.
Progress = Callable[[float, str], None]
#: Larger tables are searched on a sample, which is large enough to resolve the differences above.
SAMPLE_ROWS, SAMPLE_FOLDS = 40_000, 3
#: xgboost orders the values of a category by their rates before it splits them, so categories with many values overfit;
#: a minimum leaf weight of 2 % of the total (the sum of p (1 - p)) prevents that.
WIDE_CATEGORY, LEAF_WEIGHT_SHARE = 10, 0.02


@dataclass(frozen=True)
class SearchResult:
    """The chosen configuration.

    Attributes
    ----------
    params : dict
    bag : int
        Number of boosters whose margins are averaged.
    cross_validation : CrossValidation
        Cross-validation of the chosen configuration, and of its bag if `bag` is above 1, on all rows.
    folds : ndarray of int8, shape (n_rows,)
        The fold that held out each row in that cross-validation.
    summary : dict
        How the configuration was found, for the report.
    """

    params: dict[str, Any]
    bag: int
    cross_validation: CrossValidation
    folds: Folds
    summary: dict[str, Any]


@dataclass(frozen=True)
class SearchData:
    """The training rows of a search.

    Attributes
    ----------
    values : ndarray of float64, shape (n_rows, n_features)
    label : ndarray of int8, shape (n_rows,)
    groups : ndarray of int64, shape (n_rows,)
        Rows of one group are never in different folds.
    """

    schema: Schema
    values: Floats
    label: Labels
    groups: Ints

    def sampled(self, seed: int) -> SearchData:
        """All rows, or 40,000 rows of a larger table, drawn group by group."""
        if len(self.label) <= SAMPLE_ROWS:
            return self
        _, inverse = np.unique(self.groups, return_inverse=True)
        order = np.random.default_rng(seed).permutation(int(inverse.max()) + 1)
        rows = np.argsort(order[inverse], kind="stable")[:SAMPLE_ROWS]
        rows.sort()
        return SearchData(self.schema, self.values[rows], self.label[rows], self.groups[rows])

    def folded(self, folds: Folds, seed: int | None, threads: int) -> FoldedRows:
        """The rows as training and held-out data of each fold; a seed hides cells of the training rows."""
        return FoldedRows(self.schema, self.values, self.label, folds, threads=threads, seed=seed)

    def min_child_weight(self) -> float | None:
        """The `min_child_weight` for categories with many values; None if there are none."""
        names = list(self.schema.feature_names)
        columns = [self.values[:, names.index(name)] for name in self.schema.categories]
        if not any(np.nanmax(codes, initial=-1.0) >= WIDE_CATEGORY for codes in columns):
            return None
        rate = float(self.label.mean())
        return max(1.0, LEAF_WEIGHT_SHARE * len(self.label) * rate * (1 - rate))


def cross_validate(
    rows: SearchData, params: dict[str, Any], *, bag: int, threads: int, progress: Progress
) -> SearchResult:
    """Cross-validate a configuration that was chosen on other rows.

    Parameters
    ----------
    rows : SearchData
    params : dict
        Parameters of xgboost.
    bag : int
        Number of boosters whose margins are averaged.
    threads : int
        Threads of xgboost.
    progress : callable
        Called with the share of the work that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    result : SearchResult
        With the number of trees that suits these rows.

    Raises
    ------
    InsufficientData
        If the rows can't be split into folds with leavers and stayers in each.
    """
    seed = params["seed"]
    folds = fold_rows(rows.label, rows.groups, seed)
    all_folds = rows.folded(folds, seed, boosting.worthwhile_threads(len(rows.label), threads))
    stage = "cross-validating all rows"
    final = all_folds.grow(params, on_round=lambda n: progress(0.6 * n / (n + 200), f"{stage}, round {n}"))
    if bag > 1:
        final, _ = all_folds.bagged(params, final.rounds, bag)
    return SearchResult(params, bag, final, folds, {})
