"""Who trains, who tests, and who stands in which fold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_service.data.grouping import customer_groups
from ml_service.data.splitting import fold_rows, split_rows, stratified_group_folds
from ml_service.model.out_of_fold import UNSEEN, TrainingFolds
from shared.errors import InsufficientData


def labels(rows: int, every: int = 5) -> np.ndarray:
    return (np.arange(rows) % every == 0).astype(np.int8)


def months(count: int, rows: int) -> np.ndarray:
    return np.datetime64("2026-01-31") + 30 * (np.arange(rows) % count)


@pytest.mark.parametrize(("dates", "test_dates"), [(2, 1), (3, 1), (4, 1), (6, 2), (8, 2), (12, 3)])
def test_the_newest_quarter_of_the_dates_is_the_test(dates: int, test_dates: int) -> None:
    as_of = months(dates, 1200)
    split = split_rows(labels(1200), as_of, np.arange(1200), seed=0)
    assert split.kind == "time"
    assert len(np.unique(as_of[split.test])) == test_dates
    assert as_of[split.training].max() < as_of[split.test].min()


def test_the_simulated_year_is_parted_into_nine_months_and_three(dated) -> None:  # type: ignore[no-untyped-def]
    split = split_rows(dated.label, dated.as_of, np.arange(len(dated.label)), seed=0)
    assert len(np.unique(dated.as_of[split.training])) == 9
    assert len(np.unique(dated.as_of[split.test])) == 3


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
