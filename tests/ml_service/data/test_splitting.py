"""Rows for training, rows for the test, and the fold of each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_service.data.dataset import Snapshot
from ml_service.data.grouping import customer_groups
from ml_service.data.simulated import simulated
from ml_service.data.splitting import fold_rows, split_rows, stratified_group_folds
from ml_service.data.thinning import count_leavers, thin
from ml_service.model.out_of_fold import UNSEEN, TrainingFolds
from ml_service.training.pipeline import split_snapshot
from shared.errors import InsufficientData


def labels(rows: int, every: int = 5) -> np.ndarray:
    return (np.arange(rows) % every == 0).astype(np.int8)


def months(count: int, rows: int) -> np.ndarray:
    return np.datetime64("2026-01-31") + 30 * (np.arange(rows) % count)


@pytest.mark.parametrize(("dates", "test_dates"), [(4, 1), (7, 1), (8, 2), (12, 3), (24, 3)])
def test_the_newest_dates_are_the_test_three_and_a_quarter_at_most(dates: int, test_dates: int) -> None:
    rows = 1_500 * dates
    as_of = months(dates, rows)
    split = split_rows(labels(rows), as_of, np.arange(rows), seed=0)
    assert split.kind == "time" and split.labels_known and len(split.rows) == rows
    assert len(np.unique(as_of[split.test])) == test_dates
    # Two months of 30 days: the outcomes of the training rows were known when the test began.
    assert as_of[split.test].min() - as_of[split.training].max() == np.timedelta64(60, "D")


def test_the_test_has_fewer_dates_where_training_would_keep_under_500_leavers() -> None:
    as_of = months(12, 12 * 250)
    split = split_rows(labels(12 * 250), as_of, np.arange(12 * 250), seed=0)
    # 50 leavers a month: ten months of training are needed, and two test months would leave nine.
    assert len(np.unique(as_of[split.training])) == 10 and len(np.unique(as_of[split.test])) == 1


@pytest.mark.parametrize("dates", [2, 3])
def test_too_short_a_history_for_the_gap_is_split_where_the_windows_end(dates: int) -> None:
    as_of = months(dates, 600)
    as_of[::40] -= 1 if dates == 2 else 0
    split = split_rows(labels(600), as_of, np.arange(600), seed=0)
    assert split.labels_known == (dates == 3)
    gap = as_of[split.test].min() - as_of[split.training].max()
    assert gap >= np.timedelta64(27, "D") and (gap >= np.timedelta64(60, "D")) == (dates == 3)


def test_dates_of_one_month_are_one_period_and_split_by_customer() -> None:
    as_of = np.datetime64("2026-01-31") + np.arange(900) % 3 * 7
    assert split_rows(labels(900), as_of, np.arange(900), seed=0).kind == "stratified"


def test_the_simulated_year_is_parted_into_nine_months_and_three() -> None:
    year = simulated(customers=1_500, seed=3).snapshot
    split = split_snapshot(year, seed=0)
    assert len(np.unique(year.as_of[split.training])) == 9  # type: ignore[index]
    assert len(np.unique(year.as_of[split.test])) == 3  # type: ignore[index]


def test_customers_keep_their_side_in_every_training(undated: Snapshot) -> None:
    first = split_snapshot(undated, seed=0)
    fewer = undated.take(np.flatnonzero(np.arange(900) % 10 > 0)[::-1])
    again = split_snapshot(fewer, seed=0)

    def keys(snapshot: Snapshot, rows: np.ndarray) -> set[int]:
        return set(snapshot.row_keys.take(pa.array(rows)).to_pylist())

    parted = keys(undated, first.test) & keys(fewer, again.training)
    assert len(parted) <= 0.03 * len(again.training), "only those at the very edge change sides"


@pytest.mark.parametrize("step_days", [1, 7])
def test_rows_of_a_customer_are_thinned_to_a_month_apart_and_all_dates_stay_in_use(step_days: int) -> None:
    customers = np.repeat(np.arange(300), 180 // step_days)
    as_of = np.datetime64("2026-01-01") + np.tile(np.arange(0, 180, step_days)[: 180 // step_days], 300)
    shuffled = np.random.default_rng(0).permutation(len(customers))
    customers, as_of = customers[shuffled], as_of[shuffled]
    kept = thin(customers, as_of, seed=0)
    order = np.lexsort((as_of[kept], customers[kept]))
    same = np.diff(customers[kept][order]) == 0
    assert np.diff(as_of[kept][order])[same].min() >= np.timedelta64(27, "D")
    assert set(as_of[kept]) == set(as_of) and len(kept) >= 300 * 5


def test_calendar_months_lose_no_row() -> None:
    firsts = np.arange("2026-01", "2027-01", dtype="datetime64[M]").astype("datetime64[D]")
    assert len(thin(np.repeat(np.arange(50), 12), np.tile(firsts, 50), seed=0)) == 600


def test_a_departure_that_several_rows_show_is_one_leaver() -> None:
    days = np.datetime64("2026-01-01") + np.array([0, 7, 14, 100, 0])
    assert count_leavers(np.array([1, 1, 1, 1, 1], np.int8), np.array([1, 1, 1, 1, 2]), days) == 3


@pytest.mark.parametrize("as_of", [None, months(1, 800)])
def test_without_dates_a_quarter_is_drawn_at_the_same_prevalence(as_of: np.ndarray | None) -> None:
    y = labels(800)
    split = split_rows(y, as_of, np.arange(800), seed=1)
    assert split.kind == "stratified"
    assert len(split.test) == 200 and y[split.test].sum() == 40
    assert not set(split.test) & set(split.training)


@settings(deadline=None, max_examples=40)
@given(customers=st.integers(30, 200), parts=st.integers(2, 6), seed=st.integers(0, 99))
def test_no_customer_is_parted(customers: int, parts: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, customers, 600)
    dealt = stratified_group_folds(groups, (rng.random(600) < 0.3).astype(np.int8), parts, seed)
    assert all(len(set(dealt[groups == group])) == 1 for group in np.unique(groups))
    assert np.ptp(np.bincount(dealt, minlength=parts)) < 0.5 * 600 / parts


def test_rows_without_a_key_go_by_their_values() -> None:
    values = np.array([[1.0, np.nan], [2.0, 3.0], [1.0, np.nan], [2.0, 3.5]])
    groups = customer_groups(pa.nulls(4, pa.int64()), values)
    assert groups[0] == groups[2] and len(set(groups)) == 3
    keyed = customer_groups(pa.array([7, None, 8, 7], pa.int64()), values)
    assert keyed[0] == keyed[3] and len(set(keyed)) == 3


def test_a_row_that_is_there_twice_under_two_ids_stays_in_one_fold() -> None:
    values = np.random.default_rng(0).normal(size=(400, 2))
    values[200:] = values[:200]
    groups = customer_groups(pa.array(range(400), pa.int64()), values)
    folds = fold_rows(labels(400), groups, seed=0)
    assert (folds[:200] == folds[200:]).all()
    # Where most rows have their like, that says nothing: a table of a few yes-and-no columns.
    few = customer_groups(pa.array(range(400), pa.int64()), np.arange(400)[:, None] % 8 * 1.0)
    assert len(np.unique(few)) == 400


def test_too_few_leavers_are_refused_with_their_number() -> None:
    y = labels(400, every=17)
    with pytest.raises(InsufficientData, match="hold 24 leavers and 376 stayers; at least 25"):
        split_rows(y, None, np.arange(400), seed=0)
    with pytest.raises(InsufficientData, match="0 leavers"):
        split_rows(np.zeros(400, dtype=np.int8), None, np.arange(400), seed=0)


def test_too_few_leavers_in_the_test_period_are_refused() -> None:
    as_of, y = months(4, 800), labels(800)
    y[as_of == as_of.max()] = 0
    with pytest.raises(InsufficientData, match="test rows hold 0 leavers and 200 stayers; at least 5"):
        split_rows(y, as_of, np.arange(800), seed=0)


def test_leavers_that_are_all_one_customer_cannot_be_dealt_into_folds() -> None:
    y = labels(300, every=2)
    with pytest.raises(InsufficientData, match="too few customers"):
        fold_rows(y, np.where(y == 1, 0, np.arange(300)), seed=0)


def test_a_seen_row_is_known_by_its_key_alone() -> None:
    seen = TrainingFolds.from_keys(
        pa.array([50, -3, 50, None, 2**62], pa.int64()), np.array([1, 0, 1, 4, 2], dtype=np.int8)
    )
    asked = pa.array([2**62, 0, 50, None, -3, 51], pa.int64())
    assert seen.fold_of(asked).tolist() == [2, UNSEEN, 1, UNSEEN, 0, UNSEEN]
    again = TrainingFolds.from_files(seen.files())
    assert again.fold_of(asked).tolist() == seen.fold_of(asked).tolist()


def test_equal_rows_of_a_table_without_ids_are_customers_where_few_rows_differ() -> None:
    few = np.array([[value % 4] for value in range(40)], dtype=float)
    many = np.array([[value] for value in [*range(39), 0]], dtype=float)
    without = pa.nulls(40, pa.int64())
    assert len(np.unique(customer_groups(without, few))) == 40
    assert len(np.unique(customer_groups(without, many))) == 39
