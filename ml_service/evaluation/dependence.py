"""Dependence plots: what a feature contributes, by the value of the feature.

Law: what is summed up are the contributions of rows, not smoothed; nothing is said of a value that few or none have.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ml_service.arrays import Floats, Indices
from ml_service.model.churn_model import ChurnModel
from ml_service.model.predictions import Explanation
from shared.contracts.api import Dependence
from shared.contracts.dependence import LEAST_ROWS, PointsByValue, PointsOfGroup
from shared.schema.features import Schema

MAX_FEATURES, BINS, MIN_ROWS = 12, 20, 10
BANDS, CATEGORIES = 10, 20


def dependence(
    schema: Schema, levels: dict[str, list[str]], values: Floats, contributions: Floats, order: list[str]
) -> list[Dependence]:
    """Compute median and deciles of the SHAP values, per category or per bin of equal mass of a number.

    Parameters
    ----------
    schema : Schema
    levels : dict of str to list of str
        The values of each category, in the order of the codes.
    values : ndarray of float64, shape (n_rows, n_features)
        The model's matrix.
    contributions : ndarray of float64, shape (n_rows, n_features)
        SHAP values in log-odds.
    order : list of str
        The features in descending order of importance; the first 12 are used.

    Returns
    -------
    dependences : list of Dependence
        Values that occur in fewer than 10 rows are left out.
    """
    dependences = []
    for name in order[:MAX_FEATURES]:
        position = schema.feature_names.index(name)
        groups = _group_rows(values[:, position], levels.get(name))
        dependences.append(_describe(name, schema.feature_label(name), groups, contributions[:, position]))
    return dependences


def _group_rows(column: Floats, levels: list[str] | None) -> list[tuple[str | float, Indices]]:
    missing = np.flatnonzero(np.isnan(column))
    known = np.flatnonzero(~np.isnan(column))
    groups: list[tuple[str | float, Indices]] = []
    if levels is not None:
        codes = column[known].astype(np.int64)
        commonest = np.argsort(-np.bincount(codes, minlength=len(levels)), kind="stable")[:BINS]
        groups = [(levels[code], known[codes == code]) for code in commonest]
    elif len(known):
        # Bin edges lie between distinct values, so equal values share a bin.
        edges = np.unique(np.quantile(column[known], np.linspace(0, 1, BINS + 1)[1:-1]))
        bin_of_row = np.searchsorted(edges, column[known], side="left")
        groups = [
            (float(np.median(column[rows])), rows) for k in np.unique(bin_of_row) if len(rows := known[bin_of_row == k])
        ]
    if len(missing):
        groups.append(("missing", missing))
    return [(value, rows) for value, rows in groups if len(rows) >= MIN_ROWS]


def _describe(name: str, label: str, groups: list[tuple[str | float, Indices]], contribution: Floats) -> Dependence:
    spread = [np.percentile(contribution[rows], (10, 50, 90)) for _, rows in groups]
    low, median, high = ([round(float(deciles[k]), 6) for deciles in spread] for k in range(3))
    return Dependence(
        feature=name,
        label=label,
        values=[value for value, _ in groups],
        median=median,
        low=low,
        high=high,
        n=[len(rows) for _, rows in groups],
    )


def points_by_value(model: ChurnModel, values: Floats, explanation: Explanation) -> list[PointsByValue]:
    """Group rows by the value of each feature, and sum up the points in each group.

    Parameters
    ----------
    model : ChurnModel
    values : ndarray of float64, shape (n_rows, n_features)
        The model's matrix of the rows.
    explanation : Explanation
        Reasons of the same rows, with every feature among them.

    Returns
    -------
    features : list of PointsByValue
        By descending mean of the absolute points.
    """
    told = explanation.points
    points = np.zeros(values.shape)
    np.put_along_axis(points, told.order, told.points, axis=1)
    order = np.argsort(-np.abs(points).mean(axis=0), kind="stable")
    names = model.schema.feature_names
    return [_points_of(model, names[at], values[:, at], points[:, at]) for at in order]


def _points_of(model: ChurnModel, name: str, column: Floats, points: Floats) -> PointsByValue:
    levels = model.categories.get(name)
    groups = list(_bands(column, points) if levels is None else _categories(column, points, levels))
    missing = np.flatnonzero(np.isnan(column))
    if len(missing) >= LEAST_ROWS:
        groups.append(_points_of_group(points, missing))
    shown = sum(group.n for group in groups)
    kind = model.schema.features[name].kind
    return PointsByValue(feature=name, kind=kind, groups=groups, left_out=len(column) - shown)


def _bands(column: Floats, points: Floats) -> Iterator[PointsOfGroup]:
    """Yield bands of about as many rows; equal values are in one band."""
    known = np.flatnonzero(~np.isnan(column))
    if not len(known):
        return
    edges = np.unique(np.quantile(column[known], np.linspace(0, 1, BANDS + 1)[1:-1]))
    band_of_row = np.searchsorted(edges, column[known], side="left")
    for band in np.unique(band_of_row):
        rows = known[band_of_row == band]
        if len(rows) >= LEAST_ROWS:
            yield _points_of_group(points, rows, lowest=float(column[rows].min()), highest=float(column[rows].max()))


def _categories(column: Floats, points: Floats, levels: list[str]) -> Iterator[PointsOfGroup]:
    """Yield the commonest categories, from the highest mean down."""
    codes = np.where(np.isnan(column), -1, column).astype(np.int64)
    rows_of = {code: np.flatnonzero(codes == code) for code in np.unique(codes[codes >= 0]).tolist()}
    common = sorted((rows for rows in rows_of.items() if len(rows[1]) >= LEAST_ROWS), key=lambda each: -len(each[1]))
    groups = [_points_of_group(points, rows, value=levels[code]) for code, rows in common[:CATEGORIES]]
    yield from sorted(groups, key=lambda group: -group.mean)


def _points_of_group(
    points: Floats,
    rows: Indices,
    *,
    value: str | None = None,
    lowest: float | None = None,
    highest: float | None = None,
) -> PointsOfGroup:
    low, high = (float(each) for each in np.percentile(points[rows], (10, 90)))
    mean = float(points[rows].mean())
    return PointsOfGroup(value=value, lowest=lowest, highest=highest, n=len(rows), mean=mean, low=low, high=high)
