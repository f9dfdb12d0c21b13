"""The value of one customer: survival by the horizons of their score, and by the base's lifetimes beyond.

Law: every assumption goes into the result beside what follows from it; what can't be computed is None, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from database.engine.session import Connection
from database.models import models
from database.scoring import runs
from gateway.services.scoring.value import MONTHS_PER_YEAR, Lifetimes, Terms
from shared.campaigns.costs import CampaignCosts
from shared.contracts.api import HORIZON_DAYS, Cohort
from shared.contracts.outlook import Outlook
from shared.lifetime import hazards_within, value_given_staying

NO_MONTH = f"The model does not say who leaves within {HORIZON_DAYS} days, which survival begins with."
NO_PRICE = "The customer's monthly price is not known."
NO_LIFETIMES = "Nothing says how lifetimes go on after the horizons: score the customers first."


@dataclass(frozen=True)
class CustomerValue:
    """The worth of one customer, in the currency of their price.

    Attributes
    ----------
    revenue_at_risk : float or None
        Probability of leaving within 30 days times the monthly price.
    lifetime_value : float or None
        Expected payments of the months looked ahead, discounted, times the margin.
    value_if_stays : float or None
        The same if the customer stays in the present month: what is lost if they leave.
    value_at_risk : float or None
        Probability of leaving within 30 days times `value_if_stays`.
    contact_profit : float or None
        Expected profit of contacting this customer, who is worth `value_if_stays` if kept.
    survival : tuple of float
        Probability of staying 1, 2 .. months, as far as the model's horizons reach.
    reason : str or None
        Why amounts are None.
    """

    revenue_at_risk: float | None
    lifetime_value: float | None
    value_if_stays: float | None
    value_at_risk: float | None
    contact_profit: float | None
    survival: tuple[float, ...]
    reason: str | None

    def amounts(self) -> dict[str, float | None]:
        """The amounts of money, by name."""
        names = ("revenue_at_risk", "lifetime_value", "value_if_stays", "value_at_risk", "contact_profit")
        return {name: getattr(self, name) for name in names}


def lifetimes_of(connection: Connection, version: str) -> Lifetimes | None:
    """Return the base's lifetimes when a version was trained, or else the published run's mean; None without both."""
    model, run = models.get(connection, version), runs.published(connection)
    stored = model.figures.get("cohort") if model else None
    if stored is not None:
        return Lifetimes(Cohort.model_validate(stored), None)
    return None if run is None else Lifetimes(None, run.average_probability)


def value_of(
    outlook: Outlook, price: float | None, lifetimes: Lifetimes | None, terms: Terms, *, offer: float, contact: float
) -> CustomerValue:
    """Compute what a customer is worth; see docs/definitions.md#customer-value.

    Parameters
    ----------
    outlook
        Horizons of the customer's score.
    price
        Monthly.
    lifetimes
        For the months after the model's horizons.
    terms
        The worth of a payment.
    offer, contact
        Costs of a campaign.
    """
    within = [(each.days, each.probability) for each in outlook.within if each.probability is not None]
    if not within or within[0][0] != HORIZON_DAYS:
        return _unknown((), NO_MONTH)
    own = hazards_within(within, HORIZON_DAYS)[: terms.months]
    survival = tuple(accumulate((1 - hazard for hazard in own), lambda left, stays: left * stays))
    if price is None or lifetimes is None:
        return _unknown(survival, NO_PRICE if price is None else NO_LIFETIMES)
    hazards = [*own, *lifetimes.hazards(terms.months, after=len(own))]
    discount = (1 + terms.discount) ** (1 / MONTHS_PER_YEAR) - 1
    p, stays = within[0][1], price * terms.margin * value_given_staying(hazards[1:], discount)
    return CustomerValue(
        revenue_at_risk=p * price,
        lifetime_value=(1 - p) * stays,
        value_if_stays=stays,
        value_at_risk=p * stays,
        contact_profit=CampaignCosts(stays, offer, contact).expected_profit(1, p),
        survival=survival,
        reason=None,
    )


def _unknown(survival: tuple[float, ...], reason: str) -> CustomerValue:
    return CustomerValue(None, None, None, None, None, survival, reason)
