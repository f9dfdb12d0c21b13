"""SHAP tables: a model compiled to look-up tables that give margins and exact path-dependent SHAP values in NumPy.

The SHAP values of a leaf depend only on which of its few features send the row to it. So all leaves with the same set
of features are summed into one table over the grid of the bins of these features, and sets with common features share
a table while it stays small. SHAP values are then look-ups and additions.

Law: a row gets the same answer to the bit, alone or among a million rows, because every sum is made in one fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xgboost as xgb

from ml_service.arrays import Flags, Floats, Indices
from ml_service.model.trees.forest import FeatureBins, Leaf, NotCompiled, read_forest

#: Maximum number of values in all tables of a model: 64 MB.
MAX_VALUES = 8_000_000
#: Maximum number of cells of a shared table, which has to stay in the processor's cache.
SHARED_CELLS = 8_192
#: Number of groups to try for a set before it gets its own table.
MAX_MERGE_ATTEMPTS = 6
#: For up to this many rows, all tables are looked up together; for more, one after the other.
FEW_ROWS = 128
#: Number of values in a block of a product while a table is made: 32 MB.
BLOCK_VALUES = 4_000_000


@dataclass(frozen=True)
class _Axis:
    """A table's axis of one feature: the place of each bin, and an example bin of each place."""

    place: Indices
    example: Indices


@dataclass
class _Group:
    """Sets of features that share a table."""

    axes: dict[int, _Axis]
    members: list[tuple[dict[int, _Axis], Floats]]

    @property
    def mask(self) -> int:
        return sum(1 << feature for feature in self.axes)

    @property
    def cells(self) -> int:
        return math.prod(len(axis.example) for axis in self.axes.values())


class ShapTables:
    """A booster, or the average of several, compiled to tables.

    Parameters
    ----------
    boosters : sequence of xgboost.Booster
        Binary logistic gbtrees of the same features.
    features : int
        Number of features.

    Raises
    ------
    NotCompiled
        If a booster is of another kind, or the tables would hold more than `MAX_VALUES` numbers.
    """

    def __init__(self, boosters: Sequence[xgb.Booster], features: int) -> None:
        forest = read_forest(boosters)
        self.features = features
        self._bins: dict[int, FeatureBins] = dict(sorted(forest.bins.items()))
        self.base_margin, groups = _groups(forest.intercept, forest.leaves)
        self._order = [sorted(group.axes) for group in groups]
        self._lay_out(groups)

    @property
    def size(self) -> int:
        """Number of values in all tables."""
        return len(self._values)

    def _lay_out(self, groups: list[_Group]) -> None:
        """Put all tables into one array, and into another the offsets whose sum is the position of a row's cell."""
        widest = max((len(order) for order in self._order), default=0)
        shape = (len(groups), widest)
        places: list[Indices] = [np.zeros(1, dtype=np.intp)]
        values: list[Floats] = [np.zeros(1)]
        # The defaults point to a zero, for tables with fewer features than the widest.
        self._place_start = np.zeros(shape, dtype=np.intp)
        self._place_bins = np.full(shape, self.features, dtype=np.intp)
        self._value_step = np.full(shape, -1, dtype=np.intp)
        self._owner = np.full(shape, self.features, dtype=np.intp)
        at_place, at_value = 1, 1
        for g, (group, order) in enumerate(zip(groups, self._order, strict=True)):
            table = _table(group, order)
            strides = np.cumprod([1, *[len(group.axes[f].example) for f in order[:0:-1]]])[::-1]
            for k, feature in enumerate(order):
                place = group.axes[feature].place * strides[k] + (at_value if k == 0 else 0)
                self._place_start[g, k], self._place_bins[g, k] = at_place, feature
                self._value_step[g, k], self._owner[g, k] = k * group.cells, feature
                places.append(place)
                at_place += len(place)
            values.append(table.reshape(-1))
            at_value += table.size
        self._places, self._values = np.concatenate(places), np.concatenate(values)
        self._cells = [group.cells for group in groups]

    def explain(self, values: Floats) -> tuple[Floats, Floats]:
        """Compute margins and SHAP values, in log-odds.

        Parameters
        ----------
        values : ndarray of float64, shape (n_rows, n_features)
            Numbers and category codes, NaN where missing.

        Returns
        -------
        margin : ndarray of float64, shape (n_rows,)
        shap : ndarray of float64, shape (n_features, n_rows)
        """
        bins = self._bins_of(values)
        shap = self._explain_few(bins) if len(values) <= FEW_ROWS else self._explain_many(bins)
        margin = np.full(len(values), self.base_margin)
        for of_feature in shap:
            margin += of_feature
        return margin, shap

    def sample(self, rows: int) -> Floats:
        """Random rows from all bins, the same ones each time, shape (rows, n_features)."""
        rng = np.random.default_rng(0)
        values = np.full((rows, self.features), np.nan)
        for feature, bins in self._bins.items():
            values[:, feature] = rng.choice(bins.examples(), rows)
        return values

    def _bins_of(self, values: Floats) -> Indices:
        # The extra row of zeros is for tables with fewer features than the widest.
        bins = np.zeros((self.features + 1, len(values)), dtype=np.intp)
        for feature, feature_bins in self._bins.items():
            bins[feature] = feature_bins.assign(values[:, feature])
        return bins

    def _explain_many(self, bins: Indices) -> Floats:
        rows = bins.shape[1]
        shap = np.zeros((self.features, rows))
        cell, step, contributions = np.empty(rows, np.intp), np.empty(rows, np.intp), np.empty(rows)
        for g, order in enumerate(self._order):
            for k, feature in enumerate(order):
                # No position is out of range; `clip` only avoids the copy that a check would make.
                out = step if k else cell
                np.take(self._places[self._place_start[g, k] :], bins[feature], out=out, mode="clip")
                if k:
                    cell += step
            for k, feature in enumerate(order):
                np.take(self._values[k * self._cells[g] :], cell, out=contributions, mode="clip")
                shap[feature] += contributions
        return shap

    def _explain_few(self, bins: Indices) -> Floats:
        rows = bins.shape[1]
        cells = self._places[self._place_start[:, :, None] + bins[self._place_bins]].sum(axis=1)
        steps = self._value_step[:, :, None]
        contributions = self._values[np.where(steps < 0, 0, cells[:, None, :] + steps)]
        # `bincount` adds in the order of its input, table by table, as `_explain_many` does.
        owner = self._owner[:, :, None] * rows + np.arange(rows)
        total = np.bincount(owner.reshape(-1), contributions.reshape(-1), minlength=(self.features + 1) * rows)
        return np.asarray(total.reshape(self.features + 1, rows)[: self.features], dtype=np.float64)


def _groups(base: float, leaves: Sequence[Leaf]) -> tuple[float, list[_Group]]:
    """The base margin, and the groups of all sets of features, larger sets first."""
    by_set: dict[tuple[int, ...], list[Leaf]] = {}
    for leaf in leaves:
        base += leaf.value * math.prod(leaf.shares.values())
        if leaf.accepts:
            by_set.setdefault(tuple(sorted(leaf.accepts)), []).append(leaf)
    groups: list[_Group] = []
    size = 0
    for features in sorted(by_set, key=lambda s: (-len(s), s)):
        axes = {f: _axis(np.array([leaf.accepts[f] for leaf in by_set[features]])) for f in features}
        size += math.prod(len(axis.example) for axis in axes.values()) * len(axes)
        if size > MAX_VALUES:
            raise NotCompiled(f"The tables would hold more than {MAX_VALUES:,} numbers.")
        _merge(groups, axes, _leaf_shap_values(by_set[features], axes))
    return float(base), groups


def _axis(accepts: Flags) -> _Axis:
    """Bins that all leaves treat alike share a place."""
    _, example, place = np.unique(accepts, axis=1, return_index=True, return_inverse=True)
    return _Axis(place.reshape(-1), example)


def _refine(one: _Axis, other: _Axis) -> _Axis:
    pairs = one.place * len(other.example) + other.place
    _, example, place = np.unique(pairs, return_index=True, return_inverse=True)
    return _Axis(place, example)


def _merge(groups: list[_Group], axes: dict[int, _Axis], shap: Floats) -> None:
    """Add a set to the group with most features in common if its table stays small, else start a new group."""
    mask = sum(1 << feature for feature in axes)
    candidates = sorted(
        (-(group.mask & mask).bit_count(), group.cells, at)
        for at, group in enumerate(groups)
        if (group.mask & mask).bit_count()
    )
    for _, _, at in candidates[:MAX_MERGE_ATTEMPTS]:
        group = groups[at]
        joined = {f: _refine(group.axes[f], axis) if f in group.axes else axis for f, axis in axes.items()}
        merged = _Group({**group.axes, **joined}, [*group.members, (axes, shap)])
        if merged.cells <= SHARED_CELLS or merged.cells == group.cells:
            groups[at] = merged
            return
    groups.append(_Group(axes, [(axes, shap)]))


def _leaf_shap_values(leaves: Sequence[Leaf], axes: dict[int, _Axis]) -> Floats:
    """SHAP values of leaves with the same features, shape (n_features, places of the first, ..., of the last).

    The Shapley value of a product game is the integral of its multilinear extension. For feature i it is
    v (o_i - z_i) int_0^1 prod_(j != i) (t o_j + (1 - t) z_j) dt, where o_j is 1 if feature j sends the row towards the
    leaf and z_j is the share of the training weight that it sends there. Gauss-Legendre quadrature is exact.

    References
    ----------
    Owen, "Multilinear Extensions of Games", Management Science 18 (1972).
    """
    passes = [
        np.array([leaf.accepts[f][axis.example] for leaf in leaves], dtype=np.float64) for f, axis in axes.items()
    ]
    shares = [np.array([[leaf.shares[f]] for leaf in leaves]) for f in axes]
    value = np.array([[leaf.value] for leaf in leaves])
    nodes, weights = np.polynomial.legendre.leggauss((len(axes) + 1) // 2)
    total = np.zeros((len(axes), *[p.shape[1] for p in passes]))
    for t, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        mixed = [t * p + (1 - t) * z for p, z in zip(passes, shares, strict=True)]
        for i in range(len(axes)):
            own = (passes[i] - shares[i]) * value * weight
            total[i] += np.moveaxis(_product(own, [m for j, m in enumerate(mixed) if j != i]), 0, i)
    return total


def _product(own: Floats, others: list[Floats]) -> Floats:
    """Sum over the leaves of the outer product, shape (places of own, places of others, ...)."""
    shape = tuple(other.shape[1] for other in others)
    total = np.zeros((own.shape[1], math.prod(shape)))
    step = max(1, BLOCK_VALUES // total.shape[1])
    for start in range(0, len(own), step):
        block = slice(start, start + step)
        outer = np.ones((len(own[block]), 1))
        for other in others:
            outer = (outer[:, :, None] * other[block][:, None, :]).reshape(len(outer), -1)
        total += own[block].T @ outer
    return total.reshape(own.shape[1], *shape)


def _table(group: _Group, order: list[int]) -> Floats:
    """The table of a group, shape (n_features, n_cells), in C order."""
    table = np.zeros((len(order), *[len(group.axes[f].example) for f in order]))
    for axes, shap in group.members:
        # The place of each of the group's cells on the member's axes; broadcast over features it does not have.
        index = np.ix_(np.arange(len(axes)), *[axes[f].place[group.axes[f].example] for f in sorted(axes)])
        shape = [len(group.axes[f].example) if f in axes else 1 for f in order]
        part = shap[index].reshape(len(axes), *shape)
        for k, feature in enumerate(sorted(axes)):
            table[order.index(feature)] += part[k]
    return table.reshape(len(order), -1)
