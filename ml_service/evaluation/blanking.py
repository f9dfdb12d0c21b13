"""Change of the scores if a feature that was complete in training is missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from ml_service.arrays import Dates
from ml_service.evaluation.fact_warnings import complete_features
from ml_service.evaluation.figures import recent_rows
from ml_service.model.churn_model import ChurnModel
from shared.contracts.api import Blanked

#: The report warns if the mean score changes by more than this factor, up or down.
MAX_FACTOR = 2.0


def blanked(model: ChurnModel, features: pa.Table, row_keys: pa.Array, as_of: Dates | None) -> list[Blanked]:
    """Measure the factor by which the mean score changes when a complete feature is missing.

    Parameters
    ----------
    model : ChurnModel
    features : pyarrow.Table, n_rows rows
        Typed columns of the test rows; only the newest rows are used.
    row_keys : pyarrow array of int64, length n_rows
        Customers of the test rows.
    as_of : ndarray of datetime64[D], shape (n_rows,), or None
        Dates of the test rows.

    Returns
    -------
    effects : list of Blanked
        The factors furthest from 1 first.
    """
    rows = pa.array(recent_rows(features.num_rows, as_of, model.seed))
    features, keys = features.take(rows), row_keys.take(rows)
    complete_mean = float(model.predict(features, keys).probability.mean())
    effects = []
    for name in complete_features(model):
        column = features.column_names.index(name)
        without = features.set_column(column, name, pa.nulls(len(keys), features.column(column).type))
        mean = float(model.predict(without, keys).probability.mean())
        effects.append(Blanked(feature=name, factor=mean / complete_mean if complete_mean > 0 else 1.0))
    return sorted(effects, key=lambda each: -abs(np.log(max(each.factor, 1e-9))))


def blanking_warnings(effects: list[Blanked]) -> Iterator[str]:
    """Write a sentence for each feature whose absence changes the mean score by more than a factor of 2.

    Parameters
    ----------
    effects : list of Blanked

    Yields
    ------
    warning : str
    """
    for each in effects:
        if not 1 / MAX_FACTOR <= each.factor <= MAX_FACTOR:
            yield (
                f"{each.feature} was complete in training; without it, the mean score is {each.factor:.2g} times as "
                "high. Import it before scoring."
            )
