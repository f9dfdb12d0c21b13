"""Small tables, noise, and columns that no model can use: handled, or refused with the column and what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import typed_columns
from ml_service.model.churn_model import MAX_CATEGORIES
from ml_service.model.signal_test import out_of_fold_signal
from ml_service.training.pipeline import Effort, train
from shared.errors import InsufficientData, InvalidInput, NoSignal
from shared.schema.features import schema_from_dict
from tests.ml_service.conftest import QUICK, make_undated
from tests.ml_service.data.test_leakage import planted


def with_leavers(leavers: int, rows: int = 500) -> Snapshot:
    """A table of so many rows and leavers, whose first number tells a good deal."""
    rng = np.random.default_rng(3)
    label = np.zeros(rows, dtype=np.int8)
    label[rng.choice(rows, leavers, replace=False)] = 1
    base = make_undated(rows)
    calls = rng.normal(0, 1, rows) + 1.6 * label
    features = base.features.set_column(0, "calls", pa.chunked_array([pa.array(calls)]))
    return replace(base, label=label, features=features)


def test_five_hundred_rows_with_25_leavers_give_a_model_with_wide_intervals() -> None:
    report = train(with_leavers(25), version="1.0.0").report
    low, high = report.intervals["auc"] or (0, 0)
    assert high - low > 0.05
    assert report.test.log_loss < 1.2 * report.baselines["constant"].log_loss
    assert any("only" in warning and "leavers" in warning for warning in report.warnings)


def test_fewer_leavers_are_refused_with_the_counts_that_are_needed() -> None:
    with pytest.raises(InsufficientData, match="24 leavers and 476 stayers; at least 25 of each are needed"):
        train(with_leavers(24), version="1.0.0")


@pytest.mark.parametrize("seed", range(6))
def test_random_labels_give_no_model(seed: int) -> None:
    label = (np.random.default_rng(seed).random(900) < 0.2).astype(np.int8)
    with pytest.raises(NoSignal, match="No signal found"):
        train(replace(make_undated(seed=seed), label=label), version="1.0.0", effort=Effort(2), seed=seed)


def test_the_signal_of_noise_stays_within_its_standard_errors() -> None:
    rng = np.random.default_rng(0)
    folds = np.arange(2000) % 5
    z = [
        out_of_fold_signal(np.round(rng.normal(size=2000), 1), (rng.random(2000) < 0.1).astype(np.int8), folds).z
        for _ in range(200)
    ]
    assert 0.85 < np.std(z) < 1.15 and abs(np.mean(z)) < 0.25


def test_copies_of_rows_do_not_make_a_signal_stronger() -> None:
    rng = np.random.default_rng(1)
    margin, label, folds = rng.normal(size=600), (rng.random(600) < 0.3).astype(np.int8), np.arange(600) % 5
    once = out_of_fold_signal(margin, label, folds)
    often = out_of_fold_signal(np.tile(margin, 9), np.tile(label, 9), np.tile(folds, 9), copies=9)
    assert often.z == pytest.approx(once.z, rel=0.02)


def test_constant_and_empty_columns_are_of_no_use_and_said_so(undated: Snapshot) -> None:
    snapshot = planted(planted(undated, np.full(900, 4.0), "always_4"), np.full(900, np.nan), "never_there")
    report = train(snapshot, version="1.0.0", effort=QUICK).report
    told = " ".join(report.warnings)
    assert "always_4 has the same value" in told and "never_there has no value" in told


def test_a_table_of_nothing_but_constants_is_refused(undated: Snapshot) -> None:
    schema = schema_from_dict({"features": {"a": {"kind": "number"}}})
    features = typed_columns(schema, pa.table({"a": np.ones(900)}))
    with pytest.raises(InvalidInput, match="nothing to learn from"):
        train(Snapshot(schema, features, undated.label, None, undated.row_keys), version="1.0.0")


def test_an_id_that_poses_as_a_category_is_refused_with_what_to_do(undated: Snapshot) -> None:
    with pytest.raises(InvalidInput, match="ref: 900 different values in 900 rows") as refused:
        train(planted(undated, [f"c-{i}" for i in range(900)], "ref"), version="1.0.0")
    assert refused.value.details[0]["field"] == "ref"


def test_a_number_that_is_an_id_is_pointed_at(undated: Snapshot) -> None:
    numbers = np.random.default_rng(0).permutation(900).astype(float) + 10_000
    report = train(planted(undated, numbers, "account"), version="1.0.0", effort=QUICK).report
    assert any("account has a different whole number" in warning for warning in report.warnings)


def test_ten_thousand_categories_are_cut_to_the_commonest() -> None:
    rng = np.random.default_rng(0)
    shops = [f"shop {k}" for k in [*range(10_000), *rng.integers(0, 300, 5_000)]]
    base = make_undated(len(shops))
    trained = train(planted(base, shops, "shop"), version="1.0.0", effort=QUICK)
    assert len(trained.model.categories["shop"]) == MAX_CATEGORIES
    assert any("shop has more than 200" in warning for warning in trained.report.warnings)


def test_one_class_is_refused_with_both_counts(undated: Snapshot) -> None:
    for label, told in ((np.zeros(900, np.int8), "0 leavers and 900"), (np.ones(900, np.int8), "900 leavers and 0")):
        with pytest.raises(InsufficientData, match=told):
            train(replace(undated, label=label), version="1.0.0")


def test_infinite_values_are_refused_with_column_and_row(undated: Snapshot) -> None:
    column = undated.features["calls"].to_numpy().copy()
    column[17] = np.inf
    with pytest.raises(InvalidInput, match="calls: Infinite") as refused:
        typed_columns(undated.schema, undated.features.set_column(0, "calls", pa.array(column)))
    assert refused.value.details[0]["row"] == 17
