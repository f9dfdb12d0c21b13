"""The catalogue of actions over REST.

Law: an effect here is an assumption unless a campaign is named that measured it.
"""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, Field

from database.customers import customer_base
from gateway.openapi import answers, blueprint, ok
from gateway.services.campaigns import measuring
from gateway.web_environment import environment
from shared.campaigns.catalogue import Action, Rule, load_catalogue

bp = blueprint("actions", __name__, prefix="/api/actions")


class MeasuredOut(BaseModel):
    """The newest measured campaign of an action; shares of would-be leavers who stayed."""

    campaign_id: int
    starts_on: str
    relative_effect: float
    relative_interval: tuple[float, float] | None
    is_shown: bool


class ActionOut(BaseModel):
    """An action."""

    name: str
    label: str
    text: str
    aims_at: list[str]
    eligible: dict[str, Rule]
    offer: float
    contact: float
    assumed_effect: float = Field(description="Share of would-be leavers who stay: an assumption, to be edited")
    measured: MeasuredOut | None = Field(description="Replaces the assumption where there is one")
    at_most: int
    per_days: int
    lacking: list[str] = Field(description="Features that it needs and these customers do not have")


class ActionsOut(BaseModel):
    """The catalogue; `nothing` is always possible and costs nothing."""

    clv: float = Field(description="Value of a customer who stays instead of leaving")
    actions: list[ActionOut]


@bp.get("", summary="The catalogue of actions", responses=answers(ActionsOut))
def catalogue() -> Response:
    """Costs, conditions, limits and effects; the file of ACTIONS_FILE, or the built-in one."""
    env = environment()
    found = load_catalogue(env.settings.actions_file)
    today = env.clock().date().isoformat()
    with env.database.read() as connection:
        present = customer_base.get(connection)
    measured = measuring.measured_actions(env.database, env.query_cache, today)
    lacking = {name: action.lacking(present.schema) if present else [] for name, action in found.actions.items()}
    listed = [_action(name, action, lacking[name], _measured(measured, name)) for name, action in found.actions.items()]
    return ok(ActionsOut(clv=found.defaults.clv, actions=listed))


def _measured(found: measuring.MeasuredActions, name: str) -> MeasuredOut | None:
    if name not in found:
        return None
    campaign, effect = found[name]
    assert effect.relative is not None
    return MeasuredOut(
        campaign_id=campaign.id,
        starts_on=campaign.starts_on,
        relative_effect=effect.relative,
        relative_interval=effect.relative_interval,
        is_shown=effect.is_shown,
    )


def _action(name: str, action: Action, lacking: list[str], measured: MeasuredOut | None) -> ActionOut:
    values = action.model_dump(exclude={"aims_at", "eligible"})
    return ActionOut(
        name=name,
        aims_at=list(action.aims_at),
        eligible=dict(action.eligible),
        measured=measured,
        lacking=lacking,
        **values,
    )
