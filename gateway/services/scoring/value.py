"""Money at risk: the present scores times what their customers pay and would still pay.

Law: every assumption goes into the result beside what follows from it; what a price or a run is missing for is None,
with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from database.engine.session import Connection
from database.models import models
from database.scoring import score_figures, value
from database.scoring.runs import BINS, Published
from database.scoring.value import PlanTotals
from shared.campaign_costs import CampaignCosts
from shared.contracts.api import HORIZON_DAYS, Cohort
from shared.lifetime import OWN_STEPS, ShiftedBetaGeometric, mixed_hazards, payment_weights

MONTHS_PER_YEAR = 12


@dataclass(frozen=True)
class Terms:
    """What a payment is worth.

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

    def hazards(self, months: int) -> list[float]:
        """Return the hazards of the months after the first `OWN_STEPS`, of which `months` are the last."""
        if self.cohort is None:
            return [self.constant or 0.0] * (months - OWN_STEPS)
        curve = ShiftedBetaGeometric(self.cohort.alpha, self.cohort.beta)
        return mixed_hazards(curve, self.cohort.ages, months)[OWN_STEPS:]


@dataclass(frozen=True)
class AtRisk:
    """Money at risk of some customers.

    Attributes
    ----------
    customers, unpriced : int
    expected_leavers : float
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
    expected_leavers: float
    revenue_at_risk: float | None
    value_at_risk: float | None
    currency: str | None
    reason: str | None


@dataclass(frozen=True)
class Assessment:
    """Money at risk of a run's customers, in all and by plan, and the lifetimes that it assumes."""

    total: AtRisk
    plans: list[tuple[str | None, AtRisk]]
    lifetimes: Lifetimes


def assess(connection: Connection, run: Published, terms: Terms) -> Assessment:
    """Compute revenue and value at risk of the present scores; see docs/definitions.md#value-at-risk."""
    lifetimes = _lifetimes(connection, run)
    weights = payment_weights(lifetimes.hazards(terms.months), (1 + terms.discount) ** (1 / MONTHS_PER_YEAR) - 1)
    found = [replace(plan, value=plan.value * terms.margin) for plan in value.by_plan(connection, run.run_id, weights)]
    horizon = models.horizons(connection, [run.model_version]).get(run.model_version)
    plans = [(plan.plan, _at_risk([plan], horizon)) for plan in found]
    return Assessment(_at_risk(found, horizon), plans, lifetimes)


def _lifetimes(connection: Connection, run: Published) -> Lifetimes:
    model = models.get(connection, run.model_version)
    stored = model.figures.get("cohort") if model else None
    if stored is None:
        return Lifetimes(None, run.average_probability)
    return Lifetimes(Cohort.model_validate(stored), None)


def _at_risk(plans: Sequence[PlanTotals], horizon: int | None) -> AtRisk:
    customers, unpriced = sum(plan.customers for plan in plans), sum(plan.unpriced for plan in plans)
    currencies = sorted(each or "none" for each in frozenset[str | None]().union(*(p.currencies for p in plans)))
    reason = None
    if not customers:
        reason = "Nobody has a present score."
    elif unpriced:
        reason = f"The monthly price of {unpriced:,} of {customers:,} customers is not known."
    elif len(currencies) > 1:
        reason = f"Prices are in several currencies ({', '.join(currencies)}): they can't be added up."
    is_monthly = horizon == HORIZON_DAYS
    return AtRisk(
        customers=customers,
        unpriced=unpriced,
        expected_leavers=sum(plan.expected for plan in plans),
        revenue_at_risk=None if reason else sum(plan.revenue for plan in plans),
        value_at_risk=None if reason or not is_monthly else sum(plan.value for plan in plans),
        currency=None if len(currencies) != 1 or currencies == ["none"] else currencies[0],
        reason=reason or (None if is_monthly else _NOT_MONTHLY),
    )


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
        Of those contacted.
    """

    top: int
    customers: int
    cut: float
    expected_leavers: float
    expected_profit: float


def contacts(connection: Connection, run: Published, costs: CampaignCosts) -> Contacts:
    """Count the customers whose contact has an expected profit; see docs/definitions.md#contacts-that-pay."""
    cut = min(1.0, round(costs.break_even * BINS) / BINS)
    tail = score_figures.tail(connection, run.run_id, cut)
    return Contacts(
        top=tail.customers,
        customers=tail.all_customers,
        cut=cut,
        expected_leavers=tail.probability_sum,
        expected_profit=costs.expected_profit(tail.customers, tail.probability_sum),
    )
