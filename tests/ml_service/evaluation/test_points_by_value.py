"""Points by value: each group's figures are those of its own rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix
from ml_service.evaluation.dependence import points_by_value
from ml_service.training.pipeline import Trained


def test_each_group_has_the_mean_and_the_deciles_of_its_own_points(undated: Snapshot, undated_model: Trained) -> None:
    model = undated_model.model
    matrix = to_matrix(model.schema, model.categories, undated.features)
    explained = model.explain_rows(matrix, n_reasons=3)
    found = {each.feature: each for each in points_by_value(model, matrix.values, explained)}
    assert set(found) == {"calls", "age", "tariff"}
    tariff = undated.features.column("tariff").to_pylist()
    at = model.schema.feature_names.index("tariff")
    points = explained.points.points[explained.points.order == at]
    assert [group.value for group in found["tariff"].groups][-1] is None, "who has no tariff comes last"
    means = [group.mean for group in found["tariff"].groups[:-1]]
    assert means == sorted(means, reverse=True)
    for group in found["tariff"].groups:
        own = points[[each == group.value for each in tariff]]
        assert group.n == len(own)
        assert (group.mean, group.low, group.high) == pytest.approx((own.mean(), *np.percentile(own, (10, 90))))
    calls = found["calls"]
    bands = [group for group in calls.groups if group.lowest is not None]
    assert 5 <= len(bands) <= 10 and sum(group.n for group in calls.groups) + calls.left_out == 900
    assert all(before.highest < after.lowest for before, after in pairwise(bands))  # type: ignore[operator]
