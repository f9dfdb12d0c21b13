"""Corrections: trees that act only on rows where a feature is missing that was complete in training.

The cells that are hidden in training are too few to learn how to score without a feature: some hundred rows, with a few
dozen leavers. So one feature at a time is blanked in a large sample of the training rows, and shallow trees are fitted
to the errors of the booster there. Each is placed behind a split that only rows without the feature pass.

Law: a row with no missing values gets the same margin to the bit with and without corrections; the directions that the
schema states hold with corrections too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import xgboost as xgb

from ml_service.arrays import Floats, Labels
from ml_service.data import hiding
from ml_service.model import boosting
from ml_service.model.hyperparameter_search import SearchData, SearchResult
from shared.schema.features import Schema
from shared.tables.cells import LARGEST

Tree = dict[str, Any]

#: Maximum number of training rows that corrections are fitted on.
MAX_ROWS = 80_000
#: Number of these rows that decide which features need a correction.
PROBE_ROWS = 10_000
#: A feature is corrected if blanking it raises the log loss by more than this share.
MIN_LOSS_INCREASE = 0.005
ROUNDS, LEARNING_RATE = 60, 0.3
#: Minimum gain of a split, over ln(rows): half the BIC penalty of a parameter, as there are no rows for early stopping.
GAMMA_PER_LOG_ROWS = 0.5
#: Maximum depth behind the split on the missing feature.
MAX_DEPTH = 3
#: Share of rows in which other features are blanked too.
SHARE_WITH_OTHERS_MISSING = 0.2


@dataclass(frozen=True)
class _Correction:
    """The trees for rows that lack one feature."""

    feature: int
    booster: xgb.Booster

    def add(self, margin: Floats, values: Floats, matrices: _MatrixBuilder) -> None:
        """Add the correction to the margins of the rows that lack the feature, in place."""
        rows = np.flatnonzero(np.isnan(values[:, self.feature]))
        if len(rows):
            margin[rows] += matrices.margin(self.booster, values[rows])


@dataclass(frozen=True)
class _MatrixBuilder:
    """Makes xgboost's matrices of rows."""

    types: list[str]
    threads: int

    def margin(self, booster: xgb.Booster, values: Floats) -> Floats:
        data = xgb.DMatrix(values, feature_types=self.types, enable_categorical=True, nthread=self.threads)
        return np.asarray(booster.predict(data, output_margin=True), dtype=np.float64)

    def binned(self, values: Floats, label: Labels, margin: Floats, max_bin: int) -> xgb.QuantileDMatrix:
        return xgb.QuantileDMatrix(
            values,
            label,
            base_margin=margin,
            feature_types=self.types,
            enable_categorical=True,
            nthread=self.threads,
            max_bin=max_bin,
        )


def correct_all(
    boosters: Sequence[xgb.Booster], result: SearchResult, rows: SearchData, *, threads: int
) -> list[xgb.Booster]:
    """Correct the final booster and those of the folds, each on the rows it was fitted on.

    Parameters
    ----------
    boosters : sequence of xgboost.Booster
        The final one, followed by one per fold if the folds are kept.
    """
    training_rows = [np.arange(len(rows.label)), *(np.flatnonzero(result.folds != k) for k in range(len(boosters) - 1))]
    return [
        correct(rows.schema, booster, result.params, rows.values[at], rows.label[at], threads=threads)
        for booster, at in zip(boosters, training_rows, strict=True)
    ]


def correct(
    schema: Schema, booster: xgb.Booster, params: dict[str, Any], values: Floats, label: Labels, *, threads: int
) -> xgb.Booster:
    """Add corrections for the features that are complete in training and that the booster depends on.

    Parameters
    ----------
    params : dict
        Parameters of the booster; their seed draws the rows.
    values : ndarray of float64, shape (n_rows, n_features)
        Matrix of the training rows, with nothing hidden.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    """
    rng = np.random.default_rng((params["seed"], 0xC0DE))
    rows = np.sort(rng.choice(len(label), min(MAX_ROWS, len(label)), replace=False))
    values, label = values[rows], label[rows]
    matrices = _MatrixBuilder(boosting.feature_types(schema), threads)
    corrections: list[_Correction] = []
    probe = rng.permutation(len(label))[:PROBE_ROWS]
    for feature in _features_to_correct(schema, booster, values[probe], label[probe], matrices):
        blanked = _blank(values, feature, rng)
        margin = matrices.margin(booster, blanked)
        for correction in corrections:
            correction.add(margin, blanked, matrices)
        data = matrices.binned(blanked, label, margin, params["max_bin"])
        grown = xgb.train(_settings(params, len(label), threads), data, ROUNDS, callbacks=[_StopWithoutSplit()])
        corrections.append(_Correction(feature, grown))
    return _append(booster, corrections, matrices.types)


class _StopWithoutSplit(xgb.callback.TrainingCallback):
    """Stop at the first tree without a split: the following trees would not find one either."""

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: object) -> bool:  # noqa: ARG002
        """True at a tree that is a single leaf."""
        return len(_trees(model[epoch : epoch + 1])[0]["left_children"]) == 1


def _trees(booster: xgb.Booster) -> list[Tree]:
    model = orjson.loads(bytes(booster.save_raw("json")))
    return list(model["learner"]["gradient_booster"]["model"]["trees"])


def _features_to_correct(
    schema: Schema, booster: xgb.Booster, values: Floats, label: Labels, matrices: _MatrixBuilder
) -> list[int]:
    """The complete features whose absence raises the log loss, in descending order of the increase."""
    complete_loss = _loss(matrices.margin(booster, values), label)
    costs = {}
    for name in hiding.complete_features(schema, values):
        feature = schema.feature_names.index(name)
        without = values.copy()
        without[:, feature] = np.nan
        costs[feature] = _loss(matrices.margin(booster, without), label) / complete_loss - 1
    return sorted((f for f, cost in costs.items() if cost > MIN_LOSS_INCREASE), key=lambda f: -costs[f])


def _loss(margin: Floats, label: Labels) -> float:
    return float(np.mean(np.logaddexp(0, margin) - label * margin))


def _blank(values: Floats, feature: int, rng: np.random.Generator) -> Floats:
    """A copy without the feature; some rows lack other features too."""
    odds = np.where(rng.random(len(values)) < SHARE_WITH_OTHERS_MISSING, rng.random(len(values)), 0)
    hidden = rng.random(values.shape) < odds[:, None]
    hidden[:, feature] = True
    return np.where(hidden, np.nan, values)


def _settings(params: dict[str, Any], rows: int, threads: int) -> dict[str, Any]:
    return {
        **params,
        "max_depth": int(np.clip(params["max_depth"] - 1, 1, MAX_DEPTH)),
        "learning_rate": LEARNING_RATE,
        "gamma": GAMMA_PER_LOG_ROWS * float(np.log(rows)),
        "subsample": 1.0,
        "base_score": 0.5,
        "nthread": threads,
        "verbosity": 0,
    }


def _append(booster: xgb.Booster, corrections: Sequence[_Correction], types: list[str]) -> xgb.Booster:
    """Append the trees of the corrections to the booster, each behind a split on its missing feature."""
    document = orjson.loads(bytes(booster.save_raw("json")))
    model = document["learner"]["gradient_booster"]["model"]
    total_weight = model["trees"][0]["sum_hessian"][0]
    for correction in corrections:
        is_category = types[correction.feature] == "c"
        model["trees"] += [
            _behind_missing_split(tree, correction.feature, is_category, total_weight)
            for tree in _trees(correction.booster)
        ]
    for number, tree in enumerate(model["trees"]):
        tree["id"] = number
    count = len(model["trees"])
    model["tree_info"], model["iteration_indptr"] = [0] * count, list(range(count + 1))
    model["gbtree_model_param"]["num_trees"] = str(count)
    corrected = xgb.Booster()
    corrected.load_model(bytearray(orjson.dumps(document)))
    return corrected


def _behind_missing_split(tree: Tree, feature: int, is_category: bool, total_weight: float) -> Tree:
    """Place a tree behind a split on a missing feature: node 0 splits, node 1 is the leaf of rows that have it.

    The training weight of the tree is that of the cells hidden in training, so SHAP values assume that the feature is
    missing as often.
    """
    weight = hiding.SHARE * total_weight / tree["sum_hessian"][0]
    shift = [child + 2 if child >= 0 else -1 for child in tree["left_children"]]
    right = [child + 2 if child >= 0 else -1 for child in tree["right_children"]]
    # xgboost marks the root by a special parent.
    parents = [0 if parent == _ROOT else parent + 2 for parent in tree["parents"]]
    codes = {"categories": tree["categories"], "categories_nodes": [n + 2 for n in tree["categories_nodes"]]}
    segments, sizes = tree["categories_segments"], tree["categories_sizes"]
    if is_category:
        # Rows with the listed codes go right; no row has this one.
        codes = {"categories": [NO_CODE, *codes["categories"]], "categories_nodes": [0, *codes["categories_nodes"]]}
        segments, sizes = [0, *(start + 1 for start in segments)], [1, *sizes]
    return {
        **tree,
        **codes,
        "categories_segments": segments,
        "categories_sizes": sizes,
        "left_children": [1, -1, *shift],
        "right_children": [2, -1, *right],
        "parents": [_ROOT, 0, *parents],
        "split_indices": [feature, 0, *tree["split_indices"]],
        # Every number goes left, missing values go right.
        "split_conditions": [0.0 if is_category else LARGEST, 0.0, *tree["split_conditions"]],
        "split_type": [int(is_category), 0, *tree["split_type"]],
        "default_left": [0, 0, *tree["default_left"]],
        "base_weights": [0.0, 0.0, *tree["base_weights"]],
        "loss_changes": [0.0, 0.0, *tree["loss_changes"]],
        "sum_hessian": [
            total_weight,
            (1 - hiding.SHARE) * total_weight,
            *(weight * hessian for hessian in tree["sum_hessian"]),
        ],
        "tree_param": {**tree["tree_param"], "num_nodes": str(len(tree["left_children"]) + 2)},
    }


_ROOT = 2**31 - 1
#: A code that no category has (`churn_model.MAX_CATEGORIES`).
NO_CODE = 200
