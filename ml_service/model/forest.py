"""The leaves of boosted trees, read from xgboost's JSON: a value, and which bins of which features lead there.

Law: a value falls in the bin that makes it go the way xgboost sends it, at every split: ties, gaps and categories too.
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
    """This model is not one that tables can stand for; the message says why."""


@dataclass(frozen=True)
class NumberBins:
    """Bin b holds the values with b thresholds at or below them; the last bin holds the missing ones.

    xgboost compares in float32, a value goes left where it is below the threshold.
    """

    thresholds: npt.NDArray[np.float32]

    @property
    def count(self) -> int:
        return len(self.thresholds) + 2

    def left(self, threshold: np.float32, _: Sequence[int]) -> Flags:
        """The bins that go left at a split; the missing one does not."""
        left = np.arange(self.count) <= np.searchsorted(self.thresholds, threshold)
        left[-1] = False
        return left

    @cached_property
    def _edges(self) -> npt.NDArray[np.float32]:
        # NaN sorts behind everything: as a last threshold it gives missing values a bin of their own.
        return np.append(self.thresholds, np.float32(np.nan))

    def assign(self, values: Floats) -> Indices:
        """The bin of each value."""
        return self._edges.searchsorted(values.astype(np.float32), side="right")

    def examples(self) -> Floats:
        """Values of every bin: each threshold, the number just below it, and missing."""
        below = np.nextafter(self.thresholds, np.float32(-np.inf))
        return np.concatenate([self.thresholds, below, [np.nan]]).astype(np.float64)


@dataclass(frozen=True)
class CategoryBins:
    """Bin b holds code b, then come all codes that no split names, then missing."""

    codes: int

    @property
    def count(self) -> int:
        return self.codes + 2

    def left(self, _: np.float32, right: Sequence[int]) -> Flags:
        """The bins that go left at a split: codes it does not name."""
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
        """Values of every bin: each code, one that no split names, and missing."""
        return np.array([*range(self.codes + 1), np.nan])


FeatureBins = NumberBins | CategoryBins


@dataclass(frozen=True)
class Leaf:
    """A leaf: its value, and by feature the bins that lead there and the share of training weight that did."""

    value: float
    accepts: dict[int, Flags]
    shares: dict[int, float]


@dataclass(frozen=True)
class Forest:
    """All leaves of a model, the bins of its features, and the margin it starts from."""

    intercept: float
    bins: dict[int, FeatureBins]
    leaves: list[Leaf]


def read_forest(boosters: Sequence[xgb.Booster]) -> Forest:
    """The leaves of a booster, or of several whose margins are averaged.

    Raises
    ------
    NotCompiled
        Where it is no plain binary logistic gbtree.
    """
    models = [orjson.loads(bytes(booster.save_raw("json")))["learner"] for booster in boosters]
    intercept = float(np.mean([_intercept(model) for model in models]))
    trees = [tree for model in models for tree in model["gradient_booster"]["model"]["trees"]]
    bins = _bins(trees)
    leaves = [leaf for tree in trees for leaf in _leaves(tree, bins, 1 / len(models))]
    return Forest(intercept, bins, leaves)


def sum_of_leaves(booster: xgb.Booster, leaf: Indices) -> Floats:
    """Margins, shape (rows,): the intercept and the leaves' values, added in double precision.

    xgboost adds its trees in single precision: the sum of some 700 trees is off by 1e-5 where it is large.

    Parameters
    ----------
    leaf
        The node of each tree that xgboost itself sends each row to (`pred_leaf`), shape (rows, trees).
    """
    model = orjson.loads(bytes(booster.save_raw("json")))["learner"]
    total = np.full(len(leaf), _intercept(model))
    for tree, nodes in zip(model["gradient_booster"]["model"]["trees"], leaf.T, strict=True):
        total += np.array(tree["split_conditions"], dtype=np.float64)[nodes]
    return total


def _intercept(model: dict[str, Any]) -> float:
    booster, about = model["gradient_booster"], model["learner_model_param"]
    if booster["name"] != "gbtree" or model["objective"]["name"] != "binary:logistic":
        raise NotCompiled(f"A {booster['name']} for {model['objective']['name']} is not what tables are made of.")
    if int(about["num_class"]) > 1 or int(about["num_target"]) > 1:
        raise NotCompiled("The model gives more than one number per row.")
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
