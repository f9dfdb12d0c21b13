"""Finds facts that a score can rely on less: missing though training had them all, or unknown to the model.

Law: values are counted by column; Python looks at single rows only where a few were asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_service.data.feature_matrix import Matrix, UnknownCells, to_matrix, unknown_cells
from ml_service.evaluation.serving_check import KEY, values_seen
from ml_service.model.churn_model import ChurnModel
from shared.contracts.fact_warnings import (
    MOST_TOLD,
    FactWarning,
    UnknownValues,
    missing_warnings,
    plain,
    warning_of_rows,
)
from shared.contracts.serving_check import added_up, serving_warnings

#: Rows in memory at a time.
CHUNK_ROWS = 25_000


def complete_features(model: ChurnModel) -> list[str]:
    """List the features that were complete in training.

    Parameters
    ----------
    model : ChurnModel

    Returns
    -------
    names : list of str
        Empty for a model of an older release, which did not record them.
    """
    return list(model.training.get("complete_features", []))


def missing_counts(model: ChurnModel, features: pa.Table) -> dict[str, int]:
    """Count the missing values of features that were complete in training.

    Parameters
    ----------
    model : ChurnModel
    features : pyarrow.Table
        The typed columns that `feature_matrix.typed_columns` returns.

    Returns
    -------
    counts : dict of str to int
        Only counts above 0.
    """
    counts = {name: _missing_count(features.column(name)) for name in complete_features(model)}
    return {name: count for name, count in counts.items() if count}


def _missing_count(column: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))).as_py() or 0)


def unknown_in_table(model: ChurnModel, features: pa.Table) -> list[UnknownValues]:
    """Count the values of a table that the model doesn't know.

    Parameters
    ----------
    model : ChurnModel
    features : pyarrow.Table
        The typed columns that `feature_matrix.typed_columns` returns.

    Returns
    -------
    found : list of UnknownValues
        In the order of the schema.
    """
    cells = ((name, unknown_cells(features[name], levels)) for name, levels in model.categories.items())
    return unknown_values(model, {name: found for name, found in cells if found is not None})


def unknown_values(model: ChurnModel, unknown: Mapping[str, UnknownCells]) -> list[UnknownValues]:
    """Count the values that the model doesn't know, by feature, the most frequent ones by name.

    Parameters
    ----------
    model : ChurnModel
    unknown : mapping of str to UnknownCells
        As in a `Matrix`.

    Returns
    -------
    found : list of UnknownValues
    """
    return [_counted(model, name, cells) for name, cells in unknown.items()]


def _counted(model: ChurnModel, name: str, cells: UnknownCells) -> UnknownValues:
    counts = pc.value_counts(cells.values)
    # Equally frequent values keep the order of the rows.
    first = np.argsort(-counts.field("counts").to_numpy(), kind="stable")[:MOST_TOLD]
    told = {pair["values"].as_py(): pair["counts"].as_py() for pair in (counts[int(at)] for at in first)}
    return {
        "feature": name,
        "rows": len(cells.values),
        "values": told,
        "known_as": _known_as(told, model.categories[name]),
    }


def _known_as(values: Iterable[str], levels: Iterable[str]) -> dict[str, str]:
    known = {plain(level): level for level in levels}
    return {value: known[plain(value)] for value in values if plain(value) in known}


def row_warnings(model: ChurnModel, matrix: Matrix) -> list[list[FactWarning]]:
    """List the warnings of each of a few rows.

    Parameters
    ----------
    model : ChurnModel
    matrix : Matrix, n_rows rows

    Returns
    -------
    warnings : list of list of FactWarning, length n_rows
    """
    found: list[list[FactWarning]] = [[] for _ in matrix.values]
    for name, cells in matrix.unknown.items():
        values = cells.values.to_pylist()
        known_as = _known_as(set(values), model.categories[name])
        for row, value in zip(cells.rows.tolist(), values, strict=True):
            found[row].append({"feature": name, "kind": "unknown", "value": value, "known_as": known_as.get(value)})
    names, complete = model.schema.feature_names, set(complete_features(model))
    missing = np.isnan(matrix.values)
    for position, name in enumerate(names):
        if name in matrix.unknown:
            missing[matrix.unknown[name].rows, position] = False
    for row, position in np.argwhere(missing).tolist():
        if names[position] in complete:
            found[row].append({"feature": names[position], "kind": "missing", "value": None, "known_as": None})
    return found


def table_warnings(model: ChurnModel, features: pa.Table) -> Iterator[str]:
    """Write a sentence for each thing that makes the scores of a table less certain.

    Parameters
    ----------
    model : ChurnModel
    features : pyarrow.Table, n_rows rows
        The typed columns.

    Yields
    ------
    warning : str
        About missing facts, values that the model does not know, and values of leavers that nobody here has.
    """
    yield from missing_warnings(missing_counts(model, features), features.num_rows)
    for found in unknown_in_table(model, features):
        yield warning_of_rows(found, features.num_rows)
    chunks = (features.slice(start, CHUNK_ROWS) for start in range(0, features.num_rows, CHUNK_ROWS))
    seen = (values_seen(model, to_matrix(model.schema, model.categories, chunk)) for chunk in chunks)
    yield from serving_warnings(added_up(seen) if model.training.get(KEY) else [])
