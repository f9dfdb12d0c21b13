"""A level of the time of year: when it is chosen, that scores and reasons add up with it, and that every way agrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pytest
from scipy.special import expit, logit

from ml_service import score as score_command
from ml_service.api import codec
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import typed_columns
from ml_service.face.estimator import ChurnModel as Face
from ml_service.model import artefacts
from ml_service.model.churn_model import ChurnModel
from ml_service.reporting.html import report_page
from ml_service.reporting.text import report_text
from ml_service.training import candidates
from ml_service.training.pipeline import Effort, Trained, split_snapshot, train
from ml_service.training.rolling_origins import roll
from ml_service.training.year_forms import PeriodLevels, fit_form
from shared.contracts import arrow
from shared.contracts.api import PredictRequest, TimeOfYear
from shared.schema.features import schema_from_dict
from shared.time_of_year import level_at, points_of

SCHEMA = schema_from_dict(
    {"id": "who", "as_of": "day", "label": "left", "positive": ["1"], "features": {"x": {"kind": "number"}}}
)

# One process trains for all of them.
pytestmark = pytest.mark.xdist_group("time of year")


def history(season: float, seed: int = 1, months: int = 26, customers: int = 500) -> Snapshot:
    """Monthly rows, in which more leave in winter."""
    rng = np.random.default_rng(seed)
    month = np.repeat(np.arange(months), customers)
    x = rng.normal(size=len(month))
    label = rng.random(len(month)) < expit(-2.2 + x + season * np.cos(2 * np.pi * month / 12))
    days = np.datetime64("2023-01-15") + np.round(30.4375 * month).astype(np.int64)
    keys = pa.array(np.tile(np.arange(customers), months))
    return Snapshot(SCHEMA, typed_columns(SCHEMA, pa.table({"x": x})), label.astype(np.int8), days, keys)


@pytest.fixture(scope="module")
def base() -> Snapshot:
    return history(0.9, customers=350)


@pytest.fixture(scope="module")
def seasonal(base: Snapshot) -> Trained:
    return train(base, version="1.0.0", effort=Effort(1))


def test_a_season_is_chosen_and_the_report_tells_what_was_tried_and_why(seasonal: Trained) -> None:
    report = seasonal.report
    assert report.rolling is not None and report.time_of_year is not None
    assert report.rolling.chosen in ("all dates, harmonic", "all dates, calendar month")
    (chosen,) = (each for each in report.rolling.candidates if each.name == report.rolling.chosen)
    assert chosen.origins >= 6 and chosen.interval is not None and chosen.interval[1] < 0
    assert [each.name for each in report.rolling.candidates][:2] == ["all dates, no level", "newest 12 dates, no level"]
    january, july = (level_at(report.time_of_year, pd.Timestamp(2026, month, 15).date()) for month in (1, 7))
    assert january > 0.3 and july < -0.3
    for told in (report_text(report), report_page(report).decode()):
        assert f"{chosen.log_loss:.5f}" in told and report.rolling.chosen in told and "Jan +" in told
    sibling = seasonal.model.sibling
    assert sibling is not None and sibling.time_of_year is not None


def test_base_points_and_time_of_year_add_up_for_every_row(base: Snapshot, seasonal: Trained) -> None:
    model = seasonal.model
    found, plain = (model.explain(base.features, base.row_keys, dates) for dates in (base.as_of, None))
    total = found.base_probability + found.points.points.sum(axis=1) + found.points.other + found.time_of_year
    np.testing.assert_allclose(total, found.scores.probability, atol=1e-12)
    assert (found.points.points == plain.points.points).all() and not plain.time_of_year.any()
    assert base.as_of is not None
    level = [level_at(model.time_of_year, day) for day in base.as_of.astype(object)]
    np.testing.assert_allclose(logit(found.scores.probability) - level, logit(plain.scores.probability), atol=1e-9)
    told = [points_of(*each) for each in zip(level, found.scores.probability.tolist(), strict=True)]
    np.testing.assert_allclose(told, found.time_of_year, atol=1e-12)
    scores = model.predict(base.features, base.row_keys, base.as_of)
    assert (scores.probability == found.scores.probability).all()


def test_json_arrow_the_python_face_and_the_command_say_the_same(
    base: Snapshot, seasonal: Trained, tmp_path: Path
) -> None:
    model, x = seasonal.model, base.features.column("x").to_pylist()[:3]
    model.save(tmp_path / "m")
    asked = codec.rows_of_request(model, PredictRequest(columns={"x": x}, as_of="2026-01-15"))
    told = codec.json_answer(model, asked, model.explain_rows(asked.matrix, None, asked.dates))
    sent = codec.rows_of_table(model, base.features.slice(0, 3), "2026-01-15")
    columns = arrow.decode(codec.arrow_answer(model, sent, model.explain_rows(sent.matrix, None, sent.dates)))
    expected = [each["churn_probability"] for each in told["predictions"]]
    assert columns.column("churn_probability").to_pylist() == expected
    assert arrow.metadata(columns)["level"] == told["level"] > 0.3
    frame = pd.DataFrame({"who": [91, 92, 93], "day": "2026-01-15", "x": x})
    face = Face.load(tmp_path / "m").explain(frame)
    assert face["churn_probability"].tolist() == expected
    assert face["time_of_year"].tolist() == [each["time_of_year_points"] for each in told["predictions"]]
    frame.to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / "scores.csv"
    command = ["--model", str(tmp_path / "m"), "--data", str(tmp_path / "rows.csv"), "--out", str(out)]
    assert score_command.main(command) == 0
    written = pd.read_csv(out)
    assert written["churn_probability"].tolist() == expected
    assert written["time_of_year"].tolist() == pytest.approx(face["time_of_year"].tolist(), abs=1e-6)


def test_a_row_without_a_date_gets_no_level_and_is_told_so(base: Snapshot, seasonal: Trained, tmp_path: Path) -> None:
    model = seasonal.model
    asked = codec.rows_of_request(model, PredictRequest(columns={"x": [0.0]}))
    told = codec.json_answer(model, asked, model.explain_rows(asked.matrix, None, asked.dates))
    assert (told["level"], told["predictions"][0]["time_of_year_points"]) == (0.0, 0.0)
    assert "no date" in told["no_level_because"]
    model.save(tmp_path / "m")
    face = Face.load(tmp_path / "m")
    face.schema_ = SCHEMA.model_copy(update={"as_of": None})
    with pytest.warns(UserWarning, match="no date"):
        face.predict_proba(pd.DataFrame({"who": [91], "x": [0.0]}))


def test_a_saved_level_is_read_again_and_a_model_of_before_has_none(
    base: Snapshot, seasonal: Trained, tmp_path: Path
) -> None:
    model = seasonal.model
    model.save(tmp_path / "m")
    again = ChurnModel.load(tmp_path / "m", with_sibling=True)
    assert again.time_of_year == model.time_of_year and again.sibling is not None
    assert again.checksum() == model.checksum() != ChurnModel.at_rate(model, 0.5).checksum()
    p = (each.predict(base.features, as_of=base.as_of).probability for each in (model, again))
    np.testing.assert_array_equal(*p)
    manifest, files = artefacts.read_folder(tmp_path / "m")
    older = {name: value for name, value in orjson.loads(orjson.dumps(manifest)).items() if name != "time_of_year"}
    before = ChurnModel.from_files(older, files)
    assert before.time_of_year is None
    without = model.predict(base.features).probability
    np.testing.assert_array_equal(before.predict(base.features, as_of=base.as_of).probability, without)


def choice_of(snapshot: Snapshot) -> candidates.Choice:
    split = split_snapshot(snapshot, 0)
    rows = snapshot.take(split.training)
    model = ChurnModel(SCHEMA, version="1.0.0").fit(rows.features, rows.label, row_keys=rows.row_keys, trials=1)
    found = candidates.choose(snapshot, split, model, lambda done, stage: None)
    assert found is not None
    return found


def test_a_short_history_is_told_and_a_base_without_a_season_keeps_all_dates_and_no_level() -> None:
    short = choice_of(history(0.9, months=8, customers=300))
    assert short.told.candidates == [] and "there are 8" in short.told.why
    still = choice_of(history(0.0, seed=4, months=24, customers=300))
    assert still.told.chosen == candidates.ALL and still.way == candidates.Way()
    assert "no candidate" in still.told.why and len(still.told.candidates) == 6


def test_at_an_origin_only_known_rows_are_learned_from(base: Snapshot, seasonal: Trained) -> None:
    assert base.as_of is not None
    origins = roll(base, np.arange(len(base.label)), seasonal.model, lambda done, stage: None, windows=(12,))
    assert len(origins) == 12
    for origin in origins:
        start = base.as_of[origin.rows].min()
        assert (base.as_of[origin.known] + np.timedelta64(60, "D") <= start).all()
    changed = base.label.copy()
    changed[base.as_of > base.as_of[origins[-1].rows].min()] ^= 1
    other = Snapshot(SCHEMA, base.features, changed, base.as_of, base.row_keys)
    (*_, last) = roll(other, np.arange(len(base.label)), seasonal.model, lambda done, stage: None)
    assert (last.margins[None] == origins[-1].margins[None]).all()


def levels_of(offsets: np.ndarray, weight: float) -> PeriodLevels:
    days = np.datetime64("2023-01-15") + np.round(30.4375 * np.arange(len(offsets))).astype(np.int64)
    return PeriodLevels(days, days, offsets, np.full(len(offsets), weight))


def mean_level(year: TimeOfYear, levels: PeriodLevels) -> float:
    return float(np.mean([level_at(year, day) for day in levels.days.astype(object)]))


def test_each_form_finds_what_it_is_for_and_has_the_mean_zero_where_it_was_fitted() -> None:
    month = np.arange(36)
    wave = levels_of(0.4 + 0.3 * np.cos(2 * np.pi * (month - 2) / 12), 200.0)
    harmonic = fit_form("harmonic", wave)
    assert np.hypot(harmonic.cosine, harmonic.sine) == pytest.approx(0.3, abs=0.01)
    december = levels_of(np.where(month % 12 == 11, 0.6, 0.0), 200.0)
    monthly = fit_form("calendar_month", december)
    assert monthly.months[11] == pytest.approx(0.55, abs=0.06) and abs(monthly.months[5] + 0.05) < 0.03
    for year, levels in ((harmonic, wave), (monthly, december)):
        assert mean_level(year, levels) == pytest.approx(0.0, abs=1e-3)
    risen = fit_form("slow_level", levels_of(np.where(month >= 28, 0.5, 0.0), 200.0))
    assert 0.2 < risen.constant < 0.4


def test_calendar_months_that_only_chance_moves_are_shrunk_to_nothing() -> None:
    rng = np.random.default_rng(5)
    found = [fit_form("calendar_month", levels_of(rng.normal(0, 0.1, 36), 100.0)).months for _ in range(40)]
    assert float(np.sqrt(np.mean(np.square(found)))) < 0.03
