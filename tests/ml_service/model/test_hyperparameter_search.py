"""The search: a fixed list of trials, shallow unless depth pays, bags that stay additive."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xgboost as xgb

from ml_service.data.dataset import Snapshot
from ml_service.data.grouping import customer_groups
from ml_service.data.hiding import hide
from ml_service.data.splitting import fold_rows
from ml_service.model import cross_validation, hyperparameter_search
from ml_service.model.cross_validation import SearchData, SearchResult
from ml_service.model.hyperparameter_search import PORTFOLIO, Proposals, Trial, choose
from ml_service.model.trees import boosting
from ml_service.model.trees.boosting import CrossValidation
from ml_service.training.pipeline import Effort, Trained, train
from shared.schema.features import schema_from_dict


def rows_of(snapshot: Snapshot) -> SearchData:
    values = snapshot.matrix()[0].values
    return SearchData(snapshot.schema, values, snapshot.label, customer_groups(snapshot.row_keys, values))


def run(snapshot: Snapshot, **more: object) -> SearchResult:
    given = {"trials": 3, "seed": 0, "threads": 1, "progress": lambda done, stage: None, **more}
    return hyperparameter_search.search(rows_of(snapshot), **given)  # type: ignore[arg-type]


def tried(number: int, depth: int, loss: float, auc: float) -> Trial:
    return Trial(number, {}, {"max_depth": depth}, CrossValidation(10, loss, auc, [], np.empty(0)))


@pytest.mark.parametrize(
    ("deep", "chosen"),
    [((0.4996, 0.8005), 3), ((0.4994, 0.8000), 8), ((0.4999, 0.8011), 8), ((0.51, 0.79), 3)],
    ids=["within both", "more log loss", "more AUC", "worse"],
)
def test_depth_has_to_pay(deep: tuple[float, float], chosen: int) -> None:
    finished = [tried(0, 3, 0.5000, 0.8000), tried(1, 8, *deep), tried(2, 2, 0.52, 0.78)]
    assert choose(finished).params["max_depth"] == chosen


def test_the_list_of_trials_is_fixed_by_its_seed_and_does_not_depend_on_its_length() -> None:
    finished = [tried(k, 2 + k % 5, 0.5 + 0.01 * (k % 3), 0.8) for k in range(30)]
    for trial in finished:
        trial.params.update({**boosting_base(), "max_depth": trial.params["max_depth"]})
    for number in range(4, 30):
        assert Proposals(1)(number, finished[:number]) == Proposals(1)(number, finished[:number])
        assert Proposals(1)(number, finished[:number]) != Proposals(2)(number, finished[:number])
    assert [Proposals(9)(k, []) for k in range(4)] == [dict(each) for each in PORTFOLIO]


def boosting_base() -> dict[str, float]:
    return {
        "learning_rate": 0.05,
        "min_child_weight": 1.0,
        "subsample": 0.8,
        "colsample_bynode": 0.8,
        "reg_lambda": 1.0,
    }


def test_a_wide_category_of_noise_does_not_drown_what_the_others_tell() -> None:
    rng = np.random.default_rng(0)
    calls, shop = rng.normal(size=6000), rng.integers(0, 200, 6000)
    label = (rng.random(6000) < 1 / (1 + np.exp(3 - 0.8 * calls))).astype(np.int8)
    features = {"calls": {"kind": "number"}, "shop": {"kind": "category"}}
    values = np.column_stack([calls, shop]).astype(float)
    rows = SearchData(schema_from_dict({"features": features}), values, label, np.arange(6000))
    without_categories = SearchData(
        schema_from_dict({"features": {"calls": features["calls"]}}), values[:, :1], label, np.arange(6000)
    )
    assert without_categories.min_child_weight() is None and (rows.min_child_weight() or 0) > 5
    given = {"trials": 4, "seed": 0, "threads": 1, "progress": lambda done, stage: None}
    found, without = (
        hyperparameter_search.search(rows, **given),
        hyperparameter_search.search(without_categories, **given),
    )  # type: ignore[arg-type]
    assert found.summary["log_loss_by_trial"][2] < found.summary["log_loss_by_trial"][0]
    assert found.cross_validation.auc > without.cross_validation.auc - 0.01


def test_a_search_that_was_cut_short_says_so_and_is_made_again_by_its_number_of_trials(
    undated: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 1000, 10))
    # The module's own clock: threads of other tests look at the real one.
    monkeypatch.setattr(hyperparameter_search, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    cut = train(undated, version="1.0.0", effort=Effort(40, time_budget_s=15))
    assert cut.report.search["trials"] == 2 and cut.report.search["truncated"]
    assert any("--trials 2 reproduces the model" in warning for warning in cut.report.warnings)
    again = train(undated, version="1.0.0", effort=Effort(2))
    assert again.report.model_sha256 == cut.report.model_sha256
    assert not again.report.search["truncated"]


def test_the_same_data_seed_and_trials_give_the_same_model_hash(undated: Snapshot, undated_model: Trained) -> None:
    again = train(undated, version="7.7.7", effort=Effort(1), threads=2)
    assert again.report.model_sha256 == undated_model.report.model_sha256
    assert again.report.model_sha256 == again.model.checksum()
    label = undated.label.copy()
    label[undated_model.split.training[:3]] ^= 1
    other = train(replace(undated, label=label), version="7.7.7", effort=Effort(1))
    assert other.report.model_sha256 != again.report.model_sha256


def test_a_bag_is_one_booster_whose_margin_is_the_mean(undated: Snapshot) -> None:
    rows = rows_of(undated)
    params = {**boosting.parameters(rows.schema, rows=900, leavers=200, seed=1), "subsample": 0.5}
    data = xgb.DMatrix(rows.values, feature_types=boosting.feature_types(rows.schema), enable_categorical=True)
    learned = boosting._binned(rows.schema, hide(rows.values, params["seed"]), rows.label, 1)
    settings = boosting._settings(params, 1)
    boosters = [boosting._members({**settings, "seed": 1 + 1_000_003 * k}, learned, 15, 1)[0] for k in range(3)]
    bag = boosting.fit(rows.schema, params, rows.values, rows.label, rounds=15, bag=3, threads=1)
    mean = np.mean([each.predict(data, output_margin=True) for each in boosters], axis=0)
    np.testing.assert_allclose(bag.predict(data, output_margin=True), mean, atol=1e-5)
    shap = np.mean([each.predict(data, pred_contribs=True) for each in boosters], axis=0)
    np.testing.assert_allclose(bag.predict(data, pred_contribs=True), shap, atol=1e-5)
    assert bag.num_boosted_rounds() == 45


def test_a_bag_is_held_against_its_own_members_not_against_the_luck_of_the_chosen_trial(
    undated: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(undated)
    params = {**boosting.parameters(rows.schema, rows=900, leavers=200, seed=1), "subsample": 0.5, "max_depth": 6}
    whole = boosting.FoldedRows(rows.schema, rows.values, rows.label, fold_rows(rows.label, rows.groups, 0), threads=1)
    members = [whole.bagged({**params, "seed": 1 + 1_000_003 * k}, 40, 1)[0] for k in range(hyperparameter_search.BAG)]
    bag, member_loss = whole.bagged(params, 40, hyperparameter_search.BAG)
    assert member_loss == pytest.approx(np.mean([each.log_loss for each in members]), abs=1e-9)
    np.testing.assert_allclose(bag.margins, np.mean([each.margins for each in members], axis=0), atol=1e-5)
    gain = member_loss - bag.log_loss
    assert gain > 0, "log loss is convex"
    lucky = Trial(0, {}, params, replace(members[0], rounds=40, log_loss=bag.log_loss - 0.01))
    for needed, chosen in ((gain * 0.9, hyperparameter_search.BAG), (gain * 1.1, 1)):
        monkeypatch.setattr(hyperparameter_search, "BAG_GAIN", needed)
        assert hyperparameter_search._bag(whole, lucky, lambda done, stage: None)[0] == chosen


def test_a_large_table_is_raced_on_whole_customers_of_a_sample(
    dated: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_validation, "SAMPLE_ROWS", 1500)
    sample = rows_of(dated).sampled(0)
    assert len(sample.label) == 1500
    found = run(dated, trials=1)
    assert found.summary["race_rows"] == 1500 and len(found.cross_validation.margins) == len(dated.label)
