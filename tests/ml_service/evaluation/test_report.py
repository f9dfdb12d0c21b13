"""Parts of a report beside its figures, and the page it is drawn on."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from ml_service import metrics
from ml_service.data.dataset import Snapshot
from ml_service.evaluation import calibration_checks
from ml_service.evaluation.bootstrap import figure_intervals, paired_difference
from ml_service.evaluation.curves import curves
from ml_service.evaluation.level import level_set_free
from ml_service.evaluation.segments import ScoredRows, compare, segments
from ml_service.reporting.html import report_page
from ml_service.training.pipeline import Trained, train
from shared.contracts.api import LevelSpread, TrainReport
from shared.wilson import wilson
from tests.ml_service.conftest import QUICK, Caller


def said(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-rng.normal(-2, 1.3, rows)))
    return (rng.random(rows) < p).astype(np.int8), p


def test_every_figure_has_an_interval_around_it(dated_model: Trained) -> None:
    report = dated_model.report
    for name in ("auc", "average_precision", "log_loss", "brier", "brier_skill", "lift_at_10_percent", "recall"):
        low, high = report.intervals[name] or (9, 0)
        assert low <= getattr(report.test, name) <= high, name
    low, high = report.intervals["balanced_precision"] or (9, 0)
    assert low <= report.test.balanced.precision <= high


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    truth = metrics.auc(*said(200_000, seed=99))
    covered = 0
    for seed in range(40):
        y, p = said(800, seed)
        low, high = figure_intervals(y, p, np.arange(800), threshold=0.3, balanced_threshold=0.1, seed=seed)["auc"]
        covered += low <= truth <= high
    assert covered >= 34


def test_the_months_of_one_customer_do_not_narrow_an_interval() -> None:
    y, p = said(300)
    once = paired_difference(p - y, np.arange(300), 0)[1]
    months = paired_difference(np.tile(p - y, 12), np.tile(np.arange(300), 12), 0)[1]
    assert months[1] - months[0] == pytest.approx(once[1] - once[0], rel=0.15)


def test_a_calibrated_model_passes_its_checks_and_an_overconfident_one_fails() -> None:
    y, p = said(20_000)
    good = calibration_checks.check(y, p, 0.4)
    assert good.slope == pytest.approx(1, abs=0.05) and good.ece <= good.ece_limit and good.confidence_holds
    assert calibration_checks.calibration_warnings(good, float(y.mean())) == []
    sharp = 1 / (1 + (1 / p - 1) ** 2)
    bad = calibration_checks.check(y, sharp, 0.4)
    assert bad.slope == pytest.approx(0.5, abs=0.03) and bad.ece > bad.ece_limit
    told = " ".join(calibration_checks.calibration_warnings(bad, float(y.mean())))
    assert "slope" in told and "ECE" in told


@pytest.mark.parametrize(("rows", "said", "left"), [(400, 0.75, 0.5), (132, 0.97, 0.765), (12, 0.95, 0.5)])
def test_a_tail_that_claims_too_much_is_warned_of(rows: int, said: float, left: float) -> None:
    y, p = (np.arange(rows) < left * rows).astype(np.int8), np.full(rows, said)
    others = np.full(4_000, 0.1)
    label = np.concatenate([y, (np.arange(4_000) % 10 == 0).astype(np.int8)])
    check = calibration_checks.check(label, np.concatenate([p, others]), 0.5)
    assert any(
        "highest probabilities are too high" in each for each in calibration_checks.calibration_warnings(check, 0.1)
    )
    honest = np.concatenate([(np.arange(rows) < said * rows).astype(np.int8), label[rows:]])
    check = calibration_checks.check(honest, np.concatenate([p, others]), 0.5)
    assert not any("highest" in each for each in calibration_checks.calibration_warnings(check, 0.1))


def test_a_wrong_level_and_a_wrong_shape_are_warned_of_apart() -> None:
    y, p = said(20_000)
    too_low = calibration_checks.check(y, 1 / (1 + np.exp(0.3) * (1 / p - 1)), 0.4)
    told = " ".join(calibration_checks.calibration_warnings(too_low, float(y.mean())))
    assert (
        "the level is wrong" in told
        and "ECE" not in told
        and "slope" not in told
        and too_low.ratio > 1.1
        and too_low.ratio_interval[0] > 1
    )
    assert too_low.level_free_ece <= too_low.ece_limit < too_low.ece
    # A spread that past periods had explains it.
    spread = LevelSpread(sigma=0.2, periods=9, quantile=2.306)
    explained = calibration_checks.check(y, 1 / (1 + np.exp(0.3) * (1 / p - 1)), 0.4, level=spread)
    assert "level" not in " ".join(calibration_checks.calibration_warnings(explained, float(y.mean())))
    sharp = 1 / (1 + (1 / p - 1) ** 2)
    bad = calibration_checks.check(y, level_set_free(y, sharp), 0.4)
    told = " ".join(calibration_checks.calibration_warnings(bad, float(y.mean())))
    assert "level is wrong" not in told and "ECE" in told and "slope" in told


def test_a_perfect_model_is_warned_of_in_at_most_3_of_60() -> None:
    warned = 0
    for seed in range(60):
        y, p = said(3_000, seed)
        warned += bool(calibration_checks.calibration_warnings(calibration_checks.check(y, p, 0.4), float(y.mean())))
    assert warned <= 3


def test_wilsons_interval_is_that_of_the_definitions() -> None:
    low, high = wilson(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_the_chance_limit_of_the_ece_is_exceeded_once_in_a_hundred() -> None:
    rng = np.random.default_rng(0)
    _, p = said(3000)
    limit = calibration_checks.perfect_ece(p)
    beyond = sum(metrics.ece((rng.random(3000) < p).astype(np.int8), p) > limit for _ in range(300))
    assert beyond <= 10


def test_curves_are_bounded_and_end_where_they_must() -> None:
    drawn = curves(*said(30_000))
    assert drawn is not None and max(len(drawn.roc), len(drawn.precision_recall), len(drawn.gain)) <= 101
    assert drawn.roc[0] == (0, 0) and drawn.roc[-1] == (1, 1) and drawn.gain[-1] == (1, 1)
    area = np.trapezoid([y for _, y in drawn.roc], [x for x, _ in drawn.roc])
    assert area == pytest.approx(metrics.auc(*said(30_000)), abs=2e-3)
    assert sum(each.n for each in drawn.reliability) == 30_000


def test_segments_part_the_test_rows_by_plan_and_tenure(dated_model: Trained) -> None:
    parts = dated_model.report.segments
    plans = [part for part in parts if part.feature == "plan"]
    assert sum(part.n for part in plans) == dated_model.report.test.n and len(plans) == 3
    assert any(part.feature == "tenure_months" for part in parts)


def test_a_challenger_that_fails_one_plan_only_is_caught(dated: Snapshot, dated_model: Trained) -> None:
    test = np.flatnonzero(dated.as_of >= np.unique(dated.as_of)[-3])
    features, label = dated.features.take(test), dated.label[test]
    assert dated_model.model.sibling is not None
    old = dated_model.model.sibling.predict(features).probability
    plan = np.array(features["plan"].to_pylist())
    new = np.where(plan == "Basic Ads", 0.5 * old + 0.4, old)
    judged = ScoredRows(features, label, new, old, None, np.arange(len(test)), 0)
    parts = segments(dated.schema, judged)
    found = compare(judged, parts)
    assert found is not None and "plan = Basic Ads" in found.collapsed and found.verdict == "worse"
    same = ScoredRows(features, label, old, old, None, np.arange(len(test)), 0)
    found = compare(same, segments(dated.schema, same))
    assert found is not None and found.verdict == "not_worse" and not found.collapsed and found.difference == 0


def test_a_model_that_lost_a_column_is_not_called_not_worse(undated: Snapshot, undated_model: Trained) -> None:
    champion = undated_model.model.sibling
    for column in undated.schema.feature_names:
        position = undated.features.column_names.index(column)
        shuffled = undated.features[column].take(pa.array(np.random.default_rng(1).permutation(900)))
        blind = replace(undated, features=undated.features.set_column(position, column, shuffled))
        trained = train(blind, version="3.0.1", effort=QUICK)
        assert trained.model.sibling is not None and champion is not None
        rows = undated_model.split.test
        features, keys = undated.features.take(pa.array(rows)), undated.row_keys.take(pa.array(rows))
        new, old = (model.predict(features, keys).probability for model in (trained.model.sibling, champion))
        judged = ScoredRows(features, undated.label[rows], new, old, None, np.arange(len(rows)), 0)
        found = compare(judged, [])
        assert found is not None and found.verdict != "not_worse", column


def test_simulated_rows_put_the_ceiling_beside_every_figure(dated_model: Trained, undated_model: Trained) -> None:
    ceiling = dated_model.report.ceiling
    assert ceiling is not None and ceiling.log_loss < dated_model.report.test.log_loss
    assert undated_model.report.ceiling is None


def test_the_page_needs_nothing_else_and_tells_the_figures(dated_model: Trained) -> None:
    page = report_page(dated_model.report).decode()
    assert page.startswith("<!doctype html>") and "<script" not in page
    assert not re.search(r"(src|href)=|url\(|https?://", page)
    assert f"{dated_model.report.auc:.4f}" in page and "Ceiling" in page and page.count("<svg") >= 8
    assert page.index("natural churn rate") < page.index("balanced")
    assert len(page) < 200_000


def test_what_a_table_says_cannot_become_markup(undated_model: Trained) -> None:
    report = TrainReport.model_validate(undated_model.report.model_dump())
    report.importance[0].label = '<img src=x onerror="alert(1)">'
    report.warnings.append("</style><script>alert(1)</script>")
    page = report_page(report).decode()
    assert "<img" not in page and "<script" not in page and "&lt;img" in page
    body = page.removeprefix("<!doctype html>\n")
    ElementTree.fromstring(
        body.replace('<meta charset="utf-8">', "").replace('initial-scale=1">', 'initial-scale=1"/>')
    )


def test_the_page_is_saved_with_the_model_and_served(call: Caller, dated_model: Trained) -> None:
    response = call("GET", f"/api/models/{dated_model.model.version}/report")
    assert response.status_code == 200 and response.mimetype == "text/html"
    assert response.data == dated_model.model.report_page
    assert call("GET", "/api/models/9.9.9/report").status_code == 404
