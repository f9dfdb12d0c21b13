"""ChurnModel: what it predicts, why, and that it stays the same on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix, typed_columns
from ml_service.model.calibration import BetaCalibration
from ml_service.model.churn_model import ChurnModel
from ml_service.model.reasons import to_points
from ml_service.model.trees.boosters import MODEL_FILE
from ml_service.training.pipeline import Trained

cells = st.tuples(
    st.none() | st.floats(-1e6, 1e6),
    st.none() | st.floats(-1e3, 1e3),
    st.none() | st.sampled_from(["basic", "plus", "odd"]),
)


def table_of(model: ChurnModel, rows: list[tuple[float | None, float | None, str | None]]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    kinds = [pa.float64(), pa.float64(), pa.string()]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    return typed_columns(model.schema, pa.table(dict(zip(model.schema.feature_names, arrays, strict=True))))


def plain_booster(model: ChurnModel) -> xgb.Booster:
    booster = xgb.Booster()
    booster.load_model(bytearray(model.trees.files()[MODEL_FILE]))
    return booster


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(cells, min_size=1, max_size=90))
def test_one_row_and_many_rows_get_the_same_answer_to_the_bit(
    undated_model: Trained, rows: list[tuple[float | None, float | None, str | None]]
) -> None:
    model = undated_model.model
    together = model.explain(table_of(model, rows))
    for i, row in enumerate(rows[:12]):
        alone = model.explain(table_of(model, [row]))
        assert alone.scores.probability[0] == together.scores.probability[i]
        assert alone.scores.confidence[0] == together.scores.confidence[i]
        np.testing.assert_array_equal(alone.points.order[0], together.points.order[i])
        np.testing.assert_array_equal(alone.points.points[0], together.points.points[i])


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(cells, min_size=1, max_size=40), shown=st.integers(1, 3))
def test_points_add_up_to_the_probability(
    undated_model: Trained, rows: list[tuple[float | None, float | None, str | None]], shown: int
) -> None:
    model = undated_model.model
    found = model.explain(table_of(model, rows), n_reasons=shown)
    total = model.base_probability + found.points.points.sum(axis=1) + found.points.other
    assert total == pytest.approx(found.scores.probability, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(row=cells, ages=st.lists(st.floats(0, 120), min_size=2, max_size=20))
def test_a_stated_direction_is_kept(
    undated_model: Trained, row: tuple[float | None, float | None, str | None], ages: list[float]
) -> None:
    model = undated_model.model
    p = model.predict(table_of(model, [(row[0], age, row[2]) for age in sorted(ages)])).probability
    assert (np.diff(p) >= -1e-12).all()


def test_chunks_do_not_matter(dated_model: Trained, dated: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dated_model.model.explain(dated.features)
    monkeypatch.setattr("ml_service.model.trees.boosters.CHUNK_ROWS", 37)
    chunked = dated_model.model.explain(dated.features)
    np.testing.assert_array_equal(whole.scores.probability, chunked.scores.probability)
    np.testing.assert_array_equal(whole.points.points, chunked.points.points)


def test_contributions_add_up_to_the_margin(dated_model: Trained, dated: Snapshot) -> None:
    model = dated_model.model
    total = model.base_margin + model.contributions(dated.features).sum(axis=1)
    assert total == pytest.approx(model.predict(dated.features).margin, abs=1e-5)


def test_contributions_are_those_of_the_shap_package(dated_model: Trained, dated: Snapshot) -> None:
    shap = pytest.importorskip("shap")
    model, some = dated_model.model, dated.features.slice(0, 300)
    values = to_matrix(model.schema, model.categories, some).values
    booster = plain_booster(model)
    data = xgb.DMatrix(values, feature_types=["q"] * 6 + ["c"], enable_categorical=True)
    oracle = shap.TreeExplainer(booster).shap_values(data)
    assert model.contributions(some) == pytest.approx(oracle, abs=1e-5)


def test_probabilities_are_the_calibrated_margins_of_xgboost(undated_model: Trained, undated: Snapshot) -> None:
    model = undated_model.model
    values = to_matrix(model.schema, model.categories, undated.features).values
    data = xgb.DMatrix(values, feature_types=["q", "q", "c"], enable_categorical=True)
    margin = plain_booster(model).predict(data, output_margin=True)
    assert model.predict(undated.features).probability == pytest.approx(model.calibration(margin), abs=1e-5)


def test_points_keep_the_sign_and_the_order_of_the_contributions(undated_model: Trained, undated: Snapshot) -> None:
    model = undated_model.model
    found = model.explain(undated.features)
    points, contributions = found.points.points, found.points.contributions
    assert (np.diff(np.abs(contributions), axis=1) <= 0).all() and (np.diff(np.abs(points), axis=1) <= 0).all()
    assert (np.sign(points) == np.sign(contributions)).all()
    # The straight path: all points of a row are the same multiple of its contributions.
    rate = (found.scores.probability - model.base_probability) / contributions.sum(axis=1)
    assert points == pytest.approx(contributions * rate[:, None], abs=1e-9)


def test_points_at_the_base_margin_are_those_of_the_slope_there() -> None:
    calibration = BetaCalibration(a=0.8, b=1.3, c=-0.4)
    contributions, base = np.array([[0.7, -0.7], [0.7, -0.7 + 1e-4]]), -1.2
    p = calibration(base + contributions.sum(axis=1))
    found = to_points(calibration, contributions, base, p, float(calibration(base)), 2)
    difference = (calibration(base + 1e-5) - calibration(base - 1e-5)) / 2e-5
    assert found.points[0] == pytest.approx(np.array([0.7, -0.7]) * difference, rel=1e-6)
    assert found.points[1] == pytest.approx(found.points[0], rel=1e-3)


def test_confidence_is_that_of_the_label(undated_model: Trained, undated: Snapshot) -> None:
    model, scores = undated_model.model, undated_model.model.predict(undated.features)
    np.testing.assert_array_equal(scores.label, scores.probability >= model.threshold)
    expected = np.where(scores.label == 1, scores.probability, 1 - scores.probability)
    np.testing.assert_array_equal(scores.confidence, expected)
    both = model.predict_proba(undated.features)
    assert both.shape == (900, 2) and both.sum(axis=1) == pytest.approx(1)


def test_no_rows_get_no_answers(undated_model: Trained, undated: Snapshot) -> None:
    found = undated_model.model.explain(undated.features.slice(0, 0), undated.row_keys.slice(0, 0))
    assert found.scores.probability.shape == (0,) and found.points.order.shape == (0, 3)


def test_a_row_that_was_in_training_is_scored_by_a_model_that_had_not_seen_it(
    undated_model: Trained, undated: Snapshot
) -> None:
    model, split = undated_model.model, undated_model.split
    scores = model.predict(undated.features, undated.row_keys)
    final = model.predict(undated.features)
    assert scores.out_of_fold.all() and (scores.probability != final.probability).mean() > 0.9
    assert model.sibling is not None
    scores, final = model.sibling.predict(undated.features, undated.row_keys), model.sibling.predict(undated.features)
    assert scores.out_of_fold[split.training].all() and not scores.out_of_fold[split.test].any()
    np.testing.assert_array_equal(scores.probability[split.test], final.probability[split.test])


def test_out_of_fold_scores_are_those_of_their_fold_and_add_up(undated_model: Trained, undated: Snapshot) -> None:
    model, files = undated_model.model, undated_model.model.trees.files()
    assert model.training_folds is not None
    found = model.explain(undated.features, undated.row_keys)
    folds = model.training_folds.fold_of(undated.row_keys)
    values = to_matrix(model.schema, model.categories, undated.features).values
    for fold in range(5):
        booster, rows = xgb.Booster(), np.flatnonzero(folds == fold)
        booster.load_model(bytearray(files[f"fold_{fold}.ubj"]))
        data = xgb.DMatrix(values[rows], feature_types=["q", "q", "c"], enable_categorical=True)
        assert found.scores.margin[rows] == pytest.approx(booster.predict(data, output_margin=True), abs=1e-5)
    total = model.base_probability + found.points.points.sum(axis=1) + found.points.other
    assert total == pytest.approx(found.scores.probability, abs=1e-9)


def test_the_same_data_and_seed_give_the_same_model(undated: Snapshot) -> None:
    def files(seed: int, threads: int) -> dict[str, str]:
        model = ChurnModel(undated.schema, version="1.0.0", seed=seed, threads=threads)
        model.fit(undated.features, undated.label, row_keys=undated.row_keys, keep_folds=True)
        return {name: hashlib.sha256(data).hexdigest() for name, data in model.trees.files().items()}

    assert files(0, 1) == files(0, 1) == files(0, 2)
    assert files(1, 1) != files(0, 1)


def test_a_saved_model_answers_as_before(undated_model: Trained, undated: Snapshot, tmp_path: Path) -> None:
    model = undated_model.model
    model.save(tmp_path / "m")
    again = ChurnModel.load(tmp_path / "m")
    before, after = model.explain(undated.features, undated.row_keys), again.explain(undated.features, undated.row_keys)
    np.testing.assert_array_equal(before.scores.probability, after.scores.probability)
    np.testing.assert_array_equal(before.points.points, after.points.points)
    assert (again.threshold, again.base_probability, again.report) == (
        model.threshold,
        model.base_probability,
        model.report,
    )


def test_a_score_is_the_explained_score_to_the_bit_with_tables_and_without(
    undated: Snapshot, undated_model: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undated_model.model.save(tmp_path / "m", about={})
    for most in (8_000_000, 3):
        monkeypatch.setattr("ml_service.model.trees.shap_tables.MAX_VALUES", most)
        model = ChurnModel.load(tmp_path / "m")
        assert (model.trees.prepare() is None) == (most > 3)
        explained = model.explain(undated.features, undated.row_keys).scores.probability
        np.testing.assert_array_equal(model.predict(undated.features, undated.row_keys).probability, explained)
