"""Leaks that no feature gives away alone: each is refused or cautioned about by name, honest tables are not refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml_service.data.dataset import Snapshot, snapshot_of
from ml_service.data.grouping import customer_groups
from ml_service.data.leak_traces import earlier_rows, find_traces
from ml_service.data.leaks import Leak
from ml_service.data.simulated import simulated
from ml_service.training.pipeline import train
from shared.errors import LeakFound
from shared.schema.features import load_schema, schema_from_dict
from shared.tables.read import read_table
from tests.ml_service.conftest import QUICK
from tests.ml_service.data.test_leakage import DATA, HONEST, ROOT, planted

ROWS = 12_000
DAY = np.datetime64("2026-01-31")


def traces(label: np.ndarray, *, dated: bool = False, text: tuple[str, ...] = (), **columns: np.ndarray) -> list[Leak]:
    kinds = {name: {"kind": "category" if name in text else "number"} for name in columns}
    values = np.column_stack([np.asarray(column, float) for column in columns.values()])
    days = np.full(len(label), DAY) if dated else None
    schema = schema_from_dict({"features": kinds})
    return find_traces(schema, values, label.astype(np.int8), np.arange(len(label)), days, seed=0)


def told(found: list[Leak]) -> dict[str, bool]:
    return {leak.name: leak.refuses for leak in found}


@pytest.mark.parametrize("dated", [False, True])
@pytest.mark.parametrize("prevalence", [0.02, 0.05, 0.26])
def test_days_since_the_last_login_that_were_taken_at_the_extraction_are_cautioned_about(
    prevalence: float, dated: bool
) -> None:
    rng = np.random.default_rng(1)
    left = rng.random(ROWS) < prevalence
    idle = rng.exponential(5, ROWS)
    days = np.floor(np.where(left, rng.uniform(0, 30, ROWS) + idle, 1.2 * idle))
    [leak] = traces(left, dated=dated, noise=rng.normal(size=ROWS), last_login_days=days)
    assert (leak.name, leak.refuses) == ("last_login_days", False)
    assert leak.evidence.startswith("at least 2") and "% of leavers and" in leak.evidence


@pytest.mark.parametrize(("spread", "refuses"), [(0.0, True), (0.02, False)])
def test_a_total_that_stops_before_leaving_is_found_beside_tenure_and_price(spread: float, refuses: bool) -> None:
    rng = np.random.default_rng(2)
    left = rng.random(ROWS) < 0.05
    tenure, price = rng.integers(1, 61, ROWS), rng.choice([4.99, 9.99, 14.99, 19.99], ROWS)
    paid = price * np.where(left, tenure - 1, tenure) * np.exp(rng.normal(0, spread, ROWS))
    [leak] = traces(left, tenure=tenure, price=price, total_paid=np.round(paid, 2))
    assert (leak.name, leak.refuses) == ("total_paid", refuses)
    assert "it follows from tenure, price for those who stay" in leak.evidence
    assert told(traces(left, dated=True, tenure=tenure, price=price, total_paid=paid)) == {"total_paid": False}


def test_a_total_of_what_everybody_paid_is_honest() -> None:
    rng = np.random.default_rng(3)
    left = rng.random(ROWS) < 0.1
    tenure, price = rng.integers(1, 61, ROWS), rng.choice([4.99, 9.99, 14.99], ROWS)
    assert traces(left, tenure=tenure, price=price, total_paid=price * tenure) == []


@pytest.mark.parametrize("kind", ["number", "text"])
def test_the_label_copied_for_half_of_the_leavers_is_refused_and_cautioned_about_where_rows_have_dates(
    kind: str,
) -> None:
    rng = np.random.default_rng(4)
    left = rng.random(ROWS) < 0.05
    flag = left & (rng.random(ROWS) < 0.5)
    text = ("flag",) if kind == "text" else ()
    assert told(traces(left, text=text, flag=flag, noise=rng.normal(size=ROWS))) == {"flag": True}
    assert told(traces(left, text=text, dated=True, flag=flag, noise=rng.normal(size=ROWS))) == {"flag": False}


@pytest.mark.parametrize("make", HONEST, ids=lambda make: make.__name__.strip("_"))
@pytest.mark.parametrize("dated", [False, True])
def test_an_honest_feature_leaves_no_trace_that_refuses(make: Any, dated: bool) -> None:
    label, values = make(np.random.default_rng(0))
    text = ("honest",) if isinstance(values, list) else ()
    column = np.array([value == "off" for value in values]) if text else np.asarray(values)
    assert [leak for leak in traces(label, dated=dated, text=text, honest=column) if leak.refuses] == []


@pytest.mark.parametrize("preset", ["documented", "realistic"])
def test_the_simulated_subscribers_leave_no_trace(preset: str) -> None:
    snapshot = simulated(preset, customers=1500).snapshot
    values = snapshot.matrix()[0].values
    groups = customer_groups(snapshot.row_keys, values)
    assert find_traces(snapshot.schema, values, snapshot.label, groups, snapshot.as_of, seed=0) == []


@pytest.mark.parametrize("name", ["telco", "iranian"])
def test_real_tables_leave_no_trace(name: str) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"real tables are not in {DATA} (RETAINSTREAM_DATA)")
    schema = load_schema(str(ROOT / "examples" / f"{name}.toml"))
    snapshot = snapshot_of(read_table(DATA / name / f"{name}.csv", schema, label="required"))
    values = snapshot.matrix()[0].values
    groups = customer_groups(snapshot.row_keys, values)
    assert find_traces(snapshot.schema, values, snapshot.label, groups, None, seed=0) == []


def test_earlier_rows_are_of_the_same_customer_and_three_to_six_weeks_older() -> None:
    days = np.datetime64("2026-01-01") + np.array([0, 30, 60, 0, 20, 90, 31])
    rows, earlier = earlier_rows(np.array([7, 7, 7, 9, 9, 9, 8]), days)
    assert list(zip(rows.tolist(), earlier.tolist(), strict=True)) == [(1, 0), (2, 1)]


def test_a_feature_that_tells_much_now_and_nothing_a_month_earlier_is_cautioned_about() -> None:
    rng = np.random.default_rng(5)
    customer, month = np.repeat(np.arange(3000), 3), np.tile(np.arange(3), 3000)
    left = rng.random(9000) < 0.05
    written = rng.normal(size=9000) + 1.2 * left
    steady = (rng.normal(size=3000) + 1.2 * np.bincount(customer, weights=left))[customer]
    schema = schema_from_dict({"features": {"written": {"kind": "number"}, "steady": {"kind": "number"}}})
    days = DAY + 30 * month
    found = find_traces(schema, np.column_stack([written, steady]), left.astype(np.int8), customer, days, seed=0)
    assert told(found) == {"written": False}
    assert "its values 21 to 45 days earlier only 0." in found[0].evidence


def test_training_refuses_by_name_what_only_leavers_have(undated: Snapshot) -> None:
    rng = np.random.default_rng(6)
    flag = np.where((undated.label == 1) & (rng.random(len(undated.label)) < 0.6), "stopped", "running").tolist()
    with pytest.raises(LeakFound, match="planted_one: probably written after") as refused:
        train(planted(undated, flag), version="1.0.0", effort=QUICK)
    assert [detail["field"] for detail in refused.value.details] == ["planted_one"]
