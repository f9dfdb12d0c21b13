"""A value that is missing where training had none: hidden cells, stand-ins, and what is said of it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb

from ml_service import score
from ml_service.data import hiding
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix
from ml_service.data.hiding import complete_features, hide
from ml_service.evaluation import blanking, fact_warnings
from ml_service.model import missing_features
from ml_service.model.churn_model import ChurnModel
from ml_service.model.cross_validation import SearchData, SearchResult
from ml_service.model.out_of_fold import UNSEEN
from ml_service.model.trees import boosting
from ml_service.model.trees.boosters import Contributions, Trees
from ml_service.model.trees.boosting import CrossValidation
from ml_service.training.pipeline import Trained
from shared.contracts.api import Blanked
from shared.schema.features import Schema


def matrix(snapshot: Snapshot) -> np.ndarray:
    return snapshot.matrix()[0].values


def blank(features: pa.Table, name: str) -> pa.Table:
    at = features.column_names.index(name)
    return features.set_column(at, name, pa.nulls(features.num_rows, features.column(at).type))


def test_a_complete_feature_that_is_missing_everywhere_moves_the_mean_score_by_half_at_most(
    dated: Snapshot, dated_model: Trained
) -> None:
    test, sibling = dated.features.take(pa.array(dated_model.split.test)), dated_model.model.sibling
    assert sibling is not None and len(dated_model.report.blanked) == len(dated.schema.features)
    for each in dated_model.report.blanked:
        for model in (dated_model.model, sibling):
            whole = model.predict(test).probability.mean()
            factor = model.predict(blank(test, each.feature)).probability.mean() / whole
            assert 1 / 1.5 <= factor <= 1.5, each.feature
        assert each.factor == pytest.approx(factor), "the report is about the sibling"


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


def small(
    snapshot: Snapshot, *, folds: int = 0, bag: int = 1, seed: int = 0
) -> tuple[Trees, Trees, SearchData, SearchResult]:
    """Boosters of sixty trees without stand-ins and with them, and what they were grown from."""
    values, label = matrix(snapshot), snapshot.label
    rows = SearchData(snapshot.schema, values, label, np.arange(len(label)))
    params = boosting.parameters(snapshot.schema, rows=len(values), leavers=int(label.sum()), seed=seed)
    dealt = (np.arange(len(label)) % 3).astype(np.int8)
    learned = [np.arange(len(label)), *(np.flatnonzero(dealt != fold) for fold in range(folds))]
    boosters = [
        boosting.fit(snapshot.schema, params, values[at], label[at], rounds=60, bag=bag, threads=1) for at in learned
    ]
    found = SearchResult(params, bag, CrossValidation(60, 0.0, 0.0, boosters[1:], np.zeros(len(label))), dealt, {})
    types = boosting.feature_types(snapshot.schema)
    bare = Trees(boosters[0], boosters[1:], feature_types=types, threads=1)
    lacking = missing_features.grow(boosters, found, rows, threads=1)
    return bare, Trees(boosters[0], boosters[1:], feature_types=types, threads=1, stand_ins=lacking), rows, found


def lone(raw: bytes, types: list[str]) -> Trees:
    """A saved booster by itself."""
    booster = xgb.Booster()
    booster.load_model(bytearray(raw))
    return Trees(booster, [], feature_types=types, threads=1)


def unseen(values: np.ndarray) -> np.ndarray:
    return np.full(len(values), UNSEEN, dtype=np.int8)


def block(trees: Trees, values: np.ndarray) -> Contributions:
    (only,) = trees.contributions(values, unseen(values))
    return only


def test_a_row_that_lacks_nothing_is_answered_with_the_stand_ins_as_without_to_the_bit(dated: Snapshot) -> None:
    bare, whole, rows, _ = small(dated)
    assert len(whole.files()) > len(bare.files()) == 1
    mixed = rows.values.copy()
    mixed[::3, 4] = np.nan
    intact = ~np.isnan(mixed[:, 4])
    ours = whole.margins(mixed, unseen(mixed))
    assert np.array_equal(ours[intact], bare.margins(rows.values, unseen(mixed))[intact])
    assert np.array_equal(ours, np.concatenate([whole.margins(row[None], unseen(row[None])) for row in mixed]))
    assert np.array_equal(block(whole, rows.values).values, block(bare, rows.values).values)


def test_a_row_that_lacks_a_feature_is_answered_as_by_a_model_that_was_trained_without_it(
    dated: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing_features, "COPY_SHARE", 0.0)
    _, whole, rows, found = small(dated)
    types = boosting.feature_types(dated.schema)
    for feature in needed_of(whole, rows):
        lacking = hiding.blank(rows.values, feature)
        alone = boosting.fit(dated.schema, found.params, lacking, dated.label, rounds=60, bag=1, threads=1)
        other = Trees(alone, [], feature_types=types, threads=1)
        assert np.array_equal(whole.margins(lacking, unseen(lacking)), other.margins(lacking, unseen(lacking)))
        ours, theirs = block(whole, lacking), block(other, lacking)
        assert np.array_equal(np.delete(ours.values, feature, axis=1), np.delete(theirs.values, feature, axis=1))
        assert not theirs.values[:, feature].any(), "the base says what the gap is worth, and nothing else does"
        np.testing.assert_allclose(ours.values[:, feature], theirs.base_margin - whole.base_margin)
        np.testing.assert_allclose(whole.base_margin + ours.values.sum(axis=1), ours.margin, atol=1e-9)


def needed_of(trees: Trees, rows: SearchData) -> list[int]:
    files = trees.files()
    booster = xgb.Booster()
    booster.load_model(bytearray(files["model.ubj"]))
    found = missing_features.needed(booster, rows, np.arange(len(rows.label)), threads=1)
    assert len(found) == len(files) - 1 > 2
    return found


def test_of_several_missing_features_the_dearest_one_chooses_the_stand_in(dated: Snapshot) -> None:
    _, whole, rows, _ = small(dated)
    dearest, next_one, *_ = needed_of(whole, rows)
    both = hiding.blank(hiding.blank(rows.values[:50], dearest), next_one)
    first = lone(whole.files()["model_without_1.ubj"], boosting.feature_types(dated.schema))
    assert np.array_equal(whole.margins(both, unseen(both)), first.margins(both, unseen(both)))


def test_what_stands_in_for_a_folds_booster_has_not_seen_the_rows_of_the_fold(
    dated: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[int] = []
    fit = boosting.fit

    def spied(schema: Schema, params: dict[str, Any], values: np.ndarray, *rest: Any, **more: Any) -> xgb.Booster:
        learned.append(len(values))
        return fit(schema, params, values, *rest, **more)

    monkeypatch.setattr(boosting, "fit", spied)
    _, whole, rows, found = small(dated, folds=3, bag=2)
    sizes = [len(rows.label), *(int((found.folds != fold).sum()) for fold in range(3))]
    count = len(learned) // 4
    with_copies = [size + int(missing_features.COPY_SHARE * size) for size in sizes]
    assert learned == sizes + with_copies * (count - 1)
    again = Trees.from_files(whole.files(), feature_types=boosting.feature_types(dated.schema), threads=1)
    assert again.files() == whole.files() and len(whole.files()) == 4 * count
    lacking = hiding.blank(rows.values, 4)
    said = again.margins(lacking, found.folds)
    assert np.array_equal(said, whole.margins(lacking, found.folds))
    for fold in range(3):
        mine = found.folds == fold
        alone = [
            lone(raw, boosting.feature_types(dated.schema)).margins(lacking[mine], unseen(lacking[mine]))
            for name, raw in whole.files().items()
            if name.startswith(f"fold_{fold}_without")
        ]
        assert sum(np.array_equal(said[mine], each) for each in alone) == 1


def test_stand_ins_are_the_same_for_a_seed_and_keep_the_schemas_directions(dated: Snapshot) -> None:
    _, whole, rows, _ = small(dated)
    assert small(dated)[1].files() == whole.files()
    values, names = rows.values, list(dated.schema.feature_names)
    for missing in names:
        for name, feature in dated.schema.features.items():
            if feature.direction == "none" or name == missing:
                continue
            at = names.index(name)
            steps = np.repeat(values[:40], 25, axis=0)
            steps[:, names.index(missing)] = np.nan
            steps[:, at] = np.tile(np.quantile(values[:, at], np.linspace(0, 1, 25)), 40)
            said = np.diff(whole.margins(steps, unseen(steps)).reshape(40, 25), axis=1)
            assert (said >= -1e-6).all() if feature.direction == "up" else (said <= 1e-6).all(), (missing, name)


def test_reasons_of_a_row_that_lacks_something_add_up_from_the_models_own_base(
    dated: Snapshot, dated_model: Trained
) -> None:
    model = dated_model.model
    assert model.trees.prepare() is None
    rows = blank(dated.features.slice(0, 200), "payment_failures")
    total = model.contributions(rows).sum(axis=1) + model.base_margin
    np.testing.assert_allclose(total, model.predict(rows).margin, atol=1e-9)
    assert "payment_failures" in model.training["stand_ins"]


def test_a_category_has_a_stand_in_too(undated: Snapshot) -> None:
    whole_column = pa.array([name or "old" for name in undated.features["tariff"].to_pylist()], pa.string())
    at = undated.features.column_names.index("tariff")
    snapshot = replace(undated, features=undated.features.set_column(at, "tariff", whole_column))
    assert "tariff" in complete_features(snapshot.schema, matrix(snapshot))
    bare, whole, rows, _ = small(snapshot)
    lacking = hiding.blank(rows.values, at)
    loss = [
        float(np.mean(np.logaddexp(0, m) - snapshot.label * m))
        for m in (each.margins(lacking, unseen(lacking)) for each in (bare, whole))
    ]
    assert loss[1] < loss[0]


def test_a_feature_that_training_lacked_itself_has_none(undated_model: Trained) -> None:
    model = undated_model.model
    assert "calls" not in model.training["complete_features"] and "calls" not in model.training["stand_ins"]


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
    assert fact_warnings.complete_features(loaded) == list(dated_model.model.schema.feature_names)
    assert "Mean score without a feature that was complete in training" in report_text(dated_model.report)
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


def test_values_of_a_file_that_the_model_does_not_know_are_named_and_counted(
    saved_models: Path, dated: Snapshot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = dated.features.slice(0, 50).to_pylist()
    for row, plan in zip(rows, ["Gold"] * 5 + ["STANDARD"] * 3 + list("abcdef"), strict=False):
        row["plan"] = plan
    with (tmp_path / "new.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["user_id", *dated.schema.feature_names])
        writer.writeheader()
        writer.writerows({"user_id": f"usr_{number}", **row} for number, row in enumerate(rows))
    given = ["--model", str(saved_models / "2.4.1"), "--data", str(tmp_path / "new.csv"), "--out", str(tmp_path / "o")]
    assert score.main(given) == 0
    assert (
        "plan: 14 of 50 rows have values that the model does not know: 'Gold' (5), 'STANDARD' (3; it knows 'Standard'), "
        "'a' (1), 'b' (1), 'c' (1), and others (3). Scored as missing.\n"
    ) in capsys.readouterr().err


def test_the_matrix_of_a_blank_column_is_what_blanking_hides(dated: Snapshot, dated_model: Trained) -> None:
    model = dated_model.model
    found = to_matrix(model.schema, model.categories, blank(dated.features.slice(0, 9), "plan"))
    assert np.isnan(found.values[:, -1]).all() and not found.unknown
