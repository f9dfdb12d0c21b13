"""The bars of a missing feature, on both presets and on real tables: minutes, so none of the default tests."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluate import missing
from tests.evaluate.tables import DATA, is_there
from tests.ml_service.conftest import SLOW_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SLOW_S)]
SEEDS = range(5)
#: Log loss of rows without a feature over that of a model trained without it, mean of the seeds.
WITHIN = 1.02


def found(name: str) -> tuple[list[missing.Figures], list[missing.Figures]]:
    parts = [missing.parted(name, seed) for seed in SEEDS]
    ours = [missing.measured(at, missing.others(at)) for at in parts]
    return ours, [missing.measured(at, {}, share=0.0, stood_in=False) for at in parts]


def check(name: str, factor: float) -> None:
    ours, plain = found(name)
    for each in ours:
        for feature, (times, _) in each.blank.items():
            assert 1 / factor <= times <= factor, feature
    for feature in ours[0].blank:
        loss = np.mean([each.blank[feature][1] for each in ours if feature in each.blank])
        assert loss <= WITHIN, feature
    assert np.mean([p.auc - each.auc for each, p in zip(ours, plain, strict=True)]) <= 0.0005


@pytest.mark.parametrize("preset", ["documented", "realistic"])
def test_of_the_simulated_a_missing_feature_costs_what_a_model_without_it_costs(preset: str) -> None:
    check(preset, 1.5)


@pytest.mark.parametrize("table", ["telco", "iranian"])
def test_on_a_real_table_a_missing_feature_costs_what_a_model_without_it_costs(table: str) -> None:
    if not is_there(table):
        pytest.skip(f"the real tables are not in {DATA} (RETAINSTREAM_DATA)")
    check(table, 2.0)
