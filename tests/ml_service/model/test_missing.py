"""A value that is missing where training had none: hidden cells, corrections, and what is said of it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb

from ml_service import score
from ml_service.data import hiding
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix
from ml_service.data.hiding import complete_features, hide
from ml_service.evaluation import blanking
from ml_service.model import boosting, corrections
from ml_service.model.churn_model import ChurnModel
from ml_service.training.pipeline import Trained
from shared.contracts.api import Blanked


def matrix(snapshot: Snapshot) -> np.ndarray:
    return snapshot.matrix()[0].values


def blank(features: pa.Table, name: str) -> pa.Table:
    at = features.column_names.index(name)
    return features.set_column(at, name, pa.nulls(features.num_rows, features.column(at).type))


def test_a_complete_feature_that_is_missing_everywhere_moves_the_mean_score_by_half_at_most(
    dated: Snapshot, dated_model: Trained
) -> None:
    test = dated.features.take(pa.array(dated_model.split.test))
    whole = dated_model.model.predict(test).probability.mean()
    assert len(dated_model.report.blanked) == len(dated.schema.features)
    for each in dated_model.report.blanked:
        factor = dated_model.model.predict(blank(test, each.feature)).probability.mean() / whole
        assert each.factor == pytest.approx(factor)
        assert 1 / 1.5 <= factor <= 1.5, each.feature


def test_nothing_but_the_plan_known_is_near_the_mean_score(dated: Snapshot, dated_model: Trained) -> None:
    test = dated.features.take(pa.array(dated_model.split.test))
    bare = test
    for name in dated.schema.features:
        bare = bare if name == "plan" else blank(bare, name)
    said = dated_model.model.predict(bare).probability.mean() / dated_model.model.predict(test).probability.mean()
    assert 0.4 <= said <= 2.5


def test_cells_are_hidden_at_the_share_and_the_same_ones_for_a_seed() -> None:
    values = np.ones((20_000, 7))
    once, again, other = hide(values, 3), hide(values, 3), hide(values, 4)
    assert np.array_equal(once, again, equal_nan=True) and not np.array_equal(once, other, equal_nan=True)
    assert np.isnan(once).mean() == pytest.approx(hiding.SHARE, rel=0.15)
    assert np.isnan(once).sum(axis=1).max() >= 5, "some rows lack several at once"
    assert not np.isnan(values).any(), "what was given is as it was"


def test_no_cell_of_a_row_that_judges_is_hidden(undated: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    values = matrix(undated)
    folds = (np.arange(len(values)) % 3).astype(np.int8)
    learned: list[np.ndarray] = []
    held_out: list[np.ndarray] = []
    binned, plain = boosting._binned, xgb.DMatrix

    def spied(schema: object, part: np.ndarray, *rest: object) -> object:
        learned.append(part)
        return binned(schema, part, *rest)  # type: ignore[arg-type]

    def seen(part: np.ndarray, *rest: object, **more: object) -> object:
        held_out.append(part)
        return plain(part, *rest, **more)

    monkeypatch.setattr(boosting, "_binned", spied)
    monkeypatch.setattr(boosting.xgb, "DMatrix", seen)
    boosting.FoldedRows(undated.schema, values, undated.label, folds, threads=1, seed=5)
    for k in range(3):
        assert np.array_equal(held_out[k], values[folds == k], equal_nan=True)
        assert np.isnan(learned[k]).sum() > np.isnan(values[folds != k]).sum()


def corrected(snapshot: Snapshot, seed: int = 0) -> tuple[xgb.Booster, xgb.Booster, xgb.DMatrix, np.ndarray]:
    values = matrix(snapshot)
    params = boosting.parameters(snapshot.schema, rows=len(values), leavers=int(snapshot.label.sum()), seed=seed)
    bare = boosting.fit(snapshot.schema, params, values, snapshot.label, rounds=60, bag=1, threads=1)
    whole = corrections.correct(snapshot.schema, bare, params, values, snapshot.label, threads=1)
    types = boosting.feature_types(snapshot.schema)
    return bare, whole, xgb.DMatrix(values, feature_types=types, enable_categorical=True), values


def test_a_row_that_lacks_nothing_has_the_same_margin_with_the_corrections_to_the_bit(dated: Snapshot) -> None:
    bare, whole, data, _ = corrected(dated)
    assert whole.num_boosted_rounds() > bare.num_boosted_rounds()
    assert np.array_equal(bare.predict(data, output_margin=True), whole.predict(data, output_margin=True))


def test_corrections_are_the_same_for_a_seed_and_keep_the_schemas_directions(dated: Snapshot) -> None:
    _, whole, _, values = corrected(dated)
    assert corrected(dated)[1].save_raw("json") == whole.save_raw("json")
    types = boosting.feature_types(dated.schema)
    names = list(dated.schema.feature_names)
    for missing in names:
        for name, feature in dated.schema.features.items():
            if feature.direction == "none" or name == missing:
                continue
            at = names.index(name)
            rows = np.repeat(values[:40], 25, axis=0)
            rows[:, names.index(missing)] = np.nan
            rows[:, at] = np.tile(np.quantile(values[:, at], np.linspace(0, 1, 25)), 40)
            said = whole.predict(xgb.DMatrix(rows, feature_types=types, enable_categorical=True), output_margin=True)
            steps = np.diff(said.reshape(40, 25), axis=1)
            assert (steps >= -1e-6).all() if feature.direction == "up" else (steps <= 1e-6).all(), (missing, name)


def test_tables_answer_for_a_corrected_booster_and_reasons_add_up(dated: Snapshot, dated_model: Trained) -> None:
    model = dated_model.model
    assert model.trees.prepare() is None
    rows = blank(dated.features.slice(0, 200), "payment_failures")
    total = model.contributions(rows).sum(axis=1) + model.base_margin
    np.testing.assert_allclose(total, model.predict(rows).margin, atol=1e-9)


def test_corrections_reach_a_category_too(undated: Snapshot) -> None:
    whole_column = pa.array([name or "old" for name in undated.features["tariff"].to_pylist()], pa.string())
    at = undated.features.column_names.index("tariff")
    snapshot = replace(undated, features=undated.features.set_column(at, "tariff", whole_column))
    assert "tariff" in complete_features(snapshot.schema, matrix(snapshot))
    bare, whole, data, values = corrected(snapshot)
    assert np.array_equal(bare.predict(data, output_margin=True), whole.predict(data, output_margin=True))
    values = values.copy()
    values[:, at] = np.nan
    lacking = xgb.DMatrix(values, feature_types=boosting.feature_types(snapshot.schema), enable_categorical=True)
    loss = [
        float(np.mean(np.logaddexp(0, m) - snapshot.label * m))
        for m in (each.predict(lacking, output_margin=True) for each in (bare, whole))
    ]
    assert loss[1] <= loss[0]


def test_a_feature_counts_as_complete_where_at_most_one_row_in_a_thousand_lacks_it(dated: Snapshot) -> None:
    values = matrix(dated)[:2000]
    values[:2, 0], values[:3, 1] = np.nan, np.nan
    names = dated.schema.feature_names
    assert complete_features(dated.schema, values) == [name for name in names if name != names[1]]


def test_a_feature_beyond_a_factor_of_two_is_named_with_it() -> None:
    found = [Blanked(feature="calls", factor=2.4), Blanked(feature="age", factor=1.9), Blanked(feature="b", factor=0.3)]
    told = list(blanking.blanking_warnings(found))
    assert len(told) == 2 and "calls" in told[0] and "2.4" in told[0] and "0.3" in told[1]


def test_what_training_had_complete_is_in_the_manifest_and_the_text(saved_models: Path, dated_model: Trained) -> None:
    from ml_service.reporting.html import report_page
    from ml_service.reporting.text import report_text

    loaded = ChurnModel.load(saved_models / "2.4.1")
    assert blanking.complete_features(loaded) == list(dated_model.model.schema.feature_names)
    assert "missing that was complete in training" in report_text(dated_model.report)
    assert "If a feature is missing" in report_page(dated_model.report).decode()


def test_a_file_that_lacks_values_is_scored_with_a_warning_that_counts_them(
    saved_models: Path, dated: Snapshot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = dated.features.slice(0, 50).to_pylist()
    for row in rows[:12]:
        row["payment_failures"] = None
    with (tmp_path / "late.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["user_id", *dated.schema.feature_names])
        writer.writeheader()
        writer.writerows({"user_id": f"usr_{number}", **row} for number, row in enumerate(rows))
    given = ["--model", str(saved_models / "2.4.1"), "--data", str(tmp_path / "late.csv"), "--out", str(tmp_path / "o")]
    assert score.main(given) == 0
    told = capsys.readouterr().err
    assert "payment_failures is missing in 12 of 50 rows" in told and "tenure_months is" not in told


def test_the_matrix_of_a_blank_column_is_what_blanking_hides(dated: Snapshot, dated_model: Trained) -> None:
    model = dated_model.model
    found = to_matrix(model.schema, model.categories, blank(dated.features.slice(0, 9), "plan"))
    assert np.isnan(found.values[:, -1]).all() and not found.unknown
