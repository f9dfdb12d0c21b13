"""Every number of the simulation: plans, mechanisms and the two presets of weights.

The simulation's documentation grounds each value in public figures; the mechanisms that use the values are in
`shared.simulation.people`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True)
class Plan:
    """A plan: its name, monthly price, share of sign-ups and maximum number of devices."""

    name: str
    monthly_price: float
    share: float
    device_limit: int


@dataclass(frozen=True)
class Preset:
    """Weight of each part of a subscriber's state in the log-odds of leaving by choice.

    Attributes
    ----------
    engagement, login, newness, age, devices, rejoined, trend
        The weights a_eng, a_login, a_new, a_old, a_dev, a_serial and a_trend.
    plan
        One addition per plan, in the order of `PLANS`.
    """

    engagement: float
    login: float
    newness: float
    age: float
    plan: tuple[float, float, float]
    devices: float
    rejoined: float
    trend: float


PLANS: tuple[Plan, ...] = (
    Plan("Basic Ads", 7.99, 0.35, 2),
    Plan("Standard", 15.49, 0.45, 4),
    Plan("Premium 4K", 22.99, 0.20, 6),
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "documented": Preset(
            engagement=1.15,
            login=1.8,
            newness=2.5,
            age=2.2,
            plan=(2.0, 0.0, -2.0),
            devices=0.20,
            rejoined=0.9,
            trend=0.35,
        ),
        "realistic": Preset(
            engagement=0.62,
            login=0.55,
            newness=1.15,
            age=0.25,
            plan=(0.40, 0.0, -0.35),
            devices=0.12,
            rejoined=0.55,
            trend=0.35,
        ),
    }
)

FEATURES: tuple[str, ...] = (
    "watch_time_hours",
    "last_login_days",
    "device_count",
    "payment_failures",
    "subscription_age_months",
    "tenure_months",
    "plan",
)

END_REASONS: tuple[str, ...] = ("voluntary", "involuntary")
VOLUNTARY, INVOLUNTARY = range(2)

# Arrays over PLANS, to look up a whole population in one step.
PLAN_SHARES = np.array([plan.share for plan in PLANS])
PLAN_PRICES = np.array([plan.monthly_price for plan in PLANS])
PLAN_DEVICES = np.array([plan.device_limit for plan in PLANS])

# People.
EXTRA_PEOPLE = 1.2  # household = 1 + Poisson of this
SERIAL_SHARE = 0.23

# Viewing: log hours a month.
TASTE_MEAN, TASTE_SD = float(np.log(18.0)), 0.65
TASTE_PER_PERSON, TASTE_PER_PLAN = 0.12, 0.10
MOOD_MEMORY, MOOD_SD = 0.6, 0.36  # AR(1)
HOURS_LIMIT = 720.0  # one screen, always on

# Regimes of viewing: their effect on the log hours, and the monthly probabilities of moving between them.
ENGAGED, FADING, DORMANT = range(3)
REGIME_VIEWING = np.array([0.0, -0.85, -2.9])
FADE, FADE_WHEN_NEW, FADE_NEW_MONTHS = 0.035, 0.06, 2.0
RE_ENGAGE, FALL_DORMANT, WAKE = 0.22, 0.28, 0.10

# The year: viewing peaks in January, and so does the wish to leave at equal viewing, because winter viewing is of the
# season's series. The two effects keep the share of leavers about level over the year.
VIEWING_SEASON, LEAVING_SEASON = 0.24, 0.24

# Recency.
HOURS_A_SESSION, FEW_SESSIONS, LONGEST_ABSENCE = 1.6, 0.35, 180

# Devices.
DEVICE_SHARE, DEVICE_GROWTH = 0.45, 0.015

# Billing.
CARD_GOES_STALE = 0.024
CARD_RECOVERS_ENGAGED, CARD_RECOVERS = 0.45, 0.22
CHARGE_FAILS_GOOD, CHARGE_FAILS_STALE = 0.035, 0.88
RETRIES, RETRY_FAILS = 3, 0.55

# Leaving.
DUNNING = np.array([0.0015, 0.02, 0.07, 0.17, 0.32, 0.45, 0.55, 0.62])  # by failed charges in three cycles
DUNNING_ENGAGED, DUNNING_OTHERWISE = 0.8, 1.35
OLDEST_MONTHS = 36  # beyond this, age has no further effect

# Coming back.
RETURNS, RETURNS_SERIAL = 0.16, 0.55
RETURN_MONTHS = (2, 5)

# Before the first snapshot.
BURN_IN_MONTHS = 40
FIRST_AGE_MONTHS, SERVICE_MONTHS = 36.0, 96.0  # mean age of the first subscriptions, age of the service
TARGET_CHURN = 0.0545  # of the burn-in; the rate falls slightly afterwards, as the population grows older
