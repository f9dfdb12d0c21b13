"""The actions of the catalogue for one customer, ranked by expected value, with `nothing` among them.

Law: an expected value is the model's estimate under an effect that is assumed, until a campaign has measured it; the
assumption stands beside the figure. A measured effect is used even where its interval includes 0, and says so: the
assumption in its place would bring back for a failed action what was only hoped of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from database.campaigns import campaigns
from database.campaigns.campaigns import Campaign
from database.customers import contacting
from database.engine.session import Connection
from gateway.services.campaigns.measuring import MeasuredActions
from shared.campaigns.catalogue import NOTHING, Action, Catalogue
from shared.campaigns.costs import costs_of
from shared.campaigns.effect import Effect
from shared.clock import days_later
from shared.contracts.api import Cell
from shared.plural import plural
from shared.schema.features import Schema

ASSUMED = "assumed: no campaign has measured this action; the catalogue's `assumed_effect` can be edited"
NOT_SHOWN = "; not shown to differ from none: its 95 % interval includes 0"
NOTE = "The model's estimate under the effect beside it, and no measured gain of this customer."
STATUS_REASONS: Mapping[str, str] = {
    "held out": "held out: this customer is contacted by no campaign, so that the programme can be measured",
    "control": "in the arm without contact of a running campaign",
    "do not contact": "on the list of those who must not be contacted",
}


class Ranked(BaseModel):
    """An action for one customer."""

    action: str
    label: str
    text: str | None
    aims_at: list[str]
    is_possible: bool
    reason: str | None = Field(description="Why it is not possible")
    expected_value: float | None = Field(description="In the currency of the prices; null where it is not possible")
    effect: float | None = Field(description="Share of would-be leavers who stay")
    effect_interval: tuple[float, float] | None = Field(description="95 %, of a measured effect")
    effect_source: Literal["assumed", "measured"] | None
    effect_is_shown: bool | None = Field(
        description="Whether the interval of a measured effect leaves out 0; the estimate is used in either case"
    )
    effect_text: str | None
    clv: float
    offer: float
    contact: float
    note: str


def rank(
    connection: Connection,
    catalogue: Catalogue,
    schema: Schema,
    measured: MeasuredActions,
    *,
    customer_id: int,
    facts: Mapping[str, Cell],
    probability: float,
    today: str,
) -> list[Ranked]:
    """Rank the actions by expected value, highest first; those that are not possible come last, with the reason."""
    status = contacting.status_of(connection, customer_id)
    blocked = STATUS_REASONS.get(status)
    found = [_nothing(catalogue)]
    for name, action in catalogue.actions.items():
        why = blocked or _unmet(schema, action, facts)
        if why is None:
            drawn = campaigns.times_drawn(connection, name, days_later(today, -action.per_days), customer_id)
            if drawn[customer_id] >= action.at_most:
                times, days = plural(drawn[customer_id], "time"), plural(action.per_days, "day")
                why = f"contacted {times} within {days}: {action.at_most} at most"
        found.append(_ranked(name, action, catalogue.defaults.clv, measured.get(name), probability, why))
    return sorted(found, key=lambda each: (not each.is_possible, -(each.expected_value or 0.0)))


def _unmet(schema: Schema, action: Action, facts: Mapping[str, Cell]) -> str | None:
    if lacking := action.lacking(schema):
        return f"these customers have no {', '.join(lacking)}"
    if unmet := action.unmet(facts):
        return f"not eligible by {', '.join(schema.feature_label(name) for name in unmet)}"
    return None


def _nothing(catalogue: Catalogue) -> Ranked:
    return Ranked(
        action=NOTHING, label="Nothing", text=None, aims_at=[], is_possible=True, reason=None, expected_value=0.0,
        effect=0.0, effect_interval=None, effect_source=None, effect_is_shown=None, effect_text=None,
        clv=catalogue.defaults.clv, offer=0.0, contact=0.0, note="The others are compared with this.",
    )  # fmt: skip


def _ranked(
    name: str,
    action: Action,
    clv: float,
    measured: tuple[Campaign, Effect] | None,
    probability: float,
    why: str | None,
) -> Ranked:
    effect, interval, is_shown, text = action.assumed_effect, None, None, ASSUMED
    if measured is not None:
        campaign, found = measured
        assert found.relative is not None
        effect, interval, is_shown = found.relative, found.relative_interval, found.is_shown
        text = f"measured by campaign {campaign.id}, {campaign.name}, drawn on {campaign.starts_on}"
        text += "" if is_shown else NOT_SHOWN
    value = costs_of(action, clv, effect).expected_profit(1.0, probability)
    return Ranked(
        action=name,
        label=action.label,
        text=action.text,
        aims_at=list(action.aims_at),
        is_possible=why is None,
        reason=why,
        expected_value=round(value, 4) if why is None else None,
        effect=effect,
        effect_interval=interval,
        effect_source="assumed" if measured is None else "measured",
        effect_is_shown=is_shown,
        effect_text=text,
        clv=clv,
        offer=action.offer,
        contact=action.contact,
        note=NOTE,
    )
