"""The test rows in parts: per plan, per band of tenure; and where a new model fails beside the champion.

Law: a part travels with its n; a collapse is claimed only where the paired interval leaves no doubt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_service import metrics
from ml_service.arrays import Flags, Floats, Ints, Labels
from ml_service.evaluation.bootstrap import losses, paired
from shared.contracts.api import Comparison, Segment
from shared.schema.features import Schema

LEAST_ROWS, MOST_VALUES = 50, 12
BANDS = 4
#: Log loss that counts as a collapse: a tenth above the champion's, on so many rows and leavers.
COLLAPSE_SHARE, COLLAPSE_ROWS, COLLAPSE_LEAVERS = 0.10, 200, 10


@dataclass(frozen=True)
class Judged:
    """Test rows with their scores.

    Attributes
    ----------
    champion
        Its probabilities of the same rows, where there is a comparable one.
    groups
        Customers, shape (rows,).
    """

    features: pa.Table
    label: Labels
    probability: Floats
    champion: Floats | None
    groups: Ints
    seed: int


def segments(schema: Schema, judged: Judged) -> list[Segment]:
    """By plan (or the category with the fewest values) and by band of tenure (or of the first number)."""
    return [_segment(judged, *part) for part in _parts(schema, judged.features)]


def _parts(schema: Schema, features: pa.Table) -> Iterator[tuple[str, str, Flags]]:
    plan = schema.plan_feature or _fewest_values(schema, features)
    if plan is not None:
        counted = pc.value_counts(features[plan].combine_chunks()).to_pylist()
        for each in sorted(counted, key=lambda each: -each["counts"])[:MOST_VALUES]:
            value, column = each["values"], features[plan]
            inside = pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False)
            if each["counts"] >= LEAST_ROWS:
                yield plan, "missing" if value is None else value, np.asarray(inside)
    numbers = [name for name, feature in schema.features.items() if feature.kind == "number"]
    banded = schema.tenure_feature or next(iter(numbers), None)
    if banded is not None:
        yield from _bands(banded, np.asarray(features[banded], dtype=np.float64))
    gaps = np.zeros(features.num_rows, dtype=bool)
    for name in schema.feature_names:
        gaps |= np.asarray(pc.is_null(features[name], nan_is_null=True))
    if gaps.sum() >= LEAST_ROWS:
        yield "any feature", "missing", gaps


def _fewest_values(schema: Schema, features: pa.Table) -> str | None:
    sizes = {name: pc.count_distinct(features[name]).as_py() for name in schema.categories}
    return min((name for name, size in sizes.items() if 2 <= size <= MOST_VALUES), key=sizes.__getitem__, default=None)


def _bands(name: str, column: Floats) -> Iterator[tuple[str, str, Flags]]:
    known = column[~np.isnan(column)]
    if not len(known):
        return
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BANDS + 1)))
    for low, high in pairwise(edges):
        last = high == edges[-1]
        inside = (column >= low) & ((column <= high) if last else (column < high))
        if inside.sum() >= LEAST_ROWS:
            yield name, f"{low:g} to {high:g}" if last else f"{low:g} to under {high:g}", inside


def _segment(judged: Judged, feature: str, value: str, inside: Flags) -> Segment:
    label, p = judged.label[inside], judged.probability[inside]
    old = None if judged.champion is None else judged.champion[inside]
    return Segment(
        feature=feature,
        value=value,
        n=len(label),
        positives=int(label.sum()),
        prevalence=float(label.mean()),
        mean_probability=float(p.mean()),
        auc=metrics.auc(label, p),
        log_loss=metrics.log_loss(label, p),
        champion_log_loss=None if old is None else metrics.log_loss(label, old),
        collapsed=old is not None and _collapsed(label, p, old, judged.groups[inside], judged.seed),
    )


def _collapsed(label: Labels, new: Floats, old: Floats, groups: Ints, seed: int) -> bool:
    if len(label) < COLLAPSE_ROWS or label.sum() < COLLAPSE_LEAVERS:
        return False
    difference, (low, _) = paired(losses(label, new) - losses(label, old), groups, seed)
    return low > 0 and difference > COLLAPSE_SHARE * float(losses(label, old).mean())


def compare(judged: Judged, parts: list[Segment]) -> Comparison | None:
    """New against champion on all test rows; None without one."""
    if judged.champion is None:
        return None
    gap = losses(judged.label, judged.probability) - losses(judged.label, judged.champion)
    difference, (low, high) = paired(gap, judged.groups, judged.seed)
    collapsed = [f"{part.feature} = {part.value}" for part in parts if part.collapsed]
    return Comparison(difference=difference, interval=(low, high), not_worse=low <= 0, collapsed=collapsed)
