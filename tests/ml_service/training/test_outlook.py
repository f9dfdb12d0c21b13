"""Horizons and causes of a training: judged on later dates, or left out with the reason."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ml_service.data.dataset import Snapshot, read_snapshot
from ml_service.data.later_outcomes import UNKNOWN, later_outcomes_of_ends
from ml_service.model.outlook import CauseModel, Horizon
from ml_service.reporting.html import report_page
from ml_service.reporting.text import report_text
from ml_service.training.causes import fit_causes
from ml_service.training.fitting import Fitted
from ml_service.training.horizons import NO_DATES, NO_ENDS, fit_horizons
from ml_service.training.pipeline import Effort, Trained, no_progress, train
from ml_service.training.rolling_origins import Origin, roll
from shared.contracts import arrow
from shared.contracts.outlook import HorizonCheck
from shared.errors import InvalidInput
from shared.horizon_curve import curve_of
from shared.simulation.simulate import simulate
from tests.evaluate.horizons import departures, history
from tests.ml_service.conftest import as_stream

# One process trains for all of them.
pytestmark = pytest.mark.xdist_group("outlook")
MONTHS = 13


@cache
def known(until: int = MONTHS) -> Snapshot:
    """A year of rows, of which outcomes up to a day are known."""
    simulation = simulate("documented", customers=1_000, months=MONTHS, seed=4)
    rows = history(simulation, until * 30)
    assert rows.as_of is not None
    return rows.take(np.flatnonzero(rows.as_of <= rows.as_of.min() + np.timedelta64(30 * (until - 2), "D")))


@cache
def trained() -> Trained:
    return train(known(), version="1.0.0", effort=Effort(1))


@cache
def fitted() -> tuple[Fitted, list[Origin]]:
    """The trained model as it was fitted, and its rolling origins."""
    model = trained().model
    assert model.sibling is not None
    origins = roll(known(), trained().split.rows, model.sibling, no_progress)
    return Fitted(model.sibling, model.sibling, model, None), origins


def horizons(rows: Snapshot) -> tuple[list[Horizon], list[HorizonCheck]]:
    return fit_horizons(rows, trained().split, *fitted(), None)


def test_horizons_are_judged_on_later_dates_and_what_has_too_short_a_follow_up_says_so() -> None:
    model, report = trained().model, trained().report.outlook
    assert report is not None
    sixty, ninety, half_a_year = report.horizons
    for check in (sixty, ninety):
        assert check.judged is not None and check.reason is None
        low, high = check.judged.ratio_interval
        assert low < 1.3 and high > 0.7 and check.judged.n > 900 and check.judged.ece < 0.08
    assert half_a_year.judged is None and half_a_year.reason is not None and "420 days" in half_a_year.reason
    margins = np.array([-6.0, -2.5, 0.5])
    scores = model.calibration(margins)
    reached = model.outlook.within(scores, margins)
    assert [each is None for each in reached] == [False, False, False, True]
    curve = curve_of(report, 0.0)
    assert curve is not None
    for at, score in enumerate(scores.tolist()):
        said = [each[at] for each in reached if each is not None]
        assert [within for _, within in curve.within(score)] == pytest.approx(said, rel=1e-6)


def test_the_judged_calibration_knew_nothing_of_the_judged_dates() -> None:
    rows = known()
    assert rows.later is not None and rows.as_of is not None
    _, (_, before, _) = horizons(rows)
    assert before.judged is not None
    first = np.datetime64(before.judged.period[0])
    # Outcomes that became known only after the judged dates had begun are turned round: the judged calibration stays.
    turned = {days: label.copy() for days, label in rows.later.left_within.items()}
    unknown_then = (rows.as_of + np.timedelta64(120, "D") > first) & (rows.as_of < first) & (turned[90] != UNKNOWN)
    turned[90][unknown_then] = np.where(rows.label[unknown_then] == 1, 1, 1 - turned[90][unknown_then])
    (_, live, _), (_, after, _) = horizons(replace(rows, later=replace(rows.later, left_within=turned)))
    assert unknown_then.any() and after.judged == before.judged
    assert live.calibration != trained().model.outlook.later[1].calibration, "the live one learns from all of them"


def test_causes_are_judged_on_the_test_rows_and_leave_unknown_reasons_out() -> None:
    report = trained().report.outlook
    assert report is not None and report.causes_reason is None and report.reasons_known == 1.0
    assert isinstance(trained().model.outlook.causes, CauseModel)
    for check in report.causes:
        assert 0.6 < check.judged.ratio < 1.6 and check.judged.ece < 0.02
        assert check.judged.auc is not None and check.judged.auc > 0.85
    text, page = report_text(trained().report), report_page(trained().report).decode()
    for shown in ("30 days, voluntary", "30 days, involuntary", "60 days", "Follow-up is too short"):
        assert shown in text and shown in page


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_reasons_that_nobody_gave_bias_no_cause_and_silence_both_where_most_are_missing(share: float) -> None:
    rows = known()
    assert rows.later is not None
    hidden = rows.later.left_involuntarily.copy()
    hidden[np.random.default_rng(1).random(len(hidden)) < share] = UNKNOWN
    snapshot = replace(rows, later=replace(rows.later, left_involuntarily=hidden))
    model = trained().model
    assert model.sibling is not None
    found = fit_causes(snapshot, trained().split, model.sibling, model, None)
    assert found.reasons_known == pytest.approx(1 - share, abs=0.05)
    if share > 0.5:
        assert found.checks == [] and "known reason" in str(found.model)
    else:
        assert all(0.6 < check.judged.ratio < 1.6 for check in found.checks) and len(found.checks) == 2


def test_a_table_without_dates_or_ends_says_so(undated_model: Trained, dated_model: Trained) -> None:
    for made, reason in ((undated_model, NO_DATES), (dated_model, NO_ENDS)):
        report = made.report.outlook
        assert report is not None and {check.reason for check in report.horizons} == {reason}
        assert report.causes_reason == reason
    assert undated_model.model.outlook.own.reason is not None and dated_model.model.outlook.own.reason is None


def test_outcomes_travel_in_the_stream_and_impossible_ones_are_refused() -> None:
    rows = known()
    table = arrow.decode(as_stream(rows))
    back = read_snapshot(table, rows.schema)
    assert back.later is not None and rows.later is not None
    assert back.later.as_bytes() == rows.later.as_bytes() and back.checksum() == rows.checksum()
    stayed = table.set_column(
        table.schema.get_field_index("left_within_60_days"), "left_within_60_days", [np.zeros(len(table), np.int8)]
    )
    with pytest.raises(InvalidInput, match="left_within_60_days"):
        read_snapshot(stayed, rows.schema)


def test_a_file_with_ends_tells_the_same_up_to_the_days_of_its_newest_rows() -> None:
    simulation = simulate("documented", customers=300, months=8, seed=6)
    rows, (days, reasons) = history(simulation, 9 * 30), departures(simulation)
    assert rows.as_of is not None and rows.later is not None
    customers = np.asarray(rows.row_keys)
    # Each end stands in one row of its customer only, the newest before it.
    last = np.array([row == np.flatnonzero(customers == who)[-1] for row, who in enumerate(customers)])
    told = (last | (rows.label == 1)) & (days < 10**6)
    ends = np.where(told, rows.as_of + days, np.datetime64("NaT"))
    cause = np.where(told, reasons == 1, UNKNOWN).astype(np.int8)
    found = later_outcomes_of_ends(customers, rows.as_of, rows.label, ends, cause)
    assert found is not None
    newest = rows.as_of.max() + np.timedelta64(30, "D")
    for horizon, label in found.left_within.items():
        assert ((label != UNKNOWN) == (rows.as_of + np.timedelta64(horizon, "D") <= newest)).all()
        both = (label != UNKNOWN) & (rows.later.left_within[horizon] != UNKNOWN)
        assert both.any() and (label == rows.later.left_within[horizon])[both].mean() > 0.97
    assert (found.left_involuntarily == rows.later.left_involuntarily).mean() > 0.99
    few = np.where(np.arange(len(ends)) % 3 == 0, ends, np.datetime64("NaT"))
    assert later_outcomes_of_ends(customers, rows.as_of, rows.label, few, cause) is None, "most ends are missing"
