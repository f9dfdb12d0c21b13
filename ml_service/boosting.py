"""The boosted trees: their configuration, and how many of them cross-validation wants.

Law: the same data and seed give the same trees, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from shared.features import Schema

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]
Folds = npt.NDArray[np.int8]
#: Called with the number of rounds done so far.
OnRound = Callable[[int], None]

SMALL_TABLE = 20_000
MOST_ROUNDS = {True: 3000, False: 1500}
PATIENCE = {True: 60, False: 40}
LEAST_GAIN = 1e-6


def parameters(schema: Schema, *, rows: int, leavers: int, seed: int) -> dict[str, Any]:
    """The configuration for a table of this size; shallow trees, monotone where the schema states a direction."""
    sign = {"up": 1, "down": -1, "none": 0}
    return {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": 3,
        "learning_rate": 0.05 if rows < SMALL_TABLE else 0.1,
        # A leaf's weight is a sum of p (1 - p): with many leavers a leaf may ask for more evidence.
        "min_child_weight": float(np.clip(min(leavers, rows - leavers) / 500, 1, 10)),
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "reg_lambda": 1.0,
        "max_bin": 256,
        "monotone_constraints": "(" + ",".join(str(sign[f.direction]) for f in schema.features.values()) + ")",
        "seed": seed,
    }


def worthwhile_threads(rows: int, threads: int) -> int:
    """One for a small table: there, threads wait for each other longer than they work. No result depends on it."""
    return 1 if rows < SMALL_TABLE else threads


def feature_types(schema: Schema) -> list[str]:
    """What xgboost calls the kinds: q for numbers, c for categories."""
    return ["c" if feature.kind == "category" else "q" for feature in schema.features.values()]


def fit(
    schema: Schema, params: dict[str, Any], values: Floats, label: Labels, *, rounds: int, threads: int
) -> xgb.Booster:
    """Fit `rounds` trees on all rows given."""
    data = xgb.QuantileDMatrix(
        values,
        label,
        feature_types=feature_types(schema),
        enable_categorical=True,
        nthread=threads,
        max_bin=params["max_bin"],
    )
    return xgb.train({**params, "nthread": threads, "verbosity": 0}, data, num_boost_round=rounds)


@dataclass(frozen=True)
class CrossValidation:
    """What five folds say.

    Attributes
    ----------
    rounds
        Number of trees with the best mean log loss over the folds.
    boosters
        One per fold, trained without it, `rounds` trees each.
    margins
        Shape (rows,): each row's log-odds by the booster that has not seen it.
    """

    rounds: int
    boosters: list[xgb.Booster]
    margins: Floats


@dataclass
class _Fold:
    booster: xgb.Booster
    held_out: xgb.DMatrix
    rows: npt.NDArray[np.intp]

    def step(self, number: int, training: xgb.DMatrix) -> float:
        self.booster.update(training, number)
        return float(self.booster.eval(self.held_out, iteration=number).rsplit(":", 1)[1])


def cross_validate(
    schema: Schema,
    params: dict[str, Any],
    values: Floats,
    label: Labels,
    folds: Folds,
    *,
    threads: int,
    on_round: OnRound,
) -> CrossValidation:
    """Grow the folds side by side until their mean log loss stops falling.

    The number of trees is one choice for all folds, so no fold's held-out rows choose for themselves.

    Parameters
    ----------
    folds
        Shape (rows,): the fold that holds the row out.
    """
    names = feature_types(schema)

    def grow() -> Iterator[tuple[_Fold, xgb.DMatrix]]:
        settings = {**params, "nthread": threads, "eval_metric": "logloss", "verbosity": 0}
        for number in range(int(folds.max()) + 1):
            inside = folds != number
            training = xgb.QuantileDMatrix(
                values[inside],
                label[inside],
                feature_types=names,
                enable_categorical=True,
                nthread=threads,
                max_bin=params["max_bin"],
            )
            held_out = xgb.DMatrix(
                values[~inside], label[~inside], feature_types=names, enable_categorical=True, nthread=threads
            )
            booster = xgb.Booster(settings, [training, held_out])
            yield _Fold(booster, held_out, np.flatnonzero(~inside)), training

    pairs = list(grow())
    rounds = _best_rounds(pairs, small=len(label) < SMALL_TABLE, on_round=on_round)
    margins = np.empty(len(label), dtype=np.float64)
    for fold, _ in pairs:
        margins[fold.rows] = fold.booster.predict(fold.held_out, output_margin=True, iteration_range=(0, rounds))
    return CrossValidation(rounds, [fold.booster[:rounds] for fold, _ in pairs], margins)


def _best_rounds(pairs: list[tuple[_Fold, xgb.DMatrix]], *, small: bool, on_round: OnRound) -> int:
    best, best_at = np.inf, 0
    for number in range(MOST_ROUNDS[small]):
        loss = float(np.mean([fold.step(number, training) for fold, training in pairs]))
        on_round(number + 1)
        if loss < best - LEAST_GAIN:
            best, best_at = loss, number
        elif number - best_at >= PATIENCE[small]:
            break
    return best_at + 1
