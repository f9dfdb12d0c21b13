"""Results of a simulation: the snapshots, their lifetimes, and both together."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Selection = Bools | Ints | slice


@dataclass(frozen=True)
class SimulatedMonths:
    """One row per customer and month, ordered by month, then customer. Every array has shape (rows,).

    Attributes
    ----------
    month : int16
        0 to months - 1; the snapshot is taken on day `month * step_days`.
    customer : int64
        Stable over the months. A returning customer keeps the number; a new customer gets a new one.
    watch_time_hours : float64
        Hours watched in the last three months, to one decimal.
    subscription_age_months, tenure_months : int64
        Whole months of the current subscription, and of all of the customer's subscriptions.
    device_count, last_login_days, payment_failures : int64
        Devices registered; whole days since the last login; failed charges in the last three months.
    plan : int8
        Code into `PLANS`.
    monthly_price : float64
        The plan's price.
    churned : int8
        1 if the subscription ends in the `step_days` days after the snapshot. No customer returns within the 30 days
        after that.
    p_true : float64
        The probability of `churned` given the full state. Never given to a model.
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
    """Lifetimes: every subscription that was active on day 0 or later, by customer, then start.

    The lifetimes are complete up to the day of the last snapshot plus `step_days`. Day 0 is the day of the snapshot
    of month 0; earlier days are negative. A subscription is active on day t if
    `started_day <= t` and (`is_open` or `ended_day > t`).

    Attributes
    ----------
    customer : int64
    plan : int8
        Code into `PLANS`.
    monthly_price : float64
    started_day : int32
    ended_day : int32
        First day without the subscription; 0, without meaning, if `is_open`.
    is_open : bool
        Whether the subscription was still running when the simulation ended.
    end_reason : int8
        Code into `END_REASONS`; 0, without meaning, if `is_open`.
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
        """Return the lifetimes as known on `day`: later starts are omitted, later ends are still open."""
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
    """The months and the lifetimes of one run, with its parameters."""

    months: SimulatedMonths
    subscriptions: SimulatedSubscriptions
    preset: str
    seed: int
    step_days: int
