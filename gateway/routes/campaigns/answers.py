"""Answers of the campaign routes, and how they are made from what the use cases return.

Law: a figure that is null has a reason beside it.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from database.campaigns.campaigns import Campaign
from gateway.services.campaigns.measuring import Measured, Saving
from gateway.services.campaigns.planning import Plan
from shared.campaigns.effect import Arm
from shared.campaigns.power import Size, size

SMALL = (
    "With {customers:,} customers, a reduction of {reduction:.0%} is found with a probability of {power:.0%} only: "
    "{needed} would be needed for 80 %. The campaign can be drawn, but will probably show nothing."
)
LARGE = "A reduction of {reduction:.0%} is found with a probability of {power:.0%}."


class SizeOut(BaseModel):
    """The size of a campaign and what it can find: a two-sided test at 5 %."""

    customers: int
    contact: int = Field(description="Customers to be contacted; before the draw, the expected number")
    control: int = Field(description="Customers without contact; before the draw, the expected number")
    control_share: float
    expected_rate: float = Field(description="Mean churn probability of the list")
    assumed_reduction: float = Field(description="Relative; an assumption")
    needed: int | None = Field(description="Customers needed in both arms for a power of 80 %, at this share")
    power: float = Field(description="Probability that the assumed reduction is found")
    is_large_enough: bool
    text: str


class CampaignPlan(BaseModel):
    """A campaign before it starts."""

    starts_on: str
    matures_on: str = Field(description="The effect can be measured once all ends up to this day are known")
    size: SizeOut
    left_out: dict[str, int] = Field(description="Customers of the list who are in no arm, by reason")


class CampaignOut(CampaignPlan):
    """A campaign as it was drawn; the list and the arms do not change."""

    id: int
    name: str
    action: str | None
    filters: list[tuple[str, str]]
    top: int | None
    run_id: int | None = Field(description="The scoring run that the list was chosen by")
    seed: str = Field(description="The arms follow from it and the customers' keys")
    clv: float
    offer: float
    contact_cost: float
    created_at: str
    exported_at: str | None = Field(description="When the list first left")


class ArmOut(BaseModel):
    """An arm."""

    drawn: int
    contacted: int = Field(description="Customers whose contact came back")
    customers: int | None = Field(description="Active on the first day, with a known outcome; null before it matures")
    left: int | None
    rate: float | None


class SavingOut(BaseModel):
    """The money of the measured difference, at the ends of the effect's 95 % interval."""

    kept: float
    kept_interval: tuple[float, float]
    value: float
    cost: float
    net: float
    net_interval: tuple[float, float]
    contacts: int
    contacts_are_imported: bool
    clv: float
    offer: float
    contact_cost: float
    text: str


class EffectOut(BaseModel):
    """The effect of having been drawn to be contacted, whoever was contacted."""

    campaign_id: int
    starts_on: str
    matures_on: str
    control: ArmOut
    contact: ArmOut
    srm_probability: float | None = Field(
        description="Probability of such arm sizes under the draw; below 0.001 blocks"
    )
    effect: float | None = Field(description="Rate without contact minus rate of the contacted arm")
    interval: tuple[float, float] | None = Field(description="Newcombe's, 95 %")
    relative_effect: float | None
    relative_interval: tuple[float, float] | None
    is_shown: bool | None = Field(description="The interval leaves out 0")
    text: str
    saving: SavingOut | None


MONEY = (
    "Assumed: a customer who stays instead of leaving is worth {clv:g}; an offer of {offer:g} is accepted by every "
    "contacted customer who stays; a contact costs {contact_cost:g}. The interval is that of the effect alone."
)


def size_out(found: Size) -> SizeOut:
    """Return a size as the API shows it."""
    told = SMALL if not found.is_large_enough else LARGE
    needed = "no number of customers" if found.needed_in_all is None else f"{found.needed_in_all:,}"
    values = {"customers": found.customers, "reduction": found.reduction, "power": found.power}
    return SizeOut(
        customers=found.customers,
        contact=found.contact,
        control=found.control,
        control_share=found.control_share,
        expected_rate=found.expected_rate,
        assumed_reduction=found.reduction,
        needed=found.needed_in_all,
        power=found.power,
        is_large_enough=found.is_large_enough,
        text=told.format(**values, needed=needed).replace("%", " %"),
    )


def plan_out(found: Plan) -> CampaignPlan:
    """Return a plan as the API shows it."""
    return CampaignPlan(
        starts_on=found.starts_on,
        matures_on=found.matures_on,
        size=size_out(found.size),
        left_out=dict(found.left_out),
    )


def campaign_out(found: Campaign) -> CampaignOut:
    """Return a campaign as the API shows it."""
    planned = size(found.contact + found.control, found.expected_rate, found.assumed_reduction, found.control_share)
    drawn = size_out(planned).model_copy(update={"contact": found.contact, "control": found.control})
    same = found.model_dump(include=set(CampaignOut.model_fields) - {"size"})
    return CampaignOut(**same, size=drawn)


def effect_out(found: Campaign, measured: Measured, money: Saving | None, contacted: tuple[int, int]) -> EffectOut:
    """Return an effect as the API shows it."""
    effect, arms = measured.effect, measured.arms
    return EffectOut(
        campaign_id=found.id,
        starts_on=found.starts_on,
        matures_on=found.matures_on,
        control=_arm(found.control, contacted[1], arms.control if arms else None),
        contact=_arm(found.contact, contacted[0], arms.contact if arms else None),
        srm_probability=measured.srm,
        effect=effect.difference if effect else None,
        interval=effect.interval if effect else None,
        relative_effect=effect.relative if effect else None,
        relative_interval=effect.relative_interval if effect else None,
        is_shown=effect.is_shown if effect else None,
        text=measured.verdict,
        saving=_saving(found, money) if money else None,
    )


def _arm(drawn: int, contacted: int, arm: Arm | None) -> ArmOut:
    known = (arm.customers, arm.left, arm.rate) if arm else (None, None, None)
    return ArmOut(drawn=drawn, contacted=contacted, customers=known[0], left=known[1], rate=known[2])


def _saving(found: Campaign, money: Saving) -> SavingOut:
    costs = {"clv": found.clv, "offer": found.offer, "contact_cost": found.contact_cost}
    return SavingOut(
        kept=round(money.kept, 1),
        kept_interval=(round(money.kept_interval[0], 1), round(money.kept_interval[1], 1)),
        value=round(money.value, 2),
        cost=round(money.cost, 2),
        net=round(money.net, 2),
        net_interval=(round(money.net_interval[0], 2), round(money.net_interval[1], 2)),
        contacts=money.contacts,
        contacts_are_imported=money.contacts_are_imported,
        **costs,
        text=MONEY.format(**costs),
    )
