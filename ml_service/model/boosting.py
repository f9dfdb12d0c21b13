"""The boosted trees: grown fold by fold side by side, fitted, bagged into one booster.

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

#: A large table bears larger steps over all of its rows: half the trees, the same log loss (docs/model-card.md).
SMALL_TABLE, LARGE_TABLE = 20_000, 100_000
#: Rounds at most, and rounds without gain before growing stops; both over the learning rate.
MOST_ROUNDS, PATIENCE = 75.0, 3.0
#: Every so many rounds a configuration is given up that is further from the best one than ten times what it gained.
CHECKED_EVERY, HOPELESS = 100, 10.0
LEAST_GAIN = 1e-6
MAX_BIN = 256


def parameters(schema: Schema, *, rows: int, leavers: int, seed: int) -> dict[str, Any]:
    """The first configuration for a table of this size; shallow, monotone where the schema states a direction."""
    sign = {"up": 1, "down": -1, "none": 0}
    return {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": 3,
        "learning_rate": 0.05 if rows < SMALL_TABLE else 0.07 if rows < LARGE_TABLE else 0.15,
        # A leaf's weight is a sum of p (1 - p): with many leavers a leaf may ask for more evidence.
        "min_child_weight": float(np.clip(min(leavers, rows - leavers) / 500, 1, 10)),
        "subsample": 0.8 if rows < LARGE_TABLE else 1.0,
        # Splits of a few features only: noise in them regularises small tables and costs large ones.
        "colsample_bynode": 0.8 if rows < SMALL_TABLE else 1.0,
        "reg_lambda": 1.0,
        "max_bin": MAX_BIN,
        "monotone_constraints": "(" + ",".join(str(sign[f.direction]) for f in schema.features.values()) + ")",
        "seed": seed,
    }


def worthwhile_threads(rows: int, threads: int) -> int:
    """One for a small table: there, threads wait for each other longer than they work. No result depends on it."""
    return 1 if rows < SMALL_TABLE else threads


def feature_types(schema: Schema) -> list[str]:
    """What xgboost calls the kinds: q for numbers, c for categories."""
    return ["c" if feature.kind == "category" else "q" for feature in schema.features.values()]


def _binned(schema: Schema, values: Floats, label: Labels, threads: int) -> xgb.QuantileDMatrix:
    types = feature_types(schema)
    return xgb.QuantileDMatrix(
        values, label, feature_types=types, enable_categorical=True, nthread=threads, max_bin=MAX_BIN
    )


def fit(
    schema: Schema, params: dict[str, Any], values: Floats, label: Labels, *, rounds: int, bag: int, threads: int
) -> xgb.Booster:
    """Fit a bag of boosters of `rounds` trees each to all rows given; one booster that averages their margins.

    Some of their cells are hidden (`ml_service.data.hiding`), the same ones in every booster.
    """
    learned = _binned(schema, hiding.hide(values, params["seed"]), label, threads)
    return averaged(_members(_settings(params, threads), learned, rounds, bag))


def _settings(params: dict[str, Any], threads: int) -> dict[str, Any]:
    return {**params, "nthread": threads, "eval_metric": "logloss", "verbosity": 0}


def _members(settings: dict[str, Any], data: xgb.DMatrix, rounds: int, bag: int) -> list[xgb.Booster]:
    seeds = [settings["seed"] + 1_000_003 * number for number in range(bag)]
    return [xgb.train({**settings, "seed": seed}, data, num_boost_round=rounds) for seed in seeds]


def averaged(boosters: Sequence[xgb.Booster]) -> xgb.Booster:
    """One booster whose margin is the mean of the boosters' margins, so that SHAP values stay additive.

    Their trees stand one after the other, each leaf divided by the number of boosters. They must share their base
    score, as boosters of the same rows do.
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
            halved = zip(tree[name], leaf, strict=True)
            tree[name] = [value / len(boosters) if is_leaf else value for value, is_leaf in halved]
    model["trees"], model["tree_info"] = trees, [0] * len(trees)
    model["iteration_indptr"] = list(range(len(trees) + 1))
    model["gbtree_model_param"]["num_trees"] = str(len(trees))
    whole = xgb.Booster()
    whole.load_model(bytearray(orjson.dumps(parts[0])))
    return whole


@dataclass(frozen=True)
class CrossValidation:
    """What the folds say of one configuration.

    Attributes
    ----------
    rounds
        Number of trees with the best mean log loss over the folds.
    log_loss, auc
        Mean over the folds at that number, before calibration.
    boosters
        One per fold, trained without it.
    margins
        Shape (rows,): each row's log-odds by the booster that has not seen it.
    """

    rounds: int
    log_loss: float
    auc: float
    boosters: list[xgb.Booster]
    margins: Floats


class FoldedRows:
    """Rows binned once per fold, for any number of configurations.

    Some cells are hidden where a row is learned from (`ml_service.data.hiding`), none where it is held out.

    Parameters
    ----------
    folds
        Shape (rows,): the fold that holds the row out.
    seed
        Of the cells that are hidden.
    """

    def __init__(
        self, schema: Schema, values: Floats, label: Labels, folds: Folds, *, threads: int, seed: int = 0
    ) -> None:
        self._label, self._threads = label, threads
        self._held = [np.flatnonzero(folds == number) for number in range(int(folds.max()) + 1)]
        types = feature_types(schema)
        learned = hiding.hide(values, seed)
        self._training = [_binned(schema, learned[folds != k], label[folds != k], threads) for k in self._numbers]
        self._held_out = [
            xgb.DMatrix(values[at], label[at], feature_types=types, enable_categorical=True, nthread=threads)
            for at in self._held
        ]

    @property
    def _numbers(self) -> range:
        return range(len(self._held))

    def grow(self, params: dict[str, Any], *, on_round: OnRound, to_beat: float = np.inf) -> CrossValidation:
        """Grow the folds side by side until their mean log loss stops falling.

        The number of trees is one choice for all folds, so no fold's held-out rows choose for themselves.

        Parameters
        ----------
        to_beat
            Log loss of the best configuration so far: one that will not come near it is not grown to its end.
        """
        settings = _settings(params, self._threads)
        boosters = [xgb.Booster(settings, [self._training[k], self._held_out[k]]) for k in self._numbers]
        rate = params["learning_rate"]
        best, best_at, before = np.inf, 0, np.inf
        for number in range(int(MOST_ROUNDS / rate)):
            loss = float(np.mean([self._step(boosters[k], k, number) for k in self._numbers]))
            on_round(number + 1)
            if loss < best - LEAST_GAIN:
                best, best_at = loss, number
            elif number - best_at >= PATIENCE / rate:
                break
            if (number + 1) % CHECKED_EVERY == 0:
                if best - to_beat > HOPELESS * (before - best):
                    break
                before = best
        return self._judged([booster[: best_at + 1] for booster in boosters], best_at + 1)

    def bagged(self, params: dict[str, Any], rounds: int, bag: int) -> tuple[CrossValidation, float]:
        """A bag of boosters of so many rounds in each fold, and the mean log loss of its members alone."""
        settings = _settings(params, self._threads)
        members = [_members(settings, self._training[k], rounds, bag) for k in self._numbers]
        alone = [self._judged([of_fold[m] for of_fold in members], rounds).log_loss for m in range(bag)]
        return self._judged([averaged(of_fold) for of_fold in members], rounds), float(np.mean(alone))

    def _step(self, booster: xgb.Booster, fold: int, number: int) -> float:
        booster.update(self._training[fold], number)
        return float(booster.eval(self._held_out[fold], iteration=number).rsplit(":", 1)[1])

    def _judged(self, boosters: list[xgb.Booster], rounds: int) -> CrossValidation:
        margins = np.empty(len(self._label), dtype=np.float64)
        losses, areas = [], []
        for booster, held_out, at in zip(boosters, self._held_out, self._held, strict=True):
            margins[at] = booster.predict(held_out, output_margin=True)
            losses.append(float(np.mean(np.logaddexp(0, margins[at]) - self._label[at] * margins[at])))
            areas.append(metrics.auc(self._label[at], margins[at]))
        known = [area for area in areas if area is not None]
        return CrossValidation(rounds, float(np.mean(losses)), float(np.mean(known)), boosters, margins)
