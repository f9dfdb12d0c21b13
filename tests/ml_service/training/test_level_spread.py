"""The spread of the level between periods, and the interval of expected leavers that it widens."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit
from scipy.stats import t

from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import typed_columns
from ml_service.training import level_spread as module
from ml_service.training.pipeline import Effort, Trained, train
from shared.contracts.api import LevelSpread
from shared.expected_leavers import interval
from shared.schema.features import schema_from_dict


def history(sigma: float, seed: int, months: int = 11, customers: int = 1_500) -> Snapshot:
    """Monthly rows whose level moves by sigma from month to month."""
    rng = np.random.default_rng(seed)
    month = np.repeat(np.arange(months), customers)
    x, level = rng.normal(size=len(month)), rng.normal(0, sigma, months)
    label = (rng.random(len(month)) < expit(-2.2 + x + level[month])).astype(np.int8)
    schema = schema_from_dict({"features": {"x": {"kind": "number"}}})
    days = np.datetime64("2025-01-01") + 30 * month
    keys = pa.array(np.tile(np.arange(customers), months))
    return Snapshot(schema, typed_columns(schema, pa.table({"x": x})), label, days, keys)


def quick(snapshot: Snapshot) -> LevelSpread:
    found = train(snapshot, version="1.0.0", effort=Effort(1)).report.level
    assert found is not None
    return found


def test_a_level_that_moves_is_told_from_one_that_only_chance_moves() -> None:
    still, moved = quick(history(0.0, seed=1)), quick(history(0.3, seed=1))
    assert still.sigma is not None and moved.sigma is not None
    assert still.sigma < 0.07 and 0.15 < moved.sigma < 0.5
    assert still.periods == moved.periods == 9
    assert still.quantile == pytest.approx(t.ppf(0.975, still.periods - 1))


def test_a_short_history_gives_no_spread_and_a_table_without_dates_none(undated_model: Trained) -> None:
    short = quick(history(0.2, seed=2, months=5, customers=1_000))
    assert short.sigma is None and short.periods < 4 and short.quantile == pytest.approx(1.96, abs=1e-3)
    assert undated_model.report.level is None


@pytest.mark.parametrize("sigma", [0.0, 0.1, 0.3])
def test_intervals_hold_the_leavers_of_the_next_period_as_often_as_they_say(sigma: float) -> None:
    rng, n, periods, held, tries = np.random.default_rng(3), 4_000, 9, 0, 2_000
    p = expit(rng.normal(-2.5, 1.2, n))
    variance, expected = float((p * (1 - p)).sum()), float(p.sum())
    for _ in range(tries):
        chance = 1 / np.sqrt(variance)
        offsets = rng.normal(0, sigma, periods) + rng.normal(0, chance, periods)
        found = float(np.sqrt(max(0.0, np.var(offsets, ddof=1) - chance**2)))
        low, high = interval(expected, variance, LevelSpread(sigma=found, periods=periods, quantile=2.306))
        left = expected + variance * rng.normal(0, sigma) + np.sqrt(variance) * rng.normal()
        held += low <= left <= high
    assert 0.93 <= held / tries <= (0.995 if sigma == 0 else 0.975)


def test_an_unknown_spread_leaves_chance_alone() -> None:
    unknown = LevelSpread(sigma=None, periods=2, quantile=1.959964)
    assert interval(100, 90, unknown) == interval(100, 90, None)
    assert interval(1, 90, None)[0] == 0.0
    assert module.MIN_PERIODS == 4
