"""The simulated subscribers keep their promises: deterministic, consistent in time, and as hard as documented."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from xgboost import XGBClassifier

from examples import make_customers
from shared.simulation.simulate import (
    END_REASONS,
    FEATURES,
    PLANS,
    SimulatedMonths,
    SimulatedSubscriptions,
    Simulation,
    simulate,
    training_records,
)

STEP = 30
DTYPES = {
    "month": np.int16,
    "customer": np.int64,
    "watch_time_hours": np.float64,
    "subscription_age_months": np.int64,
    "device_count": np.int64,
    "last_login_days": np.int64,
    "payment_failures": np.int64,
    "tenure_months": np.int64,
    "plan": np.int8,
    "monthly_price": np.float64,
    "churned": np.int8,
    "p_true": np.float64,
}


def small(seed: int = 3, **arguments: int) -> Simulation:
    return simulate("documented", customers=1_500, months=8, seed=seed, **arguments)


@pytest.fixture(scope="module")
def few() -> Simulation:
    return small()


@pytest.fixture(scope="module")
def records() -> tuple[SimulatedMonths, SimulatedMonths]:
    return training_records(seed=1)


@pytest.fixture(scope="module")
def year() -> Simulation:
    return simulate("documented", seed=1)


def active_on(lives: SimulatedSubscriptions, day: int) -> np.ndarray:
    return (lives.started_day <= day) & (lives.is_open | (lives.ended_day > day))


def same(one: Simulation, other: Simulation) -> bool:
    pairs = [(one.months, other.months), (one.subscriptions, other.subscriptions)]
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for a, b in pairs for f in fields(a))


def matrix(table: SimulatedMonths) -> np.ndarray:
    return np.column_stack([getattr(table, name).astype(float) for name in FEATURES])


def boosted(x: np.ndarray, y: np.ndarray) -> XGBClassifier:
    return XGBClassifier(max_depth=3, n_estimators=250, learning_rate=0.1, n_jobs=2).fit(x, y)


def test_the_same_seed_gives_the_same_arrays(few: Simulation) -> None:
    assert same(few, small())


def test_another_seed_gives_other_subscribers(few: Simulation) -> None:
    assert not same(few, small(seed=4))


def test_rows_are_ordered_by_month_then_customer_and_typed_as_promised(few: Simulation) -> None:
    months = few.months
    assert len(months) == 1_500 * 8
    assert (np.diff(months.month) >= 0).all()
    assert (np.diff(months.customer)[np.diff(months.month) == 0] > 0).all()
    assert {f.name: getattr(months, f.name).dtype.type for f in fields(months)} == DTYPES


def test_rows_can_be_chosen_by_mask_and_by_slice(few: Simulation) -> None:
    last = few.months.rows(few.months.month == 7)
    assert same_rows(last, few.months.rows(slice(7 * 1_500, None)))


def same_rows(one: SimulatedMonths, other: SimulatedMonths) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))


@pytest.mark.parametrize("step_days", [30, 31])
def test_exactly_the_wanted_number_is_active_on_every_snapshot_day(step_days: int) -> None:
    run = small(step_days=step_days)
    for month in range(9):  # the day after the last month is known as well
        alive = active_on(run.subscriptions, month * step_days)
        assert alive.sum() == 1_500
        if month < 8:
            shown = run.months.customer[run.months.month == month]
            assert np.array_equal(np.sort(run.subscriptions.customer[alive]), shown)


def test_labels_recomputed_from_the_lifetimes_equal_churned(few: Simulation) -> None:
    lives, months = few.subscriptions, few.months
    for month in range(7):  # 60 days on, the simulation still knows everything
        day = month * STEP
        alive = active_on(lives, day)
        ends = lives.ended_day[alive]
        leaves = ~lives.is_open[alive] & (ends <= day + STEP)
        for customer, ended in zip(lives.customer[alive][leaves], ends[leaves], strict=True):
            starts = lives.started_day[lives.customer == customer]
            assert not ((starts >= ended) & (starts <= ended + 30)).any()
        assert np.array_equal(leaves, months.churned[months.month == month] == 1)


def test_nobody_has_two_subscriptions_at_once_and_some_come_back(few: Simulation) -> None:
    lives = few.subscriptions
    again = np.flatnonzero(np.diff(lives.customer) == 0)
    assert len(again) > 20
    assert not lives.is_open[again].any()
    pauses = lives.started_day[again + 1] - lives.ended_day[again]
    assert pauses.min() > 30
    assert (lives.ended_day > lives.started_day)[~lives.is_open].all()
    assert (lives.ended_day[lives.is_open] == 0).all()


def test_ages_and_tenures_follow_from_the_start_days(few: Simulation) -> None:
    lives, months = few.subscriptions, few.months
    for month in range(8):
        rows = months.rows(months.month == month)
        age = (month * STEP - lives.started_day[active_on(lives, month * STEP)]) // STEP
        assert np.array_equal(age, rows.subscription_age_months)
    assert (months.tenure_months >= months.subscription_age_months).all()
    assert (months.tenure_months > months.subscription_age_months).any()


def test_tenure_goes_on_where_the_customer_left_off(few: Simulation) -> None:
    lives, months = few.subscriptions, few.months
    back = int(np.flatnonzero((np.diff(lives.customer) == 0) & (lives.started_day[1:] <= 7 * STEP))[0])
    customer, first_day_back = lives.customer[back], lives.started_day[back + 1]
    rows = months.rows(months.customer == customer)
    before = rows.rows(rows.month * STEP < first_day_back).tenure_months.max()
    after = rows.rows(rows.month * STEP >= first_day_back).tenure_months.min()
    assert before <= after <= before + 1


def test_the_lifetimes_known_on_a_day_hold_nothing_of_later_days(few: Simulation) -> None:
    known = few.subscriptions.known_on(90)
    assert known.started_day.max() <= 90
    assert known.ended_day[~known.is_open].max() <= 90
    assert (known.end_reason[known.is_open] == 0).all()
    assert np.array_equal(active_on(known, 90).sum(), 1_500)


def test_a_customer_keeps_plan_and_price_and_the_plans_device_limit(few: Simulation) -> None:
    months = few.months
    limits = np.array([plan.device_limit for plan in PLANS])
    prices = np.array([plan.monthly_price for plan in PLANS])
    assert (months.device_count <= limits[months.plan]).all()
    assert months.device_count.min() >= 1
    assert np.array_equal(months.monthly_price, prices[months.plan])
    assert len(np.unique(np.column_stack([months.customer, months.plan]), axis=0)) == len(np.unique(months.customer))


def test_every_feature_stays_in_its_range(few: Simulation) -> None:
    months = few.months
    assert months.watch_time_hours.min() >= 0
    assert months.watch_time_hours.max() <= 3 * 720
    assert np.array_equal(months.watch_time_hours, np.round(months.watch_time_hours, 1))
    assert 0 <= months.last_login_days.min() <= months.last_login_days.max() <= 180
    assert 0 <= months.payment_failures.min() <= months.payment_failures.max() <= 12
    assert (months.last_login_days <= STEP * (months.subscription_age_months + 1)).all()


def test_the_season_follows_the_calendar() -> None:
    winter, summer = (small(last_calendar_month=month).months.rows(slice(-1_500, None)) for month in (2, 8))
    assert np.median(winter.watch_time_hours) > 1.2 * np.median(summer.watch_time_hours)


@pytest.mark.parametrize("preset", ["documented", "realistic"])
def test_one_subscriber_and_one_month_are_enough(preset: str) -> None:
    run = simulate(preset, customers=1, months=1)
    assert len(run.months) == 1
    assert active_on(run.subscriptions, 30).sum() == 1


@pytest.mark.parametrize(
    "wrong",
    [{"preset": "fictional"}, {"customers": 0}, {"months": 0}, {"last_calendar_month": 13}, {"step_days": 29}],
)
def test_an_argument_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        simulate(**({"preset": "documented"} | wrong))  # type: ignore[arg-type]


def test_the_true_probability_is_calibrated(year: Simulation) -> None:
    order = np.argsort(year.months.p_true)
    for rows in np.array_split(order, 20):
        p, y = year.months.p_true[rows], year.months.churned[rows]
        spread = np.sqrt((p * (1 - p)).sum()) / len(rows)
        assert abs(y.mean() - p.mean()) < 4 * spread + 1e-4


def test_shares_and_quantiles_are_those_documented(year: Simulation) -> None:
    lives, months = year.subscriptions, year.months
    assert 0.050 < months.churned.mean() < 0.056
    involuntary = lives.end_reason[~lives.is_open] == END_REASONS.index("involuntary")
    assert 0.265 < involuntary.mean() < 0.31
    low, middle, high, highest = np.quantile(months.watch_time_hours, [0.05, 0.5, 0.95, 0.99])
    assert 4 < low < 8
    assert 66 < middle < 78
    assert 250 < high < 290
    assert 420 < highest < 500


def test_the_records_are_exactly_120000_and_40000_parted_by_time(
    records: tuple[SimulatedMonths, SimulatedMonths], year: Simulation
) -> None:
    training, test = records
    assert (len(training), len(test)) == (120_000, 40_000)
    assert (training.month.min(), training.month.max(), test.month.min(), test.month.max()) == (0, 8, 9, 11)
    assert same_rows(training, year.months.rows(slice(120_000)))


def test_models_reach_what_is_documented_and_not_more(records: tuple[SimulatedMonths, SimulatedMonths]) -> None:
    training, test = records
    x, y, x_test, y_test = matrix(training), training.churned, matrix(test), test.churned
    ceiling = roc_auc_score(y_test, test.p_true)
    assert 0.948 < ceiling < 0.962
    scores = boosted(x, y).predict_proba(x_test)[:, 1]
    assert 0.944 < roc_auc_score(y_test, scores) < ceiling
    assert 0.009 < (scores > 0.7).mean() < 0.021

    def tenure_and_plan(table: SimulatedMonths) -> np.ndarray:
        return np.column_stack([table.tenure_months / 12, table.plan == 0, table.plan == 2])

    simple = LogisticRegression().fit(tenure_and_plan(training), y)
    assert 0.70 < roc_auc_score(y_test, simple.predict_proba(tenure_and_plan(test))[:, 1]) < 0.745

    late = training.customer % 2 == 1
    held_out = np.where(late, boosted(x[~late], y[~late]).predict_proba(x)[:, 1], 0.0)
    threshold = np.quantile(held_out[late & (y == 1)], 1 - 0.925)
    recall, false_alarms = (scores[y_test == 1] >= threshold).mean(), (scores[y_test == 0] >= threshold).mean()
    assert recall >= 0.89
    assert recall / (recall + false_alarms) >= 0.84


def test_the_realistic_preset_is_harder() -> None:
    months = simulate("realistic", seed=1).months
    assert 0.82 < roc_auc_score(months.churned, months.p_true) < 0.86
    assert (months.p_true > 0.7).mean() < 0.004


def test_the_example_file_is_the_one_its_script_writes(tmp_path: Path) -> None:
    make_customers.write(tmp_path / "customers.csv")
    written = (tmp_path / "customers.csv").read_text(encoding="utf-8")
    assert written == make_customers.TARGET.read_text(encoding="utf-8")
    lines = written.splitlines()
    assert len(lines) == 1_001
    assert lines[0] == (
        "user_id,email,plan,watch_time_hours,subscription_age_months,device_count,last_login_days,"
        "payment_failures,tenure_months,monthly_price,churn"
    )
    assert not any(",," in line or line.endswith(",") for line in lines)
