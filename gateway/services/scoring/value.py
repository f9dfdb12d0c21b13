"""Money at risk: the present scores times what their customers pay and would still pay.

Law: every assumption goes into the result beside what follows from it; what a price or a run is missing for is None,
with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from database.engine.session import Connection
from database.models import models
from database.scoring import score_figures
from database.scoring.expected_leavers import SAMPLE
from database.scoring.runs import BINS, Published
from database.scoring.value import GroupTotals
from database.segments import group_totals, horizons
from shared.campaigns.costs import CampaignCosts
from shared.contracts.api import HORIZON_DAYS, Cohort, LevelSpread
from shared.expected_leavers import interval
from shared.lifetime import ShiftedBetaGeometric, mixed_hazards, payment_weights
from shared.plural import plural

MONTHS_PER_YEAR = 12


@dataclass(frozen=True)
class Terms:
    """The worth of a payment.

    Attributes
    ----------
    margin : float, default=1.0
        Share of the price that is earned.
    discount : float, default=0.1
        Per year.
    months : int, default=36
        Months that are looked ahead, the present one included.
    """

    margin: float = 1.0
    discount: float = 0.1
    months: int = 36


@dataclass(frozen=True)
class Lifetimes:
    """Hazards by months beyond the reach of the model, and where they come from.

    Attributes
    ----------
    cohort : Cohort or None
        The base's lifetimes; None where the hazard is constant.
    constant : float or None
        The mean churn probability of the run, where there is no cohort.
    """

    cohort: Cohort | None
    constant: float | None

    @property
    def kind(self) -> Literal["shifted-beta-geometric", "constant"]:
        """The distribution of the later months."""
        return "constant" if self.cohort is None else "shifted-beta-geometric"

    def hazards(self, months: int, *, after: int) -> list[float]:
        """Return the hazards of the months up to so many, without those before `after`."""
        if self.cohort is None:
            return [self.constant or 0.0] * (months - after)
        curve = ShiftedBetaGeometric(self.cohort.alpha, self.cohort.beta)
        return mixed_hazards(curve, self.cohort.ages, months)[after:]


@dataclass(frozen=True)
class AtRisk:
    """Money at risk of some customers.

    Attributes
    ----------
    customers, unpriced : int
    expected_leavers : float or None
        None where the table is a sample that does not say how often customers leave, with a reason.
    expected_interval : tuple of (float, float) or None
        95 %; see docs/definitions.md#expected-churners.
    revenue_at_risk : float or None
        Per month; None with a reason.
    value_at_risk : float or None
        None with a reason.
    currency : str or None
        None where it is not known.
    reason : str or None
        Why a figure is None.
    """

    customers: int
    unpriced: int
    expected_leavers: float | None
    expected_interval: tuple[float, float] | None
    revenue_at_risk: float | None
    value_at_risk: float | None
    currency: str | None
    reason: str | None


@dataclass(frozen=True)
class Assessment:
    """Money at risk in a run, in all and by group, with the lifetimes that it assumes and the level's spread.

    `plans` are the groups by name, plans unless others were asked for, and `totals` their sums in the same order.
    `own_months` are the months of a customer's own survival, by the model's horizons; None where its report is older.
    `is_counted` is false where the model's table is a sample: nobody is counted then, and no contact pays for sure.
    """

    total: AtRisk
    plans: list[tuple[str | None, AtRisk]]
    totals: list[GroupTotals]
    lifetimes: Lifetimes
    own_months: int | None
    level: LevelSpread | None
    is_counted: bool


#: Sums customers by group, given the weights of the value of staying.
Count = Callable[[Sequence[float]], list[GroupTotals]]


def assess(connection: Connection, run: Published, terms: Terms, count: Count | None = None) -> Assessment:
    """Compute revenue and value at risk of the present scores; see docs/definitions.md#value-at-risk.

    Parameters
    ----------
    count
        Sums the customers by group; everybody by plan if absent.
    """
    model = models.get(connection, run.model_version)
    figures = model.figures if model else {}
    lifetimes, level = _lifetimes(run, figures.get("cohort")), _level(figures.get("level"))
    known = horizons.curve(connection)
    own_months = known.months if known else 1
    discount = (1 + terms.discount) ** (1 / MONTHS_PER_YEAR) - 1
    weights = payment_weights(lifetimes.hazards(terms.months, after=own_months), discount, own_months)
    groups = count(weights) if count else group_totals.by_plan(connection, run.run_id, weights)
    found = [replace(each, value=each.value * terms.margin) for each in groups]
    unvalued = _OLDER if known is None else None if figures.get("horizon_days") == HORIZON_DAYS else _NOT_MONTHLY
    is_counted = figures.get("natural_rate") is not None or figures.get("training_period") is not None
    plans = [(plan.group, at_risk([plan], unvalued, level)) for plan in found]
    total = at_risk(found, unvalued, level)
    if not is_counted:
        plans, total = [(name, _uncounted(each)) for name, each in plans], _uncounted(total)
    return Assessment(total, plans, found, lifetimes, known.months if known else None, level, is_counted)


def _uncounted(found: AtRisk) -> AtRisk:
    return replace(
        found, expected_leavers=None, expected_interval=None, revenue_at_risk=None, value_at_risk=None, reason=SAMPLE
    )


def _lifetimes(run: Published, stored: Any) -> Lifetimes:
    return (
        Lifetimes(None, run.average_probability) if stored is None else Lifetimes(Cohort.model_validate(stored), None)
    )


def _level(stored: Any) -> LevelSpread | None:
    return None if stored is None else LevelSpread.model_validate(stored)


def at_risk(plans: Sequence[GroupTotals], unvalued: str | None, level: LevelSpread | None) -> AtRisk:
    """Add up groups; a figure that can't be computed is None, with the reason: `unvalued` is why there is no value."""
    customers, unpriced = sum(plan.customers for plan in plans), sum(plan.unpriced for plan in plans)
    currencies = sorted(each or "none" for each in frozenset[str | None]().union(*(p.currencies for p in plans)))
    reason = None
    if not customers:
        reason = "Nobody has a present score."
    elif unpriced:
        reason = f"The monthly price of {unpriced:,} of {plural(customers, 'customer')} is not known."
    elif len(currencies) > 1:
        reason = f"Prices are in several currencies ({', '.join(currencies)}): they can't be added up."
    expected = sum(plan.expected for plan in plans)
    return AtRisk(
        customers=customers,
        unpriced=unpriced,
        expected_leavers=expected,
        expected_interval=interval(expected, sum(plan.variance for plan in plans), level),
        revenue_at_risk=None if reason else sum(plan.revenue for plan in plans),
        value_at_risk=None if reason or unvalued else sum(plan.value for plan in plans),
        currency=None if len(currencies) != 1 or currencies == ["none"] else currencies[0],
        reason=reason or unvalued,
    )


_OLDER = "The model was trained before its report held the calibration of each horizon: train again."
_NOT_MONTHLY = f"The model's scores don't cover {HORIZON_DAYS} days, which the value of later months is computed from."


@dataclass(frozen=True)
class Contacts:
    """Customers whose contact pays, from the highest score down.

    Attributes
    ----------
    top, customers : int
        So many of so many.
    cut : float
        Their probability is above it: the break-even probability, to three decimals.
    expected_leavers, expected_profit : float
        Leavers among those contacted, and the profit from contacting them.
    expected_interval : tuple of (float, float)
        95 %, of the leavers.
    """

    top: int
    customers: int
    cut: float
    expected_leavers: float
    expected_interval: tuple[float, float]
    expected_profit: float


def contacts(connection: Connection, run: Published, costs: CampaignCosts, level: LevelSpread | None) -> Contacts:
    """Count the customers whose contact has an expected profit; see docs/definitions.md#contacts-that-pay."""
    cut = min(1.0, round(costs.break_even * BINS) / BINS)
    tail = score_figures.tail(connection, run.run_id, cut)
    return Contacts(
        top=tail.customers,
        customers=tail.all_customers,
        cut=cut,
        expected_leavers=tail.probability_sum,
        expected_interval=interval(tail.probability_sum, tail.variance_above, level),
        expected_profit=costs.expected_profit(tail.customers, tail.probability_sum),
    )
