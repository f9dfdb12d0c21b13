"""Simulated subscribers whose true probability of leaving is known for every row.

One 30-day step a month, vectorised over the subscribers: 40 months of burn-in, then the snapshots that are kept.

    simulation = simulate("documented", customers=13_334, months=12, seed=0)
    simulation.months.churned.mean()

A figure measured on simulated subscribers does not apply to real ones.

Campaigns shift the wish to leave of those whom they contact. They draw no random number, so that a campaign without an
effect, or none, leaves every array the same.

Choices that the mechanisms leave open, made so that the figures match:

- The first subscriptions are 0 to 96 months old, exponential with mean 36, so that no single cohort dominates.
- The constant of the log-odds is corrected in every burn-in month by the log of the target rate over the
  expected rate. Its mean over the last twelve months is then used, so that it has no season. The target is 5.45 %,
  because the population still grows older afterwards: over a year, 5.2 to 5.5 % leave per month.
- p_true = 1 - (1 - p_dunning) (1 - p_wish). A subscriber who would leave for both reasons leaves by dunning.
- The season changes the wish to leave by as much as the log of viewing, in the same direction.
- A declined charge is one failure. A good card's first retry succeeds; of a stale card's three retries,
  Binomial(3, .55) fail. A subscription starts with a successful charge.
- A first month counts in full for the wish to leave and has no trend. Its shown hours grow with the square root
  of the days since the start; the last login is never before the start.
- A return after 2, 3, 4 or 5 months is equally likely. A returner without a vacancy waits a month longer.
- A household watches at most 720 hours a month.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from shared.simulation import presets
from shared.simulation.people import Persons, Subscribers, first_ages, join, new_persons
from shared.simulation.presets import END_REASONS, FEATURES, PLANS, PRESETS, Plan, Preset
from shared.simulation.records import Bools, Floats, Ints, SimulatedMonths, SimulatedSubscriptions, Simulation

__all__ = [
    "END_REASONS",
    "FEATURES",
    "PLANS",
    "PRESETS",
    "Campaign",
    "Plan",
    "Preset",
    "SimulatedMonths",
    "SimulatedSubscriptions",
    "Simulation",
    "simulate",
    "split_year",
    "training_records",
]

TRAINING_MONTHS, TRAINING_ROWS, TEST_ROWS = 9, 120_000, 40_000


@dataclass(frozen=True)
class Campaign:
    """A simulated campaign: it contacts some subscribers on a snapshot day, and then fewer of them wish to leave.

    Attributes
    ----------
    month
        Month of the snapshot.
    contacted
        Tells from the columns of the snapshot (`SimulatedMonths`) who is contacted, shape (n,).
    log_odds
        Added to the log-odds of leaving by choice in the month after it; below 0, fewer leave. Dunning stays as it is.
    """

    month: int
    contacted: Callable[[Mapping[str, Any]], Bools]
    log_odds: float


def simulate(
    preset: str,
    *,
    customers: int = 13_334,
    months: int = 12,
    seed: int = 0,
    last_calendar_month: int = 12,
    step_days: int = 30,
    campaigns: Sequence[Campaign] = (),
) -> Simulation:
    """Simulate `customers` subscribers over `months` snapshots.

    Parameters
    ----------
    preset
        A key of `PRESETS`.
    customers, months
        Active subscribers on each snapshot day (leavers are replaced within the month), and number of snapshots.
    seed
        The same seed gives the same arrays, bit for bit.
    last_calendar_month
        Calendar month of the last snapshot, 1 to 12, which sets the season.
    step_days
        Days in a month, and so the horizon of `churned`. At least 30, the grace gap of a return.
    campaigns
        Campaigns, whose effects add up where they contact the same subscribers.

    Raises
    ------
    ValueError
        An argument is out of its range.
    """
    _check(preset, customers, months, last_calendar_month, step_days)
    run = _Run(PRESETS[preset], customers, np.random.default_rng(seed), step_days, last_calendar_month - months)
    run.burn_in()
    parts = [run.month(number, [c for c in campaigns if c.month == number]) for number in range(months)]
    table = SimulatedMonths(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(SimulatedMonths)))
    return Simulation(table, run.lifetimes(), preset, seed, step_days)


def training_records(
    preset: str = "documented", customers: int = 13_334, seed: int = 0
) -> tuple[SimulatedMonths, SimulatedMonths]:
    """Simulate a year and split it by time into training and test records.

    Returns
    -------
    training, test
        Months 0 to 8, at most 120,000 rows, and months 9 to 11, at most 40,000 rows: exactly these numbers with
        13,334 customers or more. Further rows are dropped from the end of each.
    """
    return split_year(simulate(preset, customers=customers, months=12, seed=seed).months)


def split_year(year: SimulatedMonths) -> tuple[SimulatedMonths, SimulatedMonths]:
    """Split the months of a simulated year as `training_records` does."""
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


class _Run:
    """The population over the months, and the lifetimes that have ended since day 0."""

    def __init__(
        self, weights: Preset, customers: int, rng: np.random.Generator, month_days: int, calendar_month: int
    ) -> None:
        self._weights = weights
        self._rng = rng
        self._month_days = month_days
        # Months since January; the state below is BURN_IN_MONTHS before the first snapshot.
        self._calendar = calendar_month - presets.BURN_IN_MONTHS
        day = -presets.BURN_IN_MONTHS * month_days
        persons = new_persons(rng, customers, 0)
        started = day - (first_ages(rng, customers) * month_days).astype(np.int64)
        self._people = Subscribers(rng, persons, started, day=day, month_days=month_days, season=self._season())
        self._constant = 0.0
        self._next_number = customers
        self._away = persons.take(np.zeros(0, dtype=np.int64))
        self._back_on = np.zeros(0, dtype=np.int64)
        self._ended: list[tuple[Ints, ...]] = []

    def burn_in(self) -> None:
        """Let the population settle, and find the constant that gives the target rate of leavers."""
        tried = []
        for _ in range(presets.BURN_IN_MONTHS):
            dunning, wish = self._probabilities()
            expected = float(np.mean(1 - (1 - dunning) * (1 - wish)))
            tried.append(self._constant)
            self._constant += np.log(presets.TARGET_CHURN / expected)
            self._step(dunning, wish)
        self._constant = float(np.mean(tried[-12:]))

    def month(self, number: int, campaigns: Sequence[Campaign]) -> SimulatedMonths:
        """Take the snapshot of one month, contact the customers of its campaigns, then simulate the month."""
        people = self._people
        rows = {
            "month": np.full(len(people.persons), number, dtype=np.int16),
            "customer": people.persons.customer.copy(),
            "watch_time_hours": np.round(people.watched.sum(axis=0), 1),
            "subscription_age_months": people.age_months(),
            "device_count": people.persons.devices.copy(),
            "last_login_days": people.absence.copy(),
            "payment_failures": people.payment_failures(),
            "tenure_months": people.tenure_months(),
            "plan": people.persons.plan.astype(np.int8),
            "monthly_price": presets.PLAN_PRICES[people.persons.plan],
        }
        shift = np.zeros(len(people.persons))
        for campaign in campaigns:
            shift[campaign.contacted(rows)] += campaign.log_odds
        dunning, wish = self._probabilities(shift)
        left = self._step(dunning, wish)
        order = np.argsort(rows["customer"])
        p_true = 1 - (1 - dunning) * (1 - wish)
        return SimulatedMonths(**rows, p_true=p_true, churned=left.astype(np.int8)).rows(order)

    def lifetimes(self) -> SimulatedSubscriptions:
        """Return every subscription active on day 0 or later, as known today."""
        people = self._people
        count = len(people.persons)
        nothing = np.zeros(count, dtype=np.int64)
        is_open = (people.persons.customer, people.persons.plan, people.started_day, nothing, nothing, nothing + 1)
        customer, plan, started, ended, reason, still = map(np.concatenate, zip(*self._ended, is_open, strict=True))
        order = np.lexsort((started, customer))
        return SimulatedSubscriptions(
            customer=customer[order],
            plan=plan[order].astype(np.int8),
            monthly_price=presets.PLAN_PRICES[plan[order]],
            started_day=started[order].astype(np.int32),
            ended_day=ended[order].astype(np.int32),
            is_open=still[order].astype(np.bool_),
            end_reason=reason[order].astype(np.int8),
        )

    def _season(self) -> float:
        """Return the season: 1 in January, -1 in July."""
        return float(np.cos(2 * np.pi * self._calendar / 12))

    def _probabilities(self, shift: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """Return the probabilities that each subscription ends this month by dunning, and by the wish to leave.

        `shift` is added to the log-odds of the wish.
        """
        season = presets.LEAVING_SEASON * self._season()
        log_odds = self._constant + self._people.wish_to_leave(self._weights) + season + shift
        return self._people.dunning_probability(), 1 / (1 + np.exp(-log_odds))

    def _step(self, dunning: Floats, wish: Floats) -> Bools:
        """Draw the leavers, simulate a month, fill the vacancies; return who left."""
        people, rng = self._people, self._rng
        today = people.day
        failed = rng.random(len(dunning)) < dunning
        left = failed | (rng.random(len(wish)) < wish)
        slots = np.flatnonzero(left)
        ended = today + 1 + rng.integers(0, self._month_days, len(slots))
        self._end_subscriptions(slots, ended, failed[slots])
        self._calendar += 1
        people.advance(self._season())
        started = today + 1 + rng.integers(0, self._month_days, len(slots))
        people.seat(slots, self._arrivals(len(slots)), started, self._season())
        return left

    def _end_subscriptions(self, slots: Ints, ended: Ints, failed: Bools) -> None:
        """Record the lifetimes that end, and schedule the return of those who will return."""
        people, rng = self._people, self._rng
        persons, started = people.persons.take(slots), people.started_day[slots]
        if people.day >= 0:
            reason = np.where(failed, presets.INVOLUNTARY, presets.VOLUNTARY)
            self._ended.append((persons.customer, persons.plan, started, ended, reason, np.zeros_like(ended)))
        persons.earlier_days = persons.earlier_days + ended - started
        persons.rejoined = np.ones(len(slots), dtype=np.bool_)
        will_return = rng.random(len(slots)) < np.where(persons.serial, presets.RETURNS_SERIAL, presets.RETURNS)
        months = rng.integers(presets.RETURN_MONTHS[0], presets.RETURN_MONTHS[1] + 1, len(slots))
        self._away = join(self._away, persons.take(will_return))
        self._back_on = np.concatenate([self._back_on, (people.day + months * self._month_days)[will_return]])

    def _arrivals(self, vacancies: int) -> Persons:
        """Return the people who fill last month's vacancies: first those who return, then new people."""
        month_began = self._people.day - self._month_days
        due = np.flatnonzero(self._back_on <= month_began)[:vacancies]
        waits = np.ones(len(self._away), dtype=np.bool_)
        waits[due] = False
        back = self._away.take(due)
        self._away, self._back_on = self._away.take(waits), self._back_on[waits]
        fresh = new_persons(self._rng, vacancies - len(back), self._next_number)
        self._next_number += len(fresh)
        return join(back, fresh)
