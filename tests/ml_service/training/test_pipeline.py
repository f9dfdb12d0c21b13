"""From a snapshot to a model and its report."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from ml_service.acceptance import missed_floors
from ml_service.data.dataset import Snapshot, read_params, read_snapshot
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.simulated import simulated
from ml_service.evaluation.baselines import BaselineData, baselines
from ml_service.model.churn_model import ChurnModel
from ml_service.training.pipeline import Trained, train
from shared.contracts import arrow
from shared.errors import InsufficientData, InvalidInput, NoSignal
from shared.schema.features import schema_from_dict
from tests.ml_service.conftest import QUICK, SLOW_S, as_stream, make_undated


def test_test_rows_never_reach_the_model(undated_model: Trained, undated: Snapshot) -> None:
    test = undated_model.split.test
    label = undated.label.copy()
    # The same number of leavers, so that the rows are dealt alike: who left among the test rows is shuffled.
    label[test] = np.random.default_rng(0).permutation(label[test])
    calls = undated.features["calls"].to_numpy().copy()
    calls[test] = 1000
    kept = np.isin(np.arange(len(label)), undated_model.split.training)
    assert (label[~kept] != undated.label[~kept]).any()
    by_hand = ChurnModel(undated.schema, version="1.0.0").fit(
        undated.features.filter(pa.array(kept)),
        undated.label[kept],
        row_keys=undated.row_keys.filter(pa.array(kept)),
        keep_folds=True,
        trials=1,
    )
    sibling = undated_model.model.sibling
    assert sibling is not None and by_hand.trees.files() == sibling.trees.files()
    assert by_hand.calibration == sibling.calibration


def test_the_live_model_is_the_siblings_configuration_fitted_to_all_rows(
    undated_model: Trained, undated: Snapshot
) -> None:
    live, sibling, report = undated_model.model, undated_model.model.sibling, undated_model.report
    assert sibling is not None and report.live is not None
    changes = live.search["changes"]
    assert changes == sibling.search["changes"] and changes.items() <= live.parameters.items()
    assert live.parameters["bag"] == sibling.parameters["bag"] and live.checksum() != sibling.checksum()
    assert report.live.rows == live.training["rows"] == 900 and report.live.leavers == undated.label.sum()
    assert report.model_sha256 == live.checksum() and report.live.threshold == live.threshold
    assert report.test.threshold == sibling.threshold, "the figures are the sibling's"
    by_hand = sibling.refit(undated.features, undated.label, row_keys=undated.row_keys, keep_folds=True)
    assert by_hand.trees.files() == live.trees.files() and by_hand.calibration == live.calibration


def test_labels_of_the_test_period_never_reach_the_model(dated_model: Trained, dated: Snapshot) -> None:
    test = dated_model.split.test
    label = dated.label.copy()
    label[test] = 1 - label[test]
    features = dated.features.set_column(
        0,
        "watch_time_hours",
        pa.array(np.where(np.isin(np.arange(len(label)), test), 1e6, dated.features["watch_time_hours"].to_numpy())),
    )
    other = train(replace(dated, label=label, features=features), version="2.4.1", effort=QUICK)
    one, two = other.model.sibling, dated_model.model.sibling
    assert one is not None and two is not None and one.checksum() == two.checksum()
    assert other.model.checksum() != dated_model.model.checksum(), "the live model knows them"
    assert other.report.test.auc != dated_model.report.test.auc


def test_the_report_tells_the_split_and_the_figures(dated_model: Trained, dated: Snapshot) -> None:
    report = dated_model.report
    assert report.split == "time" and report.out_of_fold_rows == 0
    assert report.training_samples == 11 * 500 and report.test.n == 500
    assert report.training_period == ("2025-01-15", "2025-11-11")
    assert report.test.period == ("2025-12-11", "2025-12-11")
    assert report.live is not None and report.live.period == ("2025-01-15", "2025-12-11")
    assert report.auc == report.test.auc and report.precision == report.test.precision
    assert sum(each.importance for each in report.importance) == pytest.approx(1)
    assert set(report.baselines) == {"constant", "best_single_rule", "logistic_regression", "v1_0"}
    assert report.auc > report.baselines["logistic_regression"].auc - 0.05  # 500 test rows
    assert report.auc > report.baselines["v1_0"].auc > 0.5 == report.baselines["constant"].auc


def test_each_simple_model_is_told_in_words_that_stand_alone(dated_model: Trained) -> None:
    said = {name: each.note for name, each in dated_model.report.baselines.items()}
    rate = f"{100 * dated_model.report.training_prevalence:.2f} %"
    assert said["constant"] == f"The churn rate of the training rows, {rate}, for every customer"
    assert re.fullmatch(r"The best single rule: .+ is at most [-\d.]+", said["best_single_rule"])
    assert said["logistic_regression"] == "Logistic regression on all features"
    assert said["v1_0"].startswith("v1.0: logistic regression on ")


def test_an_undated_report_says_how_it_was_split(undated_model: Trained) -> None:
    report = undated_model.report
    assert report.split == "stratified" and report.training_period is None and report.test.period is None
    assert report.out_of_fold_rows == 900 and report.training_samples == len(undated_model.split.training)
    assert 670 <= report.training_samples <= 680  # rows that are alike stay together
    assert report.baselines["v1_0"].auc is None and "names no tenure" in report.baselines["v1_0"].note
    assert any("no dates" in warning for warning in report.warnings)
    assert any("out-of-fold" in warning for warning in report.warnings)


def test_one_single_date_counts_as_none(undated: Snapshot) -> None:
    single = replace(undated, as_of=np.full(900, np.datetime64("2026-05-01")))
    report = train(single, version="1.0.0", effort=QUICK).report
    assert report.split == "stratified" and report.out_of_fold_rows > 0
    assert any("only one date" in warning for warning in report.warnings)


def test_a_table_without_ids_keeps_no_keys(undated: Snapshot) -> None:
    trained = train(replace(undated, row_keys=pa.nulls(900, pa.int64())), version="1.0.0", effort=QUICK)
    assert trained.model.training_folds is None and trained.report.out_of_fold_rows == 0
    assert any("no ids" in warning for warning in trained.report.warnings)
    assert not trained.model.predict(undated.features, undated.row_keys).out_of_fold.any()


def test_the_champion_is_judged_on_the_same_test_rows(undated: Snapshot, undated_model: Trained) -> None:
    again = train(undated, version="3.0.1", effort=QUICK, champion=undated_model.model.sibling).report
    assert again.champion == undated_model.report.test


def test_a_champion_judged_on_rows_it_was_trained_on_is_scored_out_of_fold(
    undated: Snapshot, undated_model: Trained
) -> None:
    sibling = undated_model.model.sibling
    assert sibling is not None
    other_split = train(undated, version="3.0.1", effort=QUICK, seed=5, champion=sibling)
    test = other_split.split.test
    assert set(test) & set(undated_model.split.training)
    features = undated.features.take(pa.array(test))
    honest = sibling.predict(features, undated.row_keys.take(pa.array(test))).probability
    assert other_split.report.champion is not None
    assert other_split.report.champion.brier == pytest.approx(np.mean((honest - undated.label[test]) ** 2))


def test_a_champion_of_other_features_is_left_out_with_a_warning(undated: Snapshot, dated_model: Trained) -> None:
    report = train(undated, version="3.0.1", effort=QUICK, champion=dated_model.model).report
    assert report.champion is None
    assert any("Model 2.4.1 has different features" in warning for warning in report.warnings)


def test_copies_of_a_row_stay_together_so_that_noise_cannot_be_learned() -> None:
    rng = np.random.default_rng(1)
    schema = schema_from_dict({"features": {"noise": {"kind": "number"}}})
    noise, label = rng.random(500), (rng.random(500) < 0.3).astype(np.int8)
    doubled = Snapshot(
        schema,
        typed_columns(schema, pa.table({"noise": np.tile(noise, 2)})),
        np.tile(label, 2),
        None,
        pa.nulls(1000, pa.int64()),
    )
    with pytest.raises(NoSignal, match="No signal found"):
        train(doubled, version="1.0.0", effort=QUICK)


def test_too_few_leavers_are_refused(undated: Snapshot) -> None:
    label = np.zeros(900, dtype=np.int8)
    label[:20] = 1
    with pytest.raises(InsufficientData, match="20 leavers and 880 stayers; at least 25"):
        train(replace(undated, label=label), version="1.0.0", effort=QUICK)


def test_the_stream_and_the_file_lead_to_the_same_checksum(undated: Snapshot) -> None:
    table = arrow.decode(as_stream(undated))
    params, schema = read_params(table)
    assert params.model_version == "9.0.0"
    assert read_snapshot(table, schema).checksum() == undated.checksum()
    assert make_undated(seed=8).checksum() != undated.checksum()


def test_a_label_other_than_0_and_1_is_refused(undated: Snapshot) -> None:
    table = arrow.decode(as_stream(undated))
    for wrong in (
        pa.array([2] * 900, pa.int8()),
        pa.nulls(900, pa.int8()),
        pa.array([0.5] * 900),
        pa.array(["1"] * 900),
    ):
        with pytest.raises(InvalidInput, match="label"):
            read_snapshot(table.set_column(2, "label", wrong), undated.schema)


def test_dates_on_some_rows_only_are_refused(undated: Snapshot) -> None:
    table = arrow.decode(as_stream(undated))
    dates = pa.array([None] + [20_000] * 899, pa.int32()).cast(pa.date32())
    with pytest.raises(InvalidInput, match="on every row or on none"):
        read_snapshot(table.set_column(1, "as_of", dates), undated.schema)


def test_the_baseline_of_v1_0_looks_at_tenure_and_plan_only(dated: Snapshot, dated_model: Trained) -> None:
    matrix, levels = dated.matrix()
    split = dated_model.split

    def judged(values: np.ndarray) -> float | None:
        sides = BaselineData(
            dated.schema,
            levels,
            values[split.training],
            dated.label[split.training],
            values[split.test],
            dated.label[split.test],
        )
        return baselines(sides)["v1_0"].auc

    changed = matrix.values.copy()
    changed[:, [dated.schema.feature_names.index(n) for n in ("watch_time_hours", "last_login_days")]] = 0
    assert judged(matrix.values) == judged(changed) == dated_model.report.baselines["v1_0"].auc


def test_the_true_probability_is_no_feature() -> None:
    made = simulated(customers=200, seed=1)
    assert set(made.snapshot.features.column_names) == set(made.snapshot.schema.feature_names)
    assert made.ceiling_auc is not None and made.ceiling_auc > 0.85
    with pytest.raises(InvalidInput, match="no preset"):
        simulated("imagined")


@pytest.mark.slow
@pytest.mark.timeout(SLOW_S)
@pytest.mark.parametrize("seed", range(1, 11))
def test_the_documented_simulation_clears_the_documented_figures(seed: int) -> None:
    report = train(simulated(seed=seed).snapshot, version="1.0.0", seed=seed).report
    assert (report.training_samples, report.test.n) == (120_000, 40_000)
    assert missed_floors(report) == []
    assert report.ceiling is not None and report.auc < report.ceiling.auc
    assert 0.69 < report.baselines["v1_0"].auc < 0.75
    assert report.calibration is not None and 0.9 <= report.calibration.slope <= 1.1
    assert report.calibration.confidence_holds and report.calibration.tail_upper >= 0.7
    assert report.test.ece < 0.006


@pytest.mark.slow
@pytest.mark.timeout(SLOW_S)
def test_confidence_is_the_rate_at_which_labels_turn_out_right() -> None:
    made = simulated(seed=0)
    trained = train(made.snapshot, version="1.0.0", effort=QUICK)
    rows = pa.array(trained.split.test)
    scores = trained.model.predict(made.snapshot.features.take(rows))
    right = scores.label == made.snapshot.label[trained.split.test]
    bins = np.array_split(np.argsort(scores.confidence, kind="stable"), 10)
    gaps = np.array([right[b].mean() - scores.confidence[b].mean() for b in bins])
    assert np.abs(gaps).mean() <= 0.015
    errors = np.array([right[b].std() / np.sqrt(len(b)) for b in bins])
    assert (-gaps <= np.maximum(0.03, 3 * errors)).all()
