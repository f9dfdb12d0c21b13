"""Tables against xgboost and against the shap package, over random models and rows that lie on every edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_service.model.out_of_fold import UNSEEN
from ml_service.model.trees import boosters as trees_module
from ml_service.model.trees import shap_tables as tables_module
from ml_service.model.trees.boosters import Trees
from ml_service.model.trees.forest import NotCompiled, sum_of_leaves
from ml_service.model.trees.shap_tables import FEW_ROWS, ShapTables

CODES = 6
LIMIT = 1e-5


def random_model(
    seed: int, features: int, depth: int, *, categories: int = 0, rounds: int = 12, rows: int = 400, **more: Any
) -> tuple[xgb.Booster, list[str]]:
    """A booster for noise with a signal in it, with gaps, ties and the first columns categories."""
    rng = np.random.default_rng(seed)
    values = np.round(rng.normal(0, 2, (rows, features)), int(rng.integers(0, 3)))
    types = ["c"] * categories + ["q"] * (features - categories)
    values[:, :categories] = rng.integers(0, CODES, (rows, categories))
    signal = (values * rng.normal(0, 1, features)).sum(axis=1) + np.sin(values[:, 0] * 3)
    label = (signal + rng.normal(0, 1, rows) > np.median(signal)).astype(float)
    values[rng.random(values.shape) < rng.choice([0, 0.1, 0.5])] = np.nan
    data = xgb.DMatrix(values, label, feature_types=types, enable_categorical=True)
    params = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.3, "nthread": 1, "seed": seed, **more}
    return xgb.train(params, data, rounds), types


def edge_rows(tables: ShapTables, types: list[str], seed: int, rows: int = 60) -> np.ndarray:
    """Thresholds, their neighbours, missing values, codes nobody has seen, numbers far out."""
    rng = np.random.default_rng(seed)
    values = tables.sample(rows)
    far = rng.random(values.shape) < 0.1
    values[far] = rng.choice([-1e30, -0.0, 0.0, 1e-45, 1e30], far.sum())
    for at, kind in enumerate(types):
        if kind == "c":
            values[far[:, at], at] = rng.integers(0, 40, far[:, at].sum())
    return values


def theirs(booster: xgb.Booster, types: list[str], values: np.ndarray) -> np.ndarray:
    data = xgb.DMatrix(values, feature_types=types, enable_categorical=True, nthread=1)
    return np.asarray(booster.predict(data, pred_contribs=True), dtype=np.float64)


def margins(booster: xgb.Booster, types: list[str], values: np.ndarray) -> np.ndarray:
    data = xgb.DMatrix(values, feature_types=types, enable_categorical=True, nthread=1)
    return np.asarray(booster.predict(data, output_margin=True), dtype=np.float64)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31), features=st.integers(1, 30), depth=st.integers(1, 3), share=st.floats(0, 1))
def test_tables_say_what_xgboost_says_on_every_edge(seed: int, features: int, depth: int, share: float) -> None:
    booster, types = random_model(seed, features, depth, categories=int(share * features))
    tables = ShapTables([booster], features)
    values = edge_rows(tables, types, seed)
    margin, shap = tables.explain(values)
    expected = theirs(booster, types, values)
    assert pytest.approx(expected[:, :-1], abs=LIMIT) == shap.T
    assert tables.base_margin == pytest.approx(expected[0, -1], abs=LIMIT)
    assert margin == pytest.approx(margins(booster, types, values), abs=LIMIT)
    assert tables.base_margin + shap.sum(axis=0) == pytest.approx(margin, abs=1e-12)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**31), features=st.integers(1, 12), depth=st.integers(1, 3))
def test_tables_say_what_the_shap_package_says(seed: int, features: int, depth: int) -> None:
    shap = pytest.importorskip("shap")
    booster, types = random_model(seed, features, depth)
    tables = ShapTables([booster], features)
    values = edge_rows(tables, types, seed)
    expected = shap.TreeExplainer(booster).shap_values(xgb.DMatrix(values, feature_types=types))
    assert pytest.approx(expected, abs=LIMIT) == tables.explain(values)[1].T


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), features=st.integers(1, 20), at=st.integers(0, 299), cut=st.integers(1, 300))
def test_one_row_and_many_get_the_same_bits_however_they_are_cut(seed: int, features: int, at: int, cut: int) -> None:
    booster, types = random_model(seed % 7, features, 3, categories=features // 3)
    tables = ShapTables([booster], features)
    values = edge_rows(tables, types, seed, rows=300)
    margin, shap = tables.explain(values)
    for part in (slice(at, at + 1), slice(0, cut), slice(cut, 300)):
        own_margin, own_shap = tables.explain(values[part])
        np.testing.assert_array_equal(own_margin, margin[part])
        np.testing.assert_array_equal(own_shap, shap[:, part])


def test_both_ways_of_asking_add_in_the_same_order() -> None:
    booster, types = random_model(3, 25, 3, categories=5, rounds=60)
    tables = ShapTables([booster], 25)
    values = edge_rows(tables, types, 1, rows=FEW_ROWS + 1)
    whole = tables.explain(values)[1]
    np.testing.assert_array_equal(tables.explain(values[:FEW_ROWS])[1], whole[:, :FEW_ROWS])


@pytest.mark.parametrize("features", [60, 100])
def test_a_hundred_features_fit(features: int) -> None:
    booster, types = random_model(1, features, 3, rounds=60, rows=2000)
    tables = ShapTables([booster], features)
    values = edge_rows(tables, types, 1)
    assert pytest.approx(theirs(booster, types, values)[:, :-1], abs=LIMIT) == tables.explain(values)[1].T


@pytest.mark.parametrize("cells", [1, 64, 100_000])
def test_how_sets_are_put_together_changes_nothing(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    booster, types = random_model(5, 9, 3, categories=3, rounds=40)
    monkeypatch.setattr(tables_module, "SHARED_CELLS", cells)
    monkeypatch.setattr(tables_module, "BLOCK_VALUES", 50)
    tables = ShapTables([booster], 9)
    values = edge_rows(tables, types, 1)
    assert pytest.approx(theirs(booster, types, values)[:, :-1], abs=LIMIT) == tables.explain(values)[1].T


def test_deeper_trees_are_the_same_game() -> None:
    booster, types = random_model(5, 8, 5, rounds=20)
    tables = ShapTables([booster], 8)
    values = edge_rows(tables, types, 1)
    assert pytest.approx(theirs(booster, types, values)[:, :-1], abs=LIMIT) == tables.explain(values)[1].T


def test_several_boosters_are_averaged() -> None:
    (one, types), (other, _) = random_model(1, 6, 3, categories=2), random_model(2, 6, 2, categories=2)
    tables = ShapTables([one, other], 6)
    values = edge_rows(tables, types, 1)
    mean = (theirs(one, types, values) + theirs(other, types, values)) / 2
    assert pytest.approx(mean[:, :-1], abs=LIMIT) == tables.explain(values)[1].T
    assert tables.base_margin == pytest.approx(mean[0, -1], abs=LIMIT)


def test_a_model_that_never_splits_is_its_base() -> None:
    booster, types = random_model(1, 4, 3, gamma=1e9)
    tables = ShapTables([booster], 4)
    margin, shap = tables.explain(np.full((3, 4), np.nan))
    assert not shap.any()
    assert margin == pytest.approx(margins(booster, types, np.full((3, 4), np.nan)), abs=LIMIT)
    assert tables.explain(np.empty((0, 4)))[1].shape == (4, 0)


# --- when there are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{"booster": "dart"}, {"objective": "reg:squarederror"}])
def test_another_kind_of_model_is_not_compiled(more: dict[str, Any]) -> None:
    booster, _ = random_model(1, 4, 2, **more)
    with pytest.raises(NotCompiled):
        ShapTables([booster], 4)


def as_trees(booster: xgb.Booster, types: list[str]) -> Trees:
    return Trees(booster, [], feature_types=types, threads=1)


def explained(trees: Trees, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    folds = np.full(len(values), UNSEEN, dtype=np.int8)
    (block,) = trees.contributions(values, folds)
    return block.margin, block.values


def test_tables_that_would_be_too_large_leave_the_work_to_xgboost(monkeypatch: pytest.MonkeyPatch) -> None:
    booster, types = random_model(2, 6, 3)
    values = ShapTables([booster], 6).sample(30)
    monkeypatch.setattr(tables_module, "MAX_VALUES", 10)
    trees = as_trees(booster, types)
    assert "more than 10 numbers" in (trees.prepare() or "")
    margin, shap = explained(trees, values)
    np.testing.assert_array_equal(shap, theirs(booster, types, values)[:, :-1])
    np.testing.assert_array_equal(margin, margins(booster, types, values))


def test_many_trees_are_held_against_their_leaves_since_xgboost_itself_adds_them_up_too_roughly() -> None:
    booster, types = random_model(4, 6, 3, rounds=1000, eta=0.02)
    tables = ShapTables([booster], 6)
    values = edge_rows(tables, types, 1, rows=400)
    margin, shap = tables.explain(values)
    assert np.abs(margins(booster, types, values) - margin).max() > LIMIT, "or this test shows nothing"
    data = xgb.DMatrix(values, feature_types=types)
    exact = sum_of_leaves(booster, booster.predict(data, pred_leaf=True).astype(np.intp))
    assert margin == pytest.approx(exact, abs=1e-11)
    assert pytest.approx(theirs(booster, types, values)[:, :-1], abs=LIMIT) == shap.T
    assert as_trees(booster, types).prepare() is None


@pytest.mark.parametrize("off", ["margin", "reasons"])
def test_tables_that_disagree_with_xgboost_are_not_used(off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    booster, types = random_model(2, 6, 3)
    honest = ShapTables.explain

    def wrong(self: ShapTables, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        margin, shap = honest(self, values)
        return (margin + 2e-5, shap) if off == "margin" else (margin, shap + 2e-5)

    monkeypatch.setattr(ShapTables, "explain", wrong)
    trees = as_trees(booster, types)
    assert "differ by" in (trees.prepare() or "")
    values = np.zeros((3, 6))
    np.testing.assert_array_equal(explained(trees, values)[1], theirs(booster, types, values)[:, :-1])


def test_tables_that_name_other_reasons_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    booster, types = random_model(2, 6, 3)
    honest = ShapTables.explain

    def turned(self: ShapTables, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        margin, shap = honest(self, values)
        return margin, shap[::-1]

    monkeypatch.setattr(ShapTables, "explain", turned)
    monkeypatch.setattr(trees_module, "TOLERANCE", 1e-3)
    assert as_trees(booster, types).prepare() is not None
