"""Gradient boosting: cross-validation with all folds grown together, the final fit, and bags of boosters.

Law: the same data and seed give the same trees, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import xgboost as xgb

from ml_service import metrics
from ml_service.arrays import Floats, Folds, Labels
from ml_service.data import hiding
from shared.schema.features import Schema

#: Called with the number of rounds done so far.
OnRound = Callable[[int], None]

#: Large tables are fitted with a larger learning rate: half the trees, the same log loss (docs/model-card.md).
SMALL_TABLE, LARGE_TABLE = 20_000, 100_000
#: Maximum number of rounds, and rounds without gain before growing stops; both are divided by the learning rate.
MAX_ROUNDS, PATIENCE = 75.0, 3.0
#: Every 100 rounds, a configuration is given up if it is behind the best one by over 10 times its gain since the last
#: check.
CHECK_EVERY, GIVE_UP_FACTOR = 100, 10.0
MIN_GAIN = 1e-6
MAX_BIN = 256


def parameters(schema: Schema, *, rows: int, leavers: int, seed: int) -> dict[str, Any]:
    """Return the base configuration for a table: shallow, and monotone where the schema states a direction.

    Parameters
    ----------
    schema : Schema
    rows, leavers : int
        Size of the table.
    seed : int

    Returns
    -------
    params : dict
        Parameters of xgboost.
    """
    sign = {"up": 1, "down": -1, "none": 0}
    return {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": 3,
        "learning_rate": 0.05 if rows < SMALL_TABLE else 0.07 if rows < LARGE_TABLE else 0.16,
        # The weight of a leaf is a sum of p (1 - p): where there are many leavers, leaves can afford a higher minimum.
        "min_child_weight": float(np.clip(min(leavers, rows - leavers) / 500, 1, 10)),
        "subsample": 0.8 if rows < LARGE_TABLE else 1.0,
        # Sampling the features at each split regularises small tables, but costs accuracy on large ones.
        "colsample_bynode": 0.8 if rows < SMALL_TABLE else 1.0,
        "reg_lambda": 1.0,
        "max_bin": MAX_BIN,
        "monotone_constraints": "(" + ",".join(str(sign[f.direction]) for f in schema.features.values()) + ")",
        "seed": seed,
    }


def worthwhile_threads(rows: int, threads: int) -> int:
    """The number of threads to use: one for a small table, where threads would mostly wait for each other."""
    return 1 if rows < SMALL_TABLE else threads


def feature_types(schema: Schema) -> list[str]:
    """The feature types of xgboost: q for numbers, c for categories."""
    return ["c" if feature.kind == "category" else "q" for feature in schema.features.values()]


def _binned(schema: Schema, values: Floats, label: Labels, threads: int) -> xgb.QuantileDMatrix:
    types = feature_types(schema)
    return xgb.QuantileDMatrix(
        values, label, feature_types=types, enable_categorical=True, nthread=threads, max_bin=MAX_BIN
    )


def margins(schema: Schema, booster: xgb.Booster, values: Floats, threads: int) -> Floats:
    """Compute the log-odds of rows of the model's matrix, ndarray of float64, shape (n_rows,)."""
    data = xgb.DMatrix(values, feature_types=feature_types(schema), enable_categorical=True, nthread=threads)
    return np.asarray(booster.predict(data, output_margin=True), dtype=np.float64)


def fit(
    schema: Schema, params: dict[str, Any], values: Floats, label: Labels, *, rounds: int, bag: int, threads: int
) -> xgb.Booster:
    """Fit a bag of boosters with `rounds` trees each, and average them into one booster.

    Some cells are hidden (`ml_service.data.hiding`), the same ones for every booster.

    Parameters
    ----------
    schema : Schema
    params : dict
        Parameters of xgboost.
    values : ndarray of float64, shape (n_rows, n_features)
        The model's matrix.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    rounds : int
        Number of trees per booster.
    bag : int
        Number of boosters.
    threads : int
        Threads of xgboost.

    Returns
    -------
    booster : xgboost.Booster
    """
    learned = _binned(schema, hiding.hide(values, params["seed"]), label, threads)
    return averaged(_members(_settings(params, threads), learned, rounds, bag))


def _settings(params: dict[str, Any], threads: int) -> dict[str, Any]:
    return {**params, "nthread": threads, "eval_metric": "logloss", "verbosity": 0}


def _members(settings: dict[str, Any], data: xgb.DMatrix, rounds: int, bag: int) -> list[xgb.Booster]:
    seeds = [settings["seed"] + 1_000_003 * number for number in range(bag)]
    return [xgb.train({**settings, "seed": seed}, data, num_boost_round=rounds) for seed in seeds]


def averaged(boosters: Sequence[xgb.Booster]) -> xgb.Booster:
    """Merge boosters into one whose margin is the mean of their margins, so that SHAP values stay additive.

    It holds the trees of all boosters, with the value of each leaf divided by the number of boosters.

    Parameters
    ----------
    boosters : sequence of xgboost.Booster
        With the same base score, as boosters of the same rows have.

    Returns
    -------
    booster : xgboost.Booster
    """
    if len(boosters) == 1:
        return boosters[0]
    parts = [orjson.loads(bytes(booster.save_raw("json"))) for booster in boosters]
    model = parts[0]["learner"]["gradient_booster"]["model"]
    trees = [tree for part in parts for tree in part["learner"]["gradient_booster"]["model"]["trees"]]
    for number, tree in enumerate(trees):
        tree["id"] = number
        leaf = [left == -1 for left in tree["left_children"]]
        for name in ("split_conditions", "base_weights"):
            tree[name] = [v / len(boosters) if is_leaf else v for v, is_leaf in zip(tree[name], leaf, strict=True)]
    model["trees"], model["tree_info"] = trees, [0] * len(trees)
    model["iteration_indptr"] = list(range(len(trees) + 1))
    model["gbtree_model_param"]["num_trees"] = str(len(trees))
    bagged = xgb.Booster()
    bagged.load_model(bytearray(orjson.dumps(parts[0])))
    return bagged


@dataclass(frozen=True)
class CrossValidation:
    """Cross-validation of one configuration.

    Attributes
    ----------
    rounds : int
        Number of trees with the lowest mean log loss over the folds.
    log_loss, auc : float
        Means over the folds with this many trees, before calibration.
    boosters : list of xgboost.Booster
        One per fold, trained on the other folds.
    margins : ndarray of float64, shape (n_rows,)
        Out-of-fold log-odds.
    """

    rounds: int
    log_loss: float
    auc: float
    boosters: list[xgb.Booster]
    margins: Floats


class FoldedRows:
    """Training and held-out data of each fold, binned once for any number of configurations.

    Some cells of the training rows are hidden (`ml_service.data.hiding`), none of the held-out rows.

    Parameters
    ----------
    schema : Schema
    values : ndarray of float64, shape (n_rows, n_features)
        The model's matrix.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    folds : ndarray of int8, shape (n_rows,)
        The fold that holds out each row.
    threads : int
        Threads of xgboost.
    seed : int or None, default=0
        Seed of the hidden cells; no cells are hidden if None.
    """

    def __init__(
        self, schema: Schema, values: Floats, label: Labels, folds: Folds, *, threads: int, seed: int | None = 0
    ) -> None:
        self._label, self._threads = label, threads
        self._held_out_rows = [np.flatnonzero(folds == number) for number in range(int(folds.max()) + 1)]
        types = feature_types(schema)
        learned = values if seed is None else hiding.hide(values, seed)
        self._training = [_binned(schema, learned[folds != k], label[folds != k], threads) for k in self._folds]
        self._held_out = [
            xgb.DMatrix(values[at], label[at], feature_types=types, enable_categorical=True, nthread=threads)
            for at in self._held_out_rows
        ]

    @property
    def _folds(self) -> range:
        return range(len(self._held_out_rows))

    def grow(self, params: dict[str, Any], *, on_round: OnRound, to_beat: float = np.inf) -> CrossValidation:
        """Grow the boosters of all folds together until their mean log loss stops falling.

        The number of trees is chosen for all folds together, so no fold chooses it by its own held-out rows.

        Parameters
        ----------
        params : dict
            Parameters of xgboost.
        on_round : callable
            Called with the number of rounds done so far.
        to_beat : float, optional
            Log loss of the best configuration so far; a configuration far behind it is given up early.

        Returns
        -------
        cross_validation : CrossValidation
        """
        settings = _settings(params, self._threads)
        boosters = [xgb.Booster(settings, [self._training[k], self._held_out[k]]) for k in self._folds]
        rate = params["learning_rate"]
        best, best_at, before = np.inf, 0, np.inf
        for number in range(int(MAX_ROUNDS / rate)):
            loss = float(np.mean([self._step(boosters[k], k, number) for k in self._folds]))
            on_round(number + 1)
            if loss < best - MIN_GAIN:
                best, best_at = loss, number
            elif number - best_at >= PATIENCE / rate:
                break
            if (number + 1) % CHECK_EVERY == 0:
                if best - to_beat > GIVE_UP_FACTOR * (before - best):
                    break
                before = best
        return self._evaluate([booster[: best_at + 1] for booster in boosters], best_at + 1)

    def bagged(self, params: dict[str, Any], rounds: int, bag: int) -> tuple[CrossValidation, float]:
        """Cross-validate bags of boosters.

        Parameters
        ----------
        params : dict
            Parameters of xgboost.
        rounds : int
            Number of trees per booster.
        bag : int
            Number of boosters.

        Returns
        -------
        cross_validation : CrossValidation
            Cross-validation of the bags.
        member_loss : float
            Mean log loss of their individual members.
        """
        settings = _settings(params, self._threads)
        members = [_members(settings, self._training[k], rounds, bag) for k in self._folds]
        losses = [self._evaluate([boosters[m] for boosters in members], rounds).log_loss for m in range(bag)]
        return self._evaluate([averaged(boosters) for boosters in members], rounds), float(np.mean(losses))

    def _step(self, booster: xgb.Booster, fold: int, number: int) -> float:
        booster.update(self._training[fold], number)
        return float(booster.eval(self._held_out[fold], iteration=number).rsplit(":", 1)[1])

    def _evaluate(self, boosters: list[xgb.Booster], rounds: int) -> CrossValidation:
        margins = np.empty(len(self._label), dtype=np.float64)
        losses, aucs = [], []
        for booster, held_out, at in zip(boosters, self._held_out, self._held_out_rows, strict=True):
            margins[at] = booster.predict(held_out, output_margin=True)
            losses.append(float(np.mean(np.logaddexp(0, margins[at]) - self._label[at] * margins[at])))
            aucs.append(metrics.auc(self._label[at], margins[at]))
        known = [auc for auc in aucs if auc is not None]
        return CrossValidation(rounds, float(np.mean(losses)), float(np.mean(known)), boosters, margins)
