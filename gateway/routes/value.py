"""Money at risk over REST, and how many customers to contact.

Law: the assumptions of a request stand in its answer; what can't be computed is null, with the reason.
"""

from __future__ import annotations

from statistics import fmean

from flask import Response
from pydantic import BaseModel, Field

from database.scoring import runs
from database.scoring.runs import Published
from gateway.openapi import Query, answers, blueprint, ok
from gateway.routes import etag
from gateway.services.scoring import value
from gateway.services.scoring.value import Assessment, AtRisk, Contacts, Terms
from gateway.web_environment import environment
from shared.campaigns.catalogue import LEAST_WORTH, MOST_MONEY
from shared.campaigns.costs import GAMMA_ALPHA, GAMMA_BETA, GAMMA_MEAN, CampaignCosts
from shared.lifetime import OWN_STEPS

bp = blueprint("value", __name__, prefix="/api/dashboard")
etag.install(bp)
#: Plans that are listed, the largest first; the totals are over all of them.
LISTED_PLANS = 50
NO_RUN = "No scores are published yet: train a model and score the customers."


class ValueQuery(Query):
    """Costs of a campaign and the worth of a payment."""

    clv: float = Field(CampaignCosts.clv, ge=LEAST_WORTH, le=MOST_MONEY, description="Value of a leaver who is kept")
    offer: float = Field(CampaignCosts.offer, ge=0, le=MOST_MONEY, description="Cost of an accepted offer")
    contact: float = Field(CampaignCosts.contact, ge=0, le=MOST_MONEY, description="Cost of a contact")
    margin: float = Field(Terms.margin, gt=0, le=1, description="Share of the price that is earned")
    discount: float = Field(Terms.discount, ge=0, le=1, description="Per year")
    months: int = Field(Terms.months, ge=OWN_STEPS + 1, le=120, description="Months looked ahead")


class AtRiskOut(BaseModel):
    """Money at risk of customers; a figure that is null has a reason."""

    customers: int | None
    expected_leavers: float | None
    expected_interval: tuple[float, float] | None = Field(description="95 %, of chance and of the level's spread")
    revenue_at_risk: float | None = Field(description="Per month")
    value_at_risk: float | None = Field(
        description="Sum over the customers of p times their value if they stay, as GET /api/customers/<id> has it"
    )
    currency: str | None
    reason: str | None


class PlanOut(AtRiskOut):
    """Money at risk of the customers of a plan."""

    plan: str | None


class ContactOut(BaseModel):
    """Customers whose contact pays, from the highest score down."""

    top: int | None
    share: float | None
    break_even: float = Field(description="Probability at which a contact brings nothing; above 1 none pays")
    cut: float | None = Field(description="Those above it are counted: the break-even to three decimals")
    expected_leavers: float | None
    expected_interval: tuple[float, float] | None
    expected_profit: float | None


class LifetimesOut(BaseModel):
    """Hazards of the months after the model's horizons: a shifted-beta-geometric distribution, or one constant."""

    kind: str | None = Field(description="shifted-beta-geometric or constant")
    alpha: float | None
    beta: float | None
    mean_age_months: float | None = Field(description="Mean age of the base when the model was trained")
    hazard: float | None = Field(description="In the first of these months; it falls from then on, or is constant")


class AssumptionsOut(BaseModel):
    """The assumptions behind the figures."""

    clv: float
    offer: float
    contact: float
    gamma_alpha: float
    gamma_beta: float
    gamma_mean: float = Field(description="Share of contacted leavers who are taken to accept and stay")
    margin: float
    discount: float
    months: int
    own_hazard_months: int | None = Field(
        description="Months of a customer's own survival, by the horizons of the run's model; null before a run"
    )
    later_months: LifetimesOut


class ValueOut(BaseModel):
    """Money at risk in the published run."""

    as_of: str | None
    model_version: str | None
    total: AtRiskOut
    by_plan: list[PlanOut]
    contact: ContactOut
    assumptions: AssumptionsOut


@bp.get("/value", summary="Revenue and value at risk, and how many contacts pay", responses=answers(ValueOut))
def value_at_risk(query: ValueQuery) -> Response:
    """Over present scores, in all and by plan; every assumption is echoed."""
    costs = CampaignCosts(query.clv, query.offer, query.contact)
    known = _assessed(Terms(query.margin, query.discount, query.months))
    run, found = known or (None, None)
    paying = None
    if run is not None and found is not None and found.is_counted:
        with environment().database.read() as connection:
            paying = value.contacts(connection, run, costs, found.level)
    plans = found.plans if found else []
    return ok(
        ValueOut(
            as_of=run.as_of if run else None,
            model_version=run.model_version if run else None,
            total=AtRiskOut.model_validate(_figures(found.total) if found else _nothing()),
            by_plan=[PlanOut.model_validate({"plan": plan, **_figures(each)}) for plan, each in plans[:LISTED_PLANS]],
            contact=_contact(paying, costs),
            assumptions=_assumptions(query, found),
        )
    )


def _assessed(terms: Terms) -> tuple[Published, Assessment] | None:
    """The published run and what is at risk in it."""
    with environment().database.read() as connection:
        run = runs.published(connection)
        return None if run is None else (run, value.assess(connection, run, terms))


def _figures(found: AtRisk) -> dict[str, object]:
    money = {
        name: None if amount is None else round(amount, 2)
        for name, amount in (("revenue_at_risk", found.revenue_at_risk), ("value_at_risk", found.value_at_risk))
    }
    return {
        "customers": found.customers,
        "expected_leavers": None if found.expected_leavers is None else round(found.expected_leavers, 1),
        "expected_interval": _rounded(found.expected_interval),
        "currency": found.currency,
        "reason": found.reason,
        **money,
    }


def _rounded(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (round(interval[0], 1), round(interval[1], 1))


def _nothing() -> dict[str, object]:
    return {**dict.fromkeys(AtRiskOut.model_fields), "reason": NO_RUN}


def _contact(paying: Contacts | None, costs: CampaignCosts) -> ContactOut:
    share = paying.top / paying.customers if paying and paying.customers else None
    return ContactOut(
        top=paying.top if paying else None,
        share=share,
        break_even=costs.break_even,
        cut=paying.cut if paying else None,
        expected_leavers=round(paying.expected_leavers, 1) if paying else None,
        expected_interval=_rounded(paying.expected_interval) if paying else None,
        expected_profit=round(paying.expected_profit, 2) if paying else None,
    )


def _assumptions(query: ValueQuery, found: Assessment | None) -> AssumptionsOut:
    later, own = (found.lifetimes, found.own_months) if found else (None, None)
    cohort = later.cohort if later else None
    return AssumptionsOut(
        **query.model_dump(),
        gamma_alpha=GAMMA_ALPHA,
        gamma_beta=GAMMA_BETA,
        gamma_mean=GAMMA_MEAN,
        own_hazard_months=own,
        later_months=LifetimesOut(
            kind=None if later is None else later.kind,
            alpha=cohort.alpha if cohort else None,
            beta=cohort.beta if cohort else None,
            mean_age_months=fmean(cohort.ages) if cohort else None,
            hazard=later.hazards(own + 1, after=own)[0] if later and own else None,
        ),
    )
