"""What a model says where a feature is missing that training had complete.

Law: test rows are scored once more for each such feature; nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_service.arrays import Dates
from ml_service.evaluation.figures import recent_rows
from ml_service.model.churn_model import ChurnModel
from shared.contracts.api import Blanked

#: Beyond it, or below one over it, a report warns of the feature.
FACTOR = 2.0


def complete_features(model: ChurnModel) -> list[str]:
    """Features that training had complete; none are known of a model from before this was noted."""
    return list(model.training.get("complete_features", []))


def missing_counts(model: ChurnModel, features: pa.Table) -> dict[str, int]:
    """Features that training had complete to the count of rows that lack them, only above 0.

    Parameters
    ----------
    features
        As `feature_matrix.typed_columns` gives them.
    """
    counted = {name: _gaps(features.column(name)) for name in complete_features(model)}
    return {name: count for name, count in counted.items() if count}


def _gaps(column: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))).as_py() or 0)


def blanked(model: ChurnModel, features: pa.Table, row_keys: pa.Array, as_of: Dates | None) -> list[Blanked]:
    """Each complete feature with the factor by which the mean score changes without it, furthest from 1 first.

    Parameters
    ----------
    features, row_keys, as_of
        Of the test rows, of which the newest are asked.
    """
    rows = pa.array(recent_rows(features.num_rows, as_of, model.seed))
    features, keys = features.take(rows), row_keys.take(rows)
    whole = float(model.predict(features, keys).probability.mean())
    found = []
    for name in complete_features(model):
        at = features.column_names.index(name)
        without = features.set_column(at, name, pa.nulls(len(keys), features.column(at).type))
        mean = float(model.predict(without, keys).probability.mean())
        found.append(Blanked(feature=name, factor=mean / whole if whole > 0 else 1.0))
    return sorted(found, key=lambda each: -abs(np.log(max(each.factor, 1e-9))))


def cautions(found: list[Blanked]) -> Iterator[str]:
    """A sentence for each feature whose absence moves the mean score too far."""
    for each in found:
        if not 1 / FACTOR <= each.factor <= FACTOR:
            yield (
                f"{each.feature} is complete in training; where it is missing, the mean score is {each.factor:.2g} "
                "times that with it. Import it before scoring."
            )


def warnings(missing: Mapping[str, int], rows: int) -> list[str]:
    """A sentence for each feature that is missing here and that training had complete."""
    return [
        f"{name} is missing in {count:,} of {rows:,} rows; training had it complete. The scores of these rows are less "
        "certain."
        for name, count in missing.items()
    ]
