"""Forest: the leaves of boosted trees, read from xgboost's JSON, each with its value and the bins that lead to it.

Law: a split sends each bin to the side where xgboost sends its values, including ties, missing values and categories.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import xgboost as xgb

from ml_service.arrays import Flags, Floats, Indices

Node = dict[str, Any]

NUMBER, CATEGORY = 0, 1


class NotCompiled(Exception):
    """A model can't be compiled to tables; the message gives the reason."""


@dataclass(frozen=True)
class NumberBins:
    """Bins of a number: bin b holds the values with b thresholds at or below them, the last bin missing values.

    xgboost compares in float32; a value below the threshold goes left.
    """

    thresholds: npt.NDArray[np.float32]

    @property
    def count(self) -> int:
        return len(self.thresholds) + 2

    def left(self, threshold: np.float32, _: Sequence[int]) -> Flags:
        """The bins that go left at a split, without the bin of missing values."""
        left = np.arange(self.count) <= np.searchsorted(self.thresholds, threshold)
        left[-1] = False
        return left

    @cached_property
    def _edges(self) -> npt.NDArray[np.float32]:
        # NaN sorts last, so as a last threshold it gives missing values their own bin.
        return np.append(self.thresholds, np.float32(np.nan))

    def assign(self, values: Floats) -> Indices:
        """The bin of each value."""
        return self._edges.searchsorted(values.astype(np.float32), side="right")

    def examples(self) -> Floats:
        """Values of all bins: each threshold, the number just below it, and a missing value."""
        below = np.nextafter(self.thresholds, np.float32(-np.inf))
        return np.concatenate([self.thresholds, below, [np.nan]]).astype(np.float64)


@dataclass(frozen=True)
class CategoryBins:
    """Bins of a category: bin b holds code b; the last two bins hold all higher codes and missing values."""

    codes: int

    @property
    def count(self) -> int:
        return self.codes + 2

    def left(self, _: np.float32, right: Sequence[int]) -> Flags:
        """The bins that go left at a split: codes that the split does not list."""
        left = np.ones(self.count, dtype=np.bool_)
        left[list(right)] = False
        left[-1] = False
        return left

    def assign(self, values: Floats) -> Indices:
        """The bin of each value."""
        missing = np.isnan(values)
        codes = np.where(missing, 0, values).astype(np.intp)
        codes[(codes < 0) | (codes > self.codes)] = self.codes
        codes[missing] = self.codes + 1
        return codes

    def examples(self) -> Floats:
        """Values of all bins: each code, a code that no split lists, and a missing value."""
        return np.array([*range(self.codes + 1), np.nan])


FeatureBins = NumberBins | CategoryBins


@dataclass(frozen=True)
class Leaf:
    """A leaf of a tree.

    Attributes
    ----------
    value : float
        In log-odds.
    accepts : dict of int to ndarray of bool
        The bins that lead to the leaf, by feature.
    shares : dict of int to float
        The share of the training weight that the splits of a feature send towards the leaf, by feature.
    """

    value: float
    accepts: dict[int, Flags]
    shares: dict[int, float]


@dataclass(frozen=True)
class Forest:
    """The intercept of a model, the bins of its features and all leaves."""

    intercept: float
    bins: dict[int, FeatureBins]
    leaves: list[Leaf]


def read_forest(boosters: Sequence[xgb.Booster]) -> Forest:
    """Read the leaves of a booster, or of several whose margins are averaged.

    Raises
    ------
    NotCompiled
        If a booster is not a binary logistic gbtree.
    """
    models = [orjson.loads(bytes(booster.save_raw("json")))["learner"] for booster in boosters]
    intercept = float(np.mean([_intercept(model) for model in models]))
    trees = [tree for model in models for tree in model["gradient_booster"]["model"]["trees"]]
    bins = _bins(trees)
    leaves = [leaf for tree in trees for leaf in _leaves(tree, bins, 1 / len(models))]
    return Forest(intercept, bins, leaves)


def sum_of_leaves(booster: xgb.Booster, leaf: Indices) -> Floats:
    """Add the intercept and the values of the leaves in double precision.

    xgboost adds its trees in single precision, where a large sum of some 700 trees is off by 1e-5.

    Parameters
    ----------
    booster : xgboost.Booster
    leaf : ndarray of intp, shape (n_rows, n_trees)
        The leaf of each tree that xgboost sends each row to (`pred_leaf`).

    Returns
    -------
    margins : ndarray of float64, shape (n_rows,)
    """
    model = orjson.loads(bytes(booster.save_raw("json")))["learner"]
    total = np.full(len(leaf), _intercept(model))
    for tree, nodes in zip(model["gradient_booster"]["model"]["trees"], leaf.T, strict=True):
        total += np.array(tree["split_conditions"], dtype=np.float64)[nodes]
    return total


def _intercept(model: dict[str, Any]) -> float:
    booster, about = model["gradient_booster"], model["learner_model_param"]
    if booster["name"] != "gbtree" or model["objective"]["name"] != "binary:logistic":
        raise NotCompiled(f"A {booster['name']} for {model['objective']['name']} can't be compiled to tables.")
    if int(about["num_class"]) > 1 or int(about["num_target"]) > 1:
        raise NotCompiled("The model predicts more than one number per row.")
    base = np.float64(orjson.loads(about["base_score"].strip("[]")))
    return float(np.log(base / (1 - base)))


def _bins(trees: list[Node]) -> dict[int, FeatureBins]:
    thresholds: dict[int, set[float]] = {}
    codes: dict[int, int] = {}
    for tree in trees:
        for node, feature in enumerate(tree["split_indices"]):
            if tree["left_children"][node] >= 0 and tree["split_type"][node] == NUMBER:
                thresholds.setdefault(feature, set()).add(tree["split_conditions"][node])
        for at, node in enumerate(tree["categories_nodes"]):
            feature = tree["split_indices"][node]
            codes[feature] = max(codes.get(feature, 0), max(_codes_going_right(tree, at), default=0) + 1)
    if set(thresholds) & set(codes):
        raise NotCompiled("A feature is split both as a number and as a category.")
    numbers = {f: NumberBins(np.unique(np.array(list(t), dtype=np.float32))) for f, t in thresholds.items()}
    return {**numbers, **{f: CategoryBins(count) for f, count in codes.items()}}


def _codes_going_right(tree: Node, at: int) -> list[int]:
    start, size = tree["categories_segments"][at], tree["categories_sizes"][at]
    return list(tree["categories"][start : start + size])


def _leaves(tree: Node, bins: dict[int, FeatureBins], weight: float) -> Iterator[Leaf]:
    right_codes = {node: _codes_going_right(tree, at) for at, node in enumerate(tree["categories_nodes"])}
    cover = np.array(tree["sum_hessian"], dtype=np.float64)
    stack: list[tuple[int, dict[int, Flags], dict[int, float]]] = [(0, {}, {})]
    while stack:
        node, accepts, shares = stack.pop()
        left, right = tree["left_children"][node], tree["right_children"][node]
        if left < 0:
            yield Leaf(tree["split_conditions"][node] * weight, accepts, shares)
            continue
        if not cover[node] > 0:
            raise NotCompiled("A split has no training weight.")
        feature = tree["split_indices"][node]
        goes_left = bins[feature].left(np.float32(tree["split_conditions"][node]), right_codes.get(node, ()))
        goes_left[-1] = bool(tree["default_left"][node])
        for child, side in ((left, goes_left), (right, ~goes_left)):
            accepted = accepts[feature] & side if feature in accepts else side
            share = shares.get(feature, 1.0) * cover[child] / cover[node]
            stack.append((child, {**accepts, feature: accepted}, {**shares, feature: share}))
