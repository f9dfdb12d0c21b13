"""The outlook of one customer: what is asked for beside the stored score, and the answer.

Law: it is of the live model and the present facts; every assumption of an amount stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.openapi import Query
from gateway.services.scoring import customer_value, lookups, reasons
from gateway.services.scoring.value import Terms
from gateway.web_environment import environment
from shared.campaigns.catalogue import MOST_MONEY
from shared.campaigns.costs import GAMMA_MEAN, CampaignCosts
from shared.contracts.outlook import Outlook
from shared.lifetime import OWN_STEPS
from shared.web.request_ids import request_id


class CustomerQuery(Query):
    """Whether to look further ahead than the score, and what a payment and a campaign are worth."""

    outlook: bool = Field(False, description="Also ask the live model for further horizons, causes and value")
    margin: float = Field(Terms.margin, gt=0, le=1, description="Share of the price that is earned")
    discount: float = Field(Terms.discount, ge=0, le=1, description="Per year")
    months: int = Field(Terms.months, ge=OWN_STEPS + 1, le=120, description="Months looked ahead")
    offer: float = Field(CampaignCosts.offer, ge=0, le=MOST_MONEY, description="Cost of an accepted offer")
    contact: float = Field(CampaignCosts.contact, ge=0, le=MOST_MONEY, description="Cost of a contact")


class CustomerValue(BaseModel):
    """The worth of one customer, and what it assumes; amounts that are null have a reason."""

    monthly_price: float | None
    currency: str | None
    revenue_at_risk: float | None = Field(description="Per month")
    lifetime_value: float | None
    value_if_stays: float | None = Field(description="If the customer stays in the present month")
    value_at_risk: float | None
    contact_profit: float | None = Field(description="Expected profit of contacting this customer")
    survival: list[float] = Field(description="Probability of staying 1, 2 .. months by the model's horizons")
    later_months: Literal["shifted-beta-geometric", "constant"] | None = Field(description="Hazards after these")
    margin: float
    discount: float
    months: int
    offer: float
    contact: float
    gamma_mean: float = Field(description="Share of contacted leavers who are taken to accept and stay")
    reason: str | None


class CustomerOutlook(Outlook):
    """Further horizons, causes and value by the live model and the present facts."""

    model_version: str
    churn_probability: float = Field(
        description="The first horizon's: it differs from the stored score's where model or facts are newer"
    )
    value: CustomerValue


def outlook_of(user_id: str, row: Mapping[str, Any], query: CustomerQuery) -> CustomerOutlook:
    """Ask the live model how likely a customer, whose columns these are, leaves sooner or later, and why."""
    env = environment()
    live = lookups.live_model(env.database, env.query_cache)
    key, facts = lookups.present_facts(env.database, live.schema, user_id)
    answer = reasons.score(
        env.ml,
        live.schema,
        live.version,
        [facts],
        as_of=live.as_of,
        row_key=key,
        reasons="none",
        outlook=True,
        request_id=request_id(),
    )
    (prediction,) = answer.predictions
    assert prediction.outlook is not None
    with env.database.read() as connection:
        lifetimes = customer_value.lifetimes_of(connection, live.version)
    terms, price = Terms(query.margin, query.discount, query.months), row["monthly_price"]
    costs = {"offer": query.offer, "contact": query.contact}
    found = customer_value.value_of(prediction.outlook, price, lifetimes, terms, **costs)
    value = CustomerValue(
        monthly_price=price,
        currency=row["currency"],
        **{name: None if amount is None else round(amount, 2) for name, amount in found.amounts().items()},
        survival=list(found.survival),
        later_months=None if lifetimes is None else lifetimes.kind,
        **query.model_dump(exclude={"outlook"}),
        gamma_mean=GAMMA_MEAN,
        reason=found.reason,
    )
    return CustomerOutlook(
        **dict(prediction.outlook),
        model_version=answer.model_version,
        churn_probability=prediction.churn_probability,
        value=value,
    )
