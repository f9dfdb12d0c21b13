"""Dependence plots: the SHAP values of a feature by the value of the feature."""

from __future__ import annotations

import numpy as np

from ml_service.arrays import Floats, Indices
from shared.contracts.api import Dependence
from shared.schema.features import Schema

MAX_FEATURES, BINS, MIN_ROWS = 12, 20, 10


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
