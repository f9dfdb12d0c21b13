"""The simulated people: their properties, their changes in a month, their probability of leaving.

Everything is an array with one entry per subscriber; no code loops over people.
"""

from dataclasses import dataclass, fields

import numpy as np

from shared.simulation import presets
from shared.simulation.presets import Preset
from shared.simulation.records import Bools, Floats, Ints


@dataclass
class Persons:
    """Properties that a person keeps, subscribed or not; shape (n,) each.

    Attributes
    ----------
    customer
        The number, which a person keeps after returning.
    household, plan, serial
        Number of people; code into `PLANS`; whether they tend to leave and return.
    taste
        Usual log hours per month.
    devices
        Devices registered.
    earlier_days
        Days as a subscriber before the present subscription.
    rejoined
        Whether the present subscription is not their first.
    """

    customer: Ints
    household: Ints
    plan: Ints
    serial: Bools
    taste: Floats
    devices: Ints
    earlier_days: Ints
    rejoined: Bools

    def take(self, chosen: Ints | Bools) -> "Persons":
        """Copy the chosen persons."""
        return Persons(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def put(self, slots: Ints, persons: "Persons") -> None:
        """Write `persons` over the entries at `slots`."""
        for f in fields(self):
            getattr(self, f.name)[slots] = getattr(persons, f.name)

    def __len__(self) -> int:
        return len(self.customer)


def join(*groups: Persons) -> Persons:
    """Concatenate groups of persons."""
    return Persons(*(np.concatenate([getattr(g, f.name) for g in groups]) for f in fields(Persons)))


def new_persons(rng: np.random.Generator, count: int, first_number: int) -> Persons:
    """Draw `count` people who have never subscribed, numbered from `first_number`."""
    household = 1 + rng.poisson(presets.EXTRA_PEOPLE, count)
    plan = rng.choice(len(presets.PLANS), count, p=presets.PLAN_SHARES)
    devices = 1 + rng.binomial(household, presets.DEVICE_SHARE)
    return Persons(
        customer=np.arange(first_number, first_number + count),
        household=household,
        plan=plan,
        serial=rng.random(count) < presets.SERIAL_SHARE,
        taste=rng.normal(presets.TASTE_MEAN, presets.TASTE_SD, count)
        + presets.TASTE_PER_PERSON * (household - 1)
        + presets.TASTE_PER_PLAN * plan,
        devices=np.minimum(devices, presets.PLAN_DEVICES[plan]),
        earlier_days=np.zeros(count, dtype=np.int64),
        rejoined=np.zeros(count, dtype=np.bool_),
    )


def first_ages(rng: np.random.Generator, count: int) -> Floats:
    """Draw the ages in months of the first subscriptions: exponential, truncated at the age of the service."""
    oldest = 1 - np.exp(-presets.SERVICE_MONTHS / presets.FIRST_AGE_MONTHS)
    return np.asarray(-presets.FIRST_AGE_MONTHS * np.log1p(-oldest * rng.random(count)))


class Subscribers:
    """Everyone who is subscribed on one day, with their last three months.

    Parameters
    ----------
    rng
        The only source of randomness.
    persons
        The subscribers; their arrays are changed in place.
    started_day
        First day of each current subscription.
    day, month_days, season
        The current day, the length of a month, and the season's effect on viewing, in [-1, 1].
    """

    def __init__(
        self,
        rng: np.random.Generator,
        persons: Persons,
        started_day: Ints,
        *,
        day: int,
        month_days: int,
        season: float,
    ) -> None:
        count = len(persons)
        self.persons = persons
        self.started_day = np.zeros(count, dtype=np.int64)
        self.regime = np.zeros(count, dtype=np.int64)
        self.mood = np.zeros(count)
        self.hours = np.zeros((2, count))  # of a full month: this month and the month before
        self.watched = np.zeros((3, count))  # hours really watched, newest month first
        self.absence = np.zeros(count, dtype=np.int64)  # whole days since the last login
        self.stale_card = np.zeros(count, dtype=np.bool_)
        self.failed = np.zeros((3, count), dtype=np.int64)  # failed charges by cycle, newest first
        self.day = day
        self._rng = rng
        self._month_days = month_days
        self.seat(np.arange(count), persons, started_day, season)

    def age_months(self) -> Ints:
        """Return whole months of the current subscription."""
        return (self.day - self.started_day) // self._month_days

    def tenure_months(self) -> Ints:
        """Return whole months over all subscriptions."""
        return (self.persons.earlier_days + self.day - self.started_day) // self._month_days

    def payment_failures(self) -> Ints:
        """Return the failed charges in the last three cycles."""
        return np.asarray(self.failed.sum(axis=0))

    def advance(self, season: float) -> None:
        """Simulate one month: viewing, recency, devices and billing of all subscribers."""
        self._change_regime()
        self.day += self._month_days
        noise = self._rng.normal(0.0, presets.MOOD_SD, len(self.mood))
        self.mood = presets.MOOD_MEMORY * self.mood + noise
        self.hours = np.stack([self._month_of_viewing(season), self.hours[0]])
        self.watched = np.stack([self.hours[0], self.watched[0], self.watched[1]])
        self._log_in()
        self._add_devices()
        self._charge()

    def seat(self, slots: Ints, persons: Persons, started_day: Ints, season: float) -> None:
        """Start new subscriptions at `slots`, within the month before the current day.

        For the decision to stay, a first month counts as a full month of viewing. Only the part since the start is
        shown, and the first days are the busiest. A subscription never starts with a failed charge.
        """
        rng, count = self._rng, len(slots)
        self.persons.put(slots, persons)
        self.started_day[slots] = started_day
        self.regime[slots] = presets.ENGAGED
        self.mood[slots] = rng.normal(0.0, presets.MOOD_SD / np.sqrt(1 - presets.MOOD_MEMORY**2), count)
        log_hours = persons.taste + self.mood[slots] + presets.VIEWING_SEASON * season
        hours = np.minimum(np.exp(log_hours), presets.HOURS_LIMIT)
        self.hours[:, slots] = hours  # equal months: a new subscriber has no trend
        here = self.day - started_day
        self.watched[:, slots] = 0.0
        self.watched[0, slots] = hours * np.sqrt(np.minimum(here / self._month_days, 1.0))
        sessions = hours / presets.HOURS_A_SESSION
        self.absence[slots] = np.minimum(rng.exponential(self._month_days / (1 + sessions)).astype(np.int64), here)
        self.stale_card[slots] = False
        self.failed[:, slots] = 0

    def dunning_probability(self) -> Floats:
        """Return the probability that failed payments end the subscription within a month, shape (n,)."""
        worst = len(presets.DUNNING) - 1
        base = presets.DUNNING[np.minimum(self.payment_failures(), worst)]
        return np.asarray(
            base * np.where(self.regime == presets.ENGAGED, presets.DUNNING_ENGAGED, presets.DUNNING_OTHERWISE)
        )

    def wish_to_leave(self, weights: Preset) -> Floats:
        """Return the log-odds of leaving by choice within a month, without the constant and the season."""
        now, before = np.log1p(self.hours)
        age = self.age_months()
        return np.asarray(
            -weights.engagement * (now - 2.6)
            + weights.login * (np.log1p(self.absence) - 1.0)
            + weights.newness * np.exp(-age / 3.0)
            - weights.age * np.minimum(age, presets.OLDEST_MONTHS) / 12.0
            + np.array(weights.plan)[self.persons.plan]
            - weights.devices * (self.persons.devices - 2)
            + weights.rejoined * self.persons.rejoined
            - weights.trend * np.clip(now - before, -3.0, 3.0)
        )

    def _change_regime(self) -> None:
        draw = self._rng.random(len(self.regime))
        fade = presets.FADE + presets.FADE_WHEN_NEW * np.exp(-self.age_months() / presets.FADE_NEW_MONTHS)
        was = self.regime
        now = was.copy()
        now[(was == presets.ENGAGED) & (draw < fade)] = presets.FADING
        now[(was == presets.FADING) & (draw < presets.RE_ENGAGE)] = presets.ENGAGED
        now[(was == presets.FADING) & (draw > 1 - presets.FALL_DORMANT)] = presets.DORMANT
        now[(was == presets.DORMANT) & (draw < presets.WAKE)] = presets.FADING
        self.regime = now

    def _month_of_viewing(self, season: float) -> Floats:
        log_hours = (
            self.persons.taste + self.mood + presets.VIEWING_SEASON * season + presets.REGIME_VIEWING[self.regime]
        )
        return np.asarray(np.minimum(np.exp(log_hours), presets.HOURS_LIMIT))

    def _log_in(self) -> None:
        sessions = self.hours[0] / presets.HOURS_A_SESSION
        recent = np.minimum(self._rng.exponential(self._month_days / (1 + sessions)), self._month_days)
        grown = np.minimum(self.absence + self._month_days, presets.LONGEST_ABSENCE)
        self.absence = np.where(sessions < presets.FEW_SESSIONS, grown, recent.astype(np.int64))

    def _add_devices(self) -> None:
        people = self.persons
        bought = self._rng.random(len(people)) < presets.DEVICE_GROWTH * people.household
        people.devices = np.minimum(people.devices + bought, presets.PLAN_DEVICES[people.plan])

    def _charge(self) -> None:
        draw = self._rng.random(len(self.stale_card))
        recovers = np.where(self.regime == presets.ENGAGED, presets.CARD_RECOVERS_ENGAGED, presets.CARD_RECOVERS)
        self.stale_card = np.where(self.stale_card, draw >= recovers, draw < presets.CARD_GOES_STALE)
        charged = failed_charges(self._rng, self.stale_card)
        self.failed = np.stack([charged, self.failed[0], self.failed[1]])


def failed_charges(rng: np.random.Generator, stale_card: Bools) -> Ints:
    """Charge every card for one cycle; return the failures, including failed retries.

    A good card is declined for a day for lack of money, so its first retry succeeds; a stale card stays stale.
    """
    declined = rng.random(len(stale_card)) < np.where(stale_card, presets.CHARGE_FAILS_STALE, presets.CHARGE_FAILS_GOOD)
    retries = rng.binomial(presets.RETRIES, presets.RETRY_FAILS, len(stale_card))
    return np.asarray(declined * (1 + stale_card * retries))
