"""Lifetimes in steps of a month: the shifted-beta-geometric distribution, and the value of a customer who stays.

Law: plain Python, because the gateway's web process loads no model libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, log1p
from operator import mul

#: The most steps in which a customer's survival is the model's: those of its last horizon.
OWN_STEPS = 6
#: The search for log(1 / (alpha + beta)): at the lower end all customers have one and the same hazard.
_LOG_SPREAD = (-12.0, 6.0)
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class AtAge:
    """Customers of one age: how many were at risk during a step, and how many of them left.

    Attributes
    ----------
    age : float
        Completed steps at the beginning of the step.
    at_risk, left : float
        Numbers, or shares of a cohort.
    """

    age: float
    at_risk: float
    left: float


@dataclass(frozen=True)
class ShiftedBetaGeometric:
    """Each customer has a hazard of their own, the same in every step, drawn from Beta(alpha, beta)."""

    alpha: float
    beta: float

    def hazard(self, age: float) -> float:
        """Return the probability that a customer of an age, in completed steps, leaves in the next one."""
        return self.alpha / (self.alpha + self.beta + age)


def survival(distribution: ShiftedBetaGeometric, steps: int) -> list[float]:
    """Compute the share of a cohort that is left after 1, 2 .. steps.

    Parameters
    ----------
    distribution : ShiftedBetaGeometric
    steps : int

    Returns
    -------
    shares : list of float
        Decreasing.

    References
    ----------
    Fader, Hardie, "How to Project Customer Retention", Journal of Interactive Marketing 21 (2007).
    """
    shares, left = [], 1.0
    for age in range(steps):
        left *= 1 - distribution.hazard(age)
        shares.append(left)
    return shares


def mixed_hazards(distribution: ShiftedBetaGeometric, ages: Sequence[float], steps: int) -> list[float]:
    """Compute the hazards of a base of several ages in the present step and those after it.

    Parameters
    ----------
    distribution : ShiftedBetaGeometric
    ages : sequence of float
        In completed steps; as many customers have each.
    steps : int

    Returns
    -------
    hazards : list of float
        Hazards of those left when each step begins. The young leave first, so they fall faster than at any one age.
    """
    present, hazards = [1.0 for _ in ages], []
    for step in range(steps):
        own = [distribution.hazard(age + step) for age in ages]
        hazards.append(sum(map(mul, present, own)) / sum(present))
        present = [left * (1 - hazard) for left, hazard in zip(present, own, strict=True)]
    return hazards


def of_cohort(shares: Sequence[float]) -> list[AtAge]:
    """Return what happened in each step to a cohort of which these shares were left after 1, 2 .. steps."""
    before = [1.0, *shares]
    return [AtAge(age, before[age], before[age] - share) for age, share in enumerate(shares)]


def fit_sbg(observed: Sequence[AtAge]) -> ShiftedBetaGeometric | None:
    """Fit the shifted-beta-geometric distribution by maximum likelihood.

    Parameters
    ----------
    observed : sequence of AtAge
        Several cohorts, of which the earliest steps may be unknown (delayed entry) and the last ones still to come.

    Returns
    -------
    distribution : ShiftedBetaGeometric or None
        None where nobody left or nobody stayed, or where hazards do not fall with age.

    References
    ----------
    Fader, Hardie, "How to Project Customer Retention", Journal of Interactive Marketing 21 (2007).
    """
    rows = [row for row in observed if row.at_risk > 0]
    left = sum(row.left for row in rows)
    if not 0 < left < sum(row.at_risk for row in rows):
        return None
    low, high = _LOG_SPREAD
    log_spread = _maximum(lambda z: _likelihood(rows, _first_hazard(rows, exp(z)), exp(z)), low, high)
    # At the end of the search the hazards are constant, and alpha and beta are not identified.
    if log_spread < low + 0.5:
        return None
    spread = exp(log_spread)
    hazard = _first_hazard(rows, spread)
    return ShiftedBetaGeometric(hazard / spread, (1 - hazard) / spread)


# With m = alpha / (alpha + beta) and s = 1 / (alpha + beta) the hazard at an age is m / (1 + s age): for a given s, the
# log-likelihood is concave in m.


def _likelihood(rows: Iterable[AtAge], first: float, spread: float) -> float:
    total = 0.0
    for row in rows:
        hazard = first / (1 + spread * row.age)
        total += row.left * log(hazard) + (row.at_risk - row.left) * log1p(-hazard)
    return total


def _first_hazard(rows: Iterable[AtAge], spread: float) -> float:
    """The most likely m, by halving: where the slope of the log-likelihood is 0."""
    low, high = 1e-12, 1 - 1e-12
    for _ in range(60):
        m = (low + high) / 2
        slope = sum(row.left / m - (row.at_risk - row.left) / (1 + spread * row.age - m) for row in rows)
        low, high = (m, high) if slope > 0 else (low, m)
    return (low + high) / 2


def _maximum(of: Callable[[float], float], low: float, high: float) -> float:
    """Golden-section search."""
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_a, at_b = of(a), of(b)
    while high - low > 1e-6:
        if at_a > at_b:
            high, b, at_b = b, a, at_a
            a = high - _GOLDEN * (high - low)
            at_a = of(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + _GOLDEN * (high - low)
            at_b = of(b)
    return (low + high) / 2


def hazards_within(within: Sequence[tuple[int, float]], step_days: int) -> list[float]:
    """Compute the hazards of the steps up to the last of several horizons; between two horizons the hazard is constant.

    Parameters
    ----------
    within : sequence of (int, float)
        Days, multiples of a step, and the probability of leaving within them; both ascending.
    step_days : int

    Returns
    -------
    hazards : list of float

    Examples
    --------
    >>> [round(hazard, 3) for hazard in hazards_within([(30, 0.1), (90, 0.271)], 30)]
    [0.1, 0.1, 0.1]
    """
    hazards: list[float] = []
    before, left = 0, 1.0
    for days, probability in within:
        steps = (days - before) // step_days
        stays = ((1 - probability) / left) ** (1 / steps) if left else 1.0
        hazards += [1 - stays] * steps
        before, left = days, 1 - probability
    return hazards


def value_given_staying(hazards: Sequence[float], discount: float) -> float:
    """Compute the value of a customer who stays through the present step, in payments of today.

    The payment after the present step is certain; each later one comes if the customer survives the steps before it.

    Parameters
    ----------
    hazards : sequence of float
        Probability of leaving in the steps after the present one, for those who stayed until then.
    discount : float
        Per step.

    Returns
    -------
    payments : float
        Sum of S(t) / (1 + discount)^t over one more payment than there are hazards.

    Examples
    --------
    >>> value_given_staying([0.5, 0.5], 0.0)
    1.75
    """
    total, left = 0.0, 1.0
    for step, hazard in enumerate((0.0, *hazards), 1):
        left *= 1 - hazard
        total += left / (1 + discount) ** step
    return total


def payment_weights(later_hazards: Sequence[float], discount: float, steps: int) -> tuple[float, ...]:
    """Compute the value of a customer who stays as a sum over the first steps, in which survival is their own.

    Parameters
    ----------
    later_hazards : sequence of float
        Hazards after the first steps, the same for everybody.
    discount : float
        Per step.
    steps : int
        How many of the first steps, the present one included.

    Returns
    -------
    weights : tuple of float, length `steps`
        The sum of `weights` times shares that begin with 1 and fall by `steps` - 1 own hazards is
        ``value_given_staying(own_hazards + later_hazards, discount)``.
    """
    first = [(1 + discount) ** -step for step in range(1, steps)]
    return (*first, (1 + discount) ** (1 - steps) * value_given_staying(later_hazards, discount))
