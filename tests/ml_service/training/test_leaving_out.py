"""Features that are left out of a model, and churn rates that its scores are shifted to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ml_service import metrics
from ml_service.api import codec
from ml_service.data.dataset import Snapshot
from ml_service.model.calibration import shift_prior
from ml_service.model.churn_model import ChurnModel
from ml_service.reporting.html import report_page
from ml_service.reporting.text import report_text
from ml_service.training.pipeline import Trained, train
from shared.contracts import arrow
from shared.contracts.api import ARROW_TYPE, PredictRequest
from shared.errors import InvalidInput, LeakFound
from shared.schema.features import schema_from_dict
from tests.ml_service.conftest import QUICK, Caller, as_stream


def says(snapshot: Snapshot, **keys: Any) -> Snapshot:
    """A snapshot whose schema has further keys."""
    return replace(snapshot, schema=schema_from_dict({**snapshot.schema.as_dict(), **keys}))


@pytest.fixture(scope="module")
def without_calls(undated: Snapshot, undated_model: Trained) -> Trained:
    """A model without the first feature, judged beside one that has it."""
    return train(undated, version="3.0.1", effort=QUICK, without=["calls"], champion=undated_model.model.sibling)


def test_a_model_without_a_feature_is_that_of_a_table_without_it(undated: Snapshot, without_calls: Trained) -> None:
    narrow = replace(undated, schema=undated.schema.without(["calls"]), features=undated.features.drop(["calls"]))
    other = train(narrow, version="3.0.2", effort=QUICK)
    assert without_calls.report.model_sha256 == other.report.model_sha256
    assert without_calls.report.test == other.report.test
    assert (without_calls.report.left_out, without_calls.report.features) == (["calls"], 2)
    assert {each.name for each in without_calls.report.importance} == {"age", "tariff"}
    for told in (report_text(without_calls.report), report_page(without_calls.report).decode()):
        assert "Left out of the model: calls." in told
    assert "Left out" not in report_text(other.report)


def test_it_is_compared_with_a_live_model_that_uses_the_feature(
    undated: Snapshot, undated_model: Trained, without_calls: Trained
) -> None:
    report, rows = without_calls.report, pa.array(without_calls.split.test)
    assert undated_model.model.sibling is not None
    p = undated_model.model.sibling.predict(undated.features.take(rows), undated.row_keys.take(rows)).probability
    assert report.champion is not None and report.comparison is not None
    assert report.champion.log_loss == metrics.log_loss(undated.label[without_calls.split.test], p)
    assert report.comparison.difference == pytest.approx(report.test.log_loss - report.champion.log_loss)
    assert not any("can't be compared" in warning for warning in report.warnings)


def test_positions_of_reasons_are_those_of_the_table_and_its_facts_are_accepted(
    undated: Snapshot, without_calls: Trained, tmp_path: Path
) -> None:
    without_calls.model.save(tmp_path / "m")
    model = ChurnModel.load(tmp_path / "m")
    assert (model.schema.feature_names, model.left_out) == (("age", "tariff"), ["calls"])
    row = undated.features.slice(0, 1)
    columns = {name: row.column(name).to_pylist() for name in row.column_names}
    asked = codec.rows_of_request(model, PredictRequest(columns=columns))
    (told,) = codec.json_answer(model, asked, model.explain_rows(asked.matrix))["predictions"]
    other = codec.rows_of_request(model, PredictRequest(columns={**columns, "calls": [1e6]}))
    assert codec.json_answer(model, other, model.explain_rows(other.matrix))["predictions"] == [told]
    sent = codec.rows_of_table(model, row)
    answer = arrow.decode(codec.arrow_answer(model, sent, model.explain_rows(sent.matrix)))
    positions = [answer.column(f"reason_{k}")[0].as_py() for k in (1, 2, 3)]
    assert [undated.schema.feature_names[at] for at in positions[:2]] == [each["feature"] for each in told["reasons"]]
    assert (sorted(positions[:2]), positions[2]) == ([1, 2], -1)


@pytest.mark.parametrize(("names", "told"), [(["nobody"], "'nobody'"), (["calls", "age", "tariff"], "every feature")])
def test_no_model_is_trained_without_what_is_no_feature_or_without_all(
    undated: Snapshot, own_call: Caller, names: list[str], told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        train(undated, version="1.0.0", effort=QUICK, without=names)
    answer = own_call("POST", "/api/train", data=as_stream(undated, without=names), content_type=ARROW_TYPE)
    assert (answer.status_code, told in answer.get_json()["message"]) == (422, True), answer.text


def with_first(snapshot: Snapshot, name: str, values: pa.Array) -> Snapshot:
    """A snapshot with a further feature, before the others."""
    kind = "category" if pa.types.is_string(values.type) else "number"
    features = {name: {"kind": kind}, **snapshot.schema.as_dict()["features"]}
    table = snapshot.features.add_column(0, name, pa.chunked_array([values]))
    return replace(says(snapshot, features=features), features=table)


def test_a_leak_that_is_left_out_is_no_reason_to_refuse(undated: Snapshot) -> None:
    planted = with_first(undated, "leak", pa.array(undated.label.astype(float)))
    with pytest.raises(LeakFound, match=r"train --without leak.*known_at_scoring = true.*schema edit"):
        train(planted, version="1.0.0", effort=QUICK)
    assert train(planted, version="1.0.0", effort=QUICK, without=["leak"]).report.left_out == ["leak"]


def test_a_name_that_is_left_out_is_no_reason_to_refuse(undated: Snapshot, own_call: Caller) -> None:
    named = with_first(undated, "who", pa.array([f"row {k}" for k in range(len(undated.label))]))
    answer = own_call("POST", "/api/train", data=as_stream(named), content_type=ARROW_TYPE)
    assert (answer.status_code, "train --without who" in answer.get_json()["message"]) == (422, True), answer.text
    answer = own_call("POST", "/api/train", data=as_stream(named, without=["who"]), content_type=ARROW_TYPE)
    assert (answer.status_code, answer.get_json()["left_out"]) == (200, ["who"]), answer.text


# --- what a table without dates can't say by itself -----------------------------------------------------------------


def test_a_table_without_dates_says_its_horizon_or_nothing_does(undated: Snapshot, dated_model: Trained) -> None:
    plain = train(undated, version="1.0.0", effort=QUICK).report
    assert (plain.horizon_days, plain.natural_rate) == (None, None)
    assert " days" not in report_text(plain).replace("how many days", "")
    said = train(says(undated, horizon_days=90), version="1.0.0", effort=QUICK).report
    assert said.horizon_days == 90 and "leaving within 90 days" in report_text(said)
    assert plain.model_sha256 == said.model_sha256
    assert dated_model.report.horizon_days == 30 and "leaving within 30 days" in report_text(dated_model.report)


def test_the_natural_rate_shifts_scores_and_thresholds_and_the_figures_stay_those_of_the_table(
    undated: Snapshot, undated_model: Trained, tmp_path: Path
) -> None:
    shifted = train(
        says(undated, natural_rate=0.05), version="3.0.0", effort=QUICK, champion=undated_model.model.sibling
    )
    before, after = undated_model.model.predict(undated.features), shifted.model.predict(undated.features)
    cohort = undated_model.model.training["prevalence"]
    assert after.probability == pytest.approx(shift_prior(before.probability, cohort=cohort, natural=0.05), abs=1e-12)
    assert (after.label == before.label).all() and (after.margin == before.margin).all()
    assert after.probability.mean() < 0.5 * before.probability.mean()
    report = shifted.report
    assert (report.test, report.natural_rate) == (undated_model.report.test, 0.05)
    profit, at_own_rate = report.profit, undated_model.report.profit
    assert profit is not None and at_own_rate is not None
    assert (profit.prevalence, at_own_rate.prevalence) == (0.05, report.test.prevalence)
    assert profit.share < at_own_rate.share, "fewer contacts pay where fewer leave"
    assert report.comparison is not None and report.comparison.difference == 0
    assert report.base_probability == shifted.model.base_probability
    assert "shifted from the table's churn rate to 5 %" in report_text(report)
    explained = shifted.model.explain(undated.features, n_reasons=3)
    total = explained.base_probability + explained.points.points.sum(axis=1) + explained.points.other
    assert np.allclose(total, explained.scores.probability)
    shifted.model.save(tmp_path / "m")
    loaded = ChurnModel.load(tmp_path / "m")
    assert loaded.natural_rate == 0.05
    assert (loaded.predict(undated.features).probability == after.probability).all()
    # Judged beside a model whose scores are shifted, both are at the rate of the test rows.
    assert shifted.model.sibling is not None
    again = train(undated, version="3.0.0", effort=QUICK, champion=shifted.model.sibling.at_rate(0.05)).report
    assert again.comparison is not None and abs(again.comparison.difference) < 1e-12


def test_a_table_with_dates_is_at_its_own_rate(dated: Snapshot) -> None:
    given = says(dated, natural_rate=0.9, horizon_days=90)
    assert (given.natural_rate, given.horizon_days) == (None, 30)
