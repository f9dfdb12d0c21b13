"""Segments of the test rows, by plan and by tenure, and the comparison of a new model with the champion.

Law: a segment counts as collapsed only if the whole paired interval is above 0.
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
from ml_service.evaluation.bootstrap import losses, paired_difference
from shared.contracts.api import Comparison, Segment
from shared.schema.features import Schema

MIN_ROWS, MAX_CATEGORIES_SHOWN = 50, 12
BANDS = 4
#: A segment collapses if its log loss is over a tenth above the champion's, on at least this many rows and leavers.
COLLAPSE_SHARE, COLLAPSE_ROWS, COLLAPSE_LEAVERS = 0.10, 200, 10
#: A new model is not worse if its log loss is with 95 % confidence less than this share above the champion's.
MARGIN_SHARE = 0.005


@dataclass(frozen=True)
class ScoredRows:
    """Test rows with their scores.

    Attributes
    ----------
    features : pyarrow.Table, n_rows rows
        The typed columns.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    probability : ndarray of float64, shape (n_rows,)
        Probabilities of the new model.
    champion : ndarray of float64, shape (n_rows,), or None
        Probabilities of the champion, if there is one with the same features.
    decided : ndarray of float64, shape (n_rows,), or None
        Probabilities of the last version that went live by a decided comparison; the champion's if None.
    groups : ndarray of int64, shape (n_rows,)
        The customer of each row.
    seed : int
        Seed of the bootstrap.
    """

    features: pa.Table
    label: Labels
    probability: Floats
    champion: Floats | None
    decided: Floats | None
    groups: Ints
    seed: int


def segments(schema: Schema, rows: ScoredRows) -> list[Segment]:
    """Evaluate the model by plan, by band of tenure, and on the rows with a missing value.

    Parameters
    ----------
    schema : Schema
        Without a plan, the category with the fewest values is used; without a tenure, the first number.
    rows : ScoredRows

    Returns
    -------
    segments : list of Segment
        Segments of fewer than 50 rows are left out.
    """
    return [_segment(rows, *part) for part in _masks(schema, rows.features)]


def _masks(schema: Schema, features: pa.Table) -> Iterator[tuple[str, str, Flags]]:
    plan = schema.plan_feature or _fewest_values(schema, features)
    if plan is not None:
        counted = pc.value_counts(features[plan].combine_chunks()).to_pylist()
        for each in sorted(counted, key=lambda each: -each["counts"])[:MAX_CATEGORIES_SHOWN]:
            value, column = each["values"], features[plan]
            mask = pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False)
            if each["counts"] >= MIN_ROWS:
                yield plan, "missing" if value is None else value, np.asarray(mask)
    numbers = [name for name, feature in schema.features.items() if feature.kind == "number"]
    banded = schema.tenure_feature or next(iter(numbers), None)
    if banded is not None:
        yield from _bands(banded, np.asarray(features[banded], dtype=np.float64))
    has_missing = np.zeros(features.num_rows, dtype=bool)
    for name in schema.feature_names:
        has_missing |= np.asarray(pc.is_null(features[name], nan_is_null=True))
    if has_missing.sum() >= MIN_ROWS:
        yield "any feature", "missing", has_missing


def _fewest_values(schema: Schema, features: pa.Table) -> str | None:
    sizes = {name: pc.count_distinct(features[name]).as_py() for name in schema.categories}
    return min(
        (name for name, size in sizes.items() if 2 <= size <= MAX_CATEGORIES_SHOWN), key=sizes.__getitem__, default=None
    )


def _bands(name: str, column: Floats) -> Iterator[tuple[str, str, Flags]]:
    known = column[~np.isnan(column)]
    if not len(known):
        return
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BANDS + 1)))
    for low, high in pairwise(edges):
        last = high == edges[-1]
        mask = (column >= low) & ((column <= high) if last else (column < high))
        if mask.sum() >= MIN_ROWS:
            yield name, f"{low:g} to {high:g}" if last else f"{low:g} to under {high:g}", mask


def _segment(rows: ScoredRows, feature: str, value: str, mask: Flags) -> Segment:
    label, p = rows.label[mask], rows.probability[mask]
    champion = None if rows.champion is None else rows.champion[mask]
    return Segment(
        feature=feature,
        value=value,
        n=len(label),
        positives=int(label.sum()),
        prevalence=float(label.mean()),
        mean_probability=float(p.mean()),
        auc=metrics.auc(label, p),
        log_loss=metrics.log_loss(label, p),
        champion_log_loss=None if champion is None else metrics.log_loss(label, champion),
        collapsed=champion is not None and _collapsed(label, p, champion, rows.groups[mask], rows.seed),
    )


def _collapsed(label: Labels, new: Floats, champion: Floats, groups: Ints, seed: int) -> bool:
    if len(label) < COLLAPSE_ROWS or label.sum() < COLLAPSE_LEAVERS:
        return False
    difference, (low, _) = paired_difference(losses(label, new) - losses(label, champion), groups, seed)
    return low > 0 and difference > COLLAPSE_SHARE * float(losses(label, champion).mean())


def compare(rows: ScoredRows, parts: list[Segment], decided_version: str = "") -> Comparison | None:
    """Compare the log loss of the new model with the champion's on all test rows; see docs/definitions.md#not-worse.

    Parameters
    ----------
    rows : ScoredRows
    parts : list of Segment
        The segments; the comparison names the collapsed ones.
    decided_version : str
        The version of `rows.decided`.

    Returns
    -------
    comparison : Comparison or None
        None without a champion.
    """
    if rows.champion is None:
        return None
    new, champion = losses(rows.label, rows.probability), losses(rows.label, rows.champion)
    difference, (low, high) = paired_difference(new - champion, rows.groups, rows.seed)
    margin = MARGIN_SHARE * float(champion.mean())
    decided = champion if rows.decided is None else losses(rows.label, rows.decided)
    return Comparison(
        difference=difference,
        interval=(low, high),
        margin=margin,
        verdict="not_worse" if high < margin else "worse" if low > 0 else "undecided",
        decided_version=decided_version,
        behind_decided=float((new - decided).mean()),
        collapsed=[f"{part.feature} = {part.value}" for part in parts if part.collapsed],
    )
