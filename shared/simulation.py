"""Simulated subscribers whose true probability of leaving is known for every row.

One 30-day step a month, vectorised over the subscribers: 40 months of burn-in, then the snapshots that are kept.

    simulation = simulate("documented", customers=13_334, months=12, seed=0)
    simulation.months.churned.mean()

A figure measured on simulated subscribers says nothing about real ones.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from shared import simulation_presets as law
from shared.simulation_people import Bools, Floats, Ints, Persons, Subscribers, join, new_persons
from shared.simulation_presets import END_REASONS, FEATURES, PLANS, PRESETS, Plan, Preset

__all__ = [
    "END_REASONS",
    "FEATURES",
    "PLANS",
    "PRESETS",
    "Plan",
    "Preset",
    "SimulatedMonths",
    "SimulatedSubscriptions",
    "Simulation",
    "simulate",
    "training_records",
]

TRAINING_MONTHS, TRAINING_ROWS, TEST_ROWS = 9, 120_000, 40_000

Selection = Bools | Ints | slice


@dataclass(frozen=True)
class SimulatedMonths:
    """One row per customer and month, ordered by month, then customer. Every array has shape (rows,).

    Attributes
    ----------
    month : int16
        0 to months - 1; the snapshot is taken on day `month * step_days`.
    customer : int64
        Stable over the months. Who comes back keeps the number, a new sign-up gets a new one.
    watch_time_hours : float64
        Hours watched in the last three months, to one decimal.
    subscription_age_months, tenure_months : int64
        Whole months of the present subscription, and over all of the customer's subscriptions.
    device_count, last_login_days, payment_failures : int64
        Devices registered; whole days since the last login; failed charges in the last three months.
    plan : int8
        Code into `PLANS`.
    monthly_price : float64
        The plan's price.
    churned : int8
        1 if the subscription ends in the `step_days` days after the snapshot. Nobody returns within the 30 days
        after that.
    p_true : float64
        The probability of `churned` given the full state. No model may see it.
    """

    month: npt.NDArray[np.int16]
    customer: Ints
    watch_time_hours: Floats
    subscription_age_months: Ints
    device_count: Ints
    last_login_days: Ints
    payment_failures: Ints
    tenure_months: Ints
    plan: npt.NDArray[np.int8]
    monthly_price: Floats
    churned: npt.NDArray[np.int8]
    p_true: Floats

    def __len__(self) -> int:
        return len(self.customer)

    def rows(self, selection: Selection) -> Self:
        """Return the chosen rows, by mask, positions or slice."""
        return type(self)(*(getattr(self, f.name)[selection] for f in fields(self)))


@dataclass(frozen=True)
class SimulatedSubscriptions:
    """The lifetimes behind the months: every subscription alive on day 0 or later, by customer, then start.

    The lifetimes are complete up to the day of the last snapshot plus `step_days`. Days count from the day of the
    snapshot of month 0; negative days lie before it. A subscription is active on day t if
    `started_day <= t` and (`is_open` or `ended_day > t`).

    Attributes
    ----------
    customer : int64
    plan : int8
        Code into `PLANS`.
    monthly_price : float64
    started_day : int32
    ended_day : int32
        First day without the subscription. Means nothing where `is_open`; it is 0 there.
    is_open : bool
        Whether the subscription was still running when the simulation ended.
    end_reason : int8
        Code into `END_REASONS`. Means nothing where `is_open`; it is 0 there.
    """

    customer: Ints
    plan: npt.NDArray[np.int8]
    monthly_price: Floats
    started_day: npt.NDArray[np.int32]
    ended_day: npt.NDArray[np.int32]
    is_open: Bools
    end_reason: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.customer)

    def known_on(self, day: int) -> "SimulatedSubscriptions":
        """Return the lifetimes as they were known on `day`: later starts are left out, later ends still open."""
        started = self.started_day <= day
        is_open = self.is_open | (self.ended_day > day)
        return SimulatedSubscriptions(
            customer=self.customer[started],
            plan=self.plan[started],
            monthly_price=self.monthly_price[started],
            started_day=self.started_day[started],
            ended_day=np.where(is_open, 0, self.ended_day)[started].astype(np.int32),
            is_open=is_open[started],
            end_reason=np.where(is_open, 0, self.end_reason)[started].astype(np.int8),
        )


@dataclass(frozen=True)
class Simulation:
    """The months and the lifetimes of one run, with what made them."""

    months: SimulatedMonths
    subscriptions: SimulatedSubscriptions
    preset: str
    seed: int
    step_days: int


def simulate(
    preset: str,
    *,
    customers: int = 13_334,
    months: int = 12,
    seed: int = 0,
    last_calendar_month: int = 12,
    step_days: int = 30,
) -> Simulation:
    """Simulate `customers` subscribers over `months` snapshots.

    Parameters
    ----------
    preset
        A key of `PRESETS`.
    customers
        How many are active on the day of each snapshot; who leaves is replaced within the month.
    months
        Number of snapshots that are kept, one every `step_days` days.
    seed
        The same seed gives the same arrays, bit for bit.
    last_calendar_month
        Calendar month of the last snapshot, 1 to 12: it sets the season.
    step_days
        Days in a month, and so the horizon of `churned`. At least 30, the grace gap of a return.

    Returns
    -------
    Simulation

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Chosen where the mechanisms leave it open: the first subscribers all begin at the start of the burn-in. The
    constant of the log-odds is corrected in every burn-in month by the log of the target rate over the expected
    one; its mean over the last twelve is then kept, so that it carries no season. Failed payments are drawn first,
    the wish to leave second: p_true = 1 - (1 - p_dunning) (1 - p_wish). Of the months 2 to 5 until a return each is
    as likely; who finds no vacancy waits a month longer.
    """
    _check(preset, customers, months, last_calendar_month, step_days)
    run = _Run(PRESETS[preset], customers, np.random.default_rng(seed), step_days, last_calendar_month - months)
    run.burn_in()
    parts = [run.month(number) for number in range(months)]
    table = SimulatedMonths(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(SimulatedMonths)))
    return Simulation(table, run.lifetimes(), preset, seed, step_days)


def training_records(
    preset: str = "documented", customers: int = 13_334, seed: int = 0
) -> tuple[SimulatedMonths, SimulatedMonths]:
    """Simulate a year and part it by time into records for training and for the test.

    Returns
    -------
    training, test
        Months 0 to 8, at most 120,000 rows, and months 9 to 11, at most 40,000 rows: exactly those numbers with
        13,334 customers or more. The rows beyond are dropped from the end of each.
    """
    year = simulate(preset, customers=customers, months=12, seed=seed).months
    first_test_row = int(np.searchsorted(year.month, TRAINING_MONTHS))
    training = year.rows(slice(0, first_test_row)).rows(slice(TRAINING_ROWS))
    return training, year.rows(slice(first_test_row, None)).rows(slice(TEST_ROWS))


def _check(preset: str, customers: int, months: int, last_calendar_month: int, step_days: int) -> None:
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    if customers < 1 or months < 1:
        raise ValueError("customers and months must be 1 or more")
    if not 1 <= last_calendar_month <= 12:
        raise ValueError("last_calendar_month must lie between 1 and 12")
    if step_days < 30:
        raise ValueError("step_days must be 30 or more, or a return could fall inside the grace gap")
