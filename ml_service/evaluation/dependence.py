"""How each feature moves the score: SHAP values by the feature's value.

Law: exact contributions of the deployed model, on rows it had not seen; values with few rows are left out.
"""

from __future__ import annotations

import numpy as np

from ml_service.arrays import Floats, Indices
from shared.contracts.api import Dependence
from shared.schema.features import Schema

MOST_FEATURES, BINS, LEAST_ROWS = 12, 20, 10


def dependence(
    schema: Schema, levels: dict[str, list[str]], values: Floats, contributions: Floats, order: list[str]
) -> list[Dependence]:
    """Median and deciles of the contribution per value (categories) or per bin of equal mass (numbers).

    Parameters
    ----------
    values, contributions
        Shape (rows, features), in the schema's order.
    order
        The features to show, weightiest first.
    """
    found = []
    for name in order[:MOST_FEATURES]:
        position = schema.feature_names.index(name)
        bins = _bins(values[:, position], levels.get(name))
        found.append(_of(name, schema.feature_label(name), bins, contributions[:, position]))
    return found


def _bins(column: Floats, levels: list[str] | None) -> list[tuple[str | float, Indices]]:
    missing = np.flatnonzero(np.isnan(column))
    known = np.flatnonzero(~np.isnan(column))
    bins: list[tuple[str | float, Indices]] = []
    if levels is not None:
        codes = column[known].astype(np.int64)
        commonest = np.argsort(-np.bincount(codes, minlength=len(levels)), kind="stable")[:BINS]
        bins = [(levels[code], known[codes == code]) for code in commonest]
    elif len(known):
        # Rows of one value stay together: bins are cut between distinct values.
        edges = np.unique(np.quantile(column[known], np.linspace(0, 1, BINS + 1)[1:-1]))
        at = np.searchsorted(edges, column[known], side="left")
        bins = [(float(np.median(column[rows])), rows) for k in np.unique(at) if len(rows := known[at == k])]
    if len(missing):
        bins.append(("missing", missing))
    return [(value, rows) for value, rows in bins if len(rows) >= LEAST_ROWS]


def _of(name: str, label: str, bins: list[tuple[str | float, Indices]], contribution: Floats) -> Dependence:
    spread = [np.percentile(contribution[rows], (10, 50, 90)) for _, rows in bins]
    low, median, high = ([round(float(each[k]), 6) for each in spread] for k in range(3))
    return Dependence(
        feature=name,
        label=label,
        values=[value for value, _ in bins],
        median=median,
        low=low,
        high=high,
        n=[len(rows) for _, rows in bins],
    )
