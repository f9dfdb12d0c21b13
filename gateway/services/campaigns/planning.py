"""The list of a campaign before it starts: who is in it, how large it has to be, which share is not contacted.

Law: held-out customers, arms without contact of running campaigns and those who must not be contacted are left out
before anybody is drawn.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from database.campaigns import campaigns
from database.customers import customer_base
from database.customers.filters import FeatureRule, Filters, Range
from database.engine.session import Connection
from database.scoring import runs
from gateway.services.customers import filtering
from gateway.services.jobs.params import CampaignParams
from gateway.services.segments import segments
from gateway.settings import Settings
from shared.campaigns.catalogue import Action, Catalogue, load_catalogue
from shared.campaigns.power import Size, size
from shared.clock import days_later
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS
from shared.errors import NoCustomers, invalid
from shared.plural import plural
from shared.schema.features import Schema

#: Why a customer of the list is in no arm, beside the statuses of `contacting`.
AT_LIMIT = "contacted often enough"
NO_SCORES = "No scores are published yet: train a model and score the customers."
NO_REDUCTION = "say for which relative reduction of leavers the campaign is planned: no action says it"
FEWEST = 2


@dataclass(frozen=True)
class Asked:
    """The plan of a campaign, checked against the customer base and the catalogue."""

    schema: Schema
    run_id: int
    catalogue: Catalogue
    action: Action | None
    reduction: float
    filters: Filters


@dataclass(frozen=True)
class Plan:
    """A list, and what a campaign of it can find.

    Attributes
    ----------
    members, probabilities
        Keys of the customers who can be drawn, and their churn probabilities in the same order; arrays, because half a
        million tuples cost Python's garbage collector half a second.
    left_out
        Customers of the list who are in no arm, by reason.
    """

    members: Sequence[int]
    probabilities: Sequence[float]
    left_out: Counter[str]
    size: Size
    run_id: int
    action: Action | None
    catalogue: Catalogue
    starts_on: str

    @property
    def matures_on(self) -> str:
        """The day up to which ends have to be known before the effect can be measured."""
        return days_later(self.starts_on, HORIZON_DAYS + GRACE_DAYS)


def plan(connection: Connection, settings: Settings, params: CampaignParams, today: str) -> Plan:
    """Choose the customers of a campaign, and plan its arms.

    Raises
    ------
    NoCustomers
        Nobody is scored.
    InvalidInput
        A filter, the action or another parameter can't be used, or the list is empty.
    """
    asked = checked(connection, settings, params)
    members, probabilities, left_out = _chosen(connection, asked, params, today)
    if len(members) < FEWEST:
        raise invalid("filters", f"{plural(len(members), 'customer')} can be drawn: a campaign needs {FEWEST} at least")
    rate = sum(probabilities) / len(members)
    return Plan(
        members=members,
        probabilities=probabilities,
        left_out=left_out,
        size=size(len(members), rate, asked.reduction, params.control_share),
        run_id=asked.run_id,
        action=asked.action,
        catalogue=asked.catalogue,
        starts_on=today,
    )


def of_segment(
    connection: Connection, params: CampaignParams, segment_id: int | None, user_id: int | None
) -> CampaignParams:
    """Return what is asked for with the filters of a segment that a person sees, of any if no person asks.

    A segment that is changed later changes no campaign. A filter that is given too would widen the segment's, and is
    refused.

    Raises
    ------
    InvalidInput
        There is no such segment, or a filter is given twice.
    """
    if segment_id is None:
        return params
    own = segments.filters_of(connection, user_id, segment_id)
    if twice := {name for name, _ in own} & {name for name, _ in params.filters}:
        raise invalid("filters", f"the segment has the filter {min(twice)!r} already")
    return replace(params, filters=(*own, *params.filters))


def checked(connection: Connection, settings: Settings, params: CampaignParams) -> Asked:
    """Read what a campaign asks for, without choosing anybody yet. Raises as `plan` does."""
    present, run = customer_base.get(connection), runs.published(connection)
    if present is None or run is None:
        raise NoCustomers(NO_SCORES)
    catalogue = load_catalogue(settings.actions_file)
    action = find_action(catalogue, present.schema, params.action) if params.action is not None else None
    reduction = params.reduction
    if reduction is None and action is not None:
        reduction = action.assumed_effect
    if reduction is None or reduction <= 0:
        raise invalid("reduction", NO_REDUCTION)
    filters = _filters(present.schema, params, action, settings.confidence_threshold)
    return Asked(present.schema, run.run_id, catalogue, action, reduction, filters)


def find_action(catalogue: Catalogue, schema: Schema, name: str) -> Action:
    """Return an action that can be used for these customers. Raises InvalidInput."""
    if name not in catalogue.actions:
        raise invalid("action", f"there is no action {name!r}; expected one of {', '.join(catalogue.actions)}")
    action = catalogue.actions[name]
    if lacking := action.lacking(schema):
        raise invalid("action", f"{name} needs features that these customers don't have: {', '.join(lacking)}")
    return action


def _filters(schema: Schema, params: CampaignParams, action: Action | None, unsure_below: float) -> Filters:
    given = filtering.parse(schema, params.filters, unsure_below=unsure_below)
    if given.is_scored is False or given.has_left:
        raise invalid("filters", "a campaign's list holds scored customers alone")
    if given.is_contactable is False:
        raise invalid("filters", "a campaign's list never holds customers who may not be contacted")
    rules = tuple(
        FeatureRule(name, rule.values, Range(rule.min, rule.max))
        for name, rule in (action.eligible.items() if action else ())
    )
    # Customers who may not be contacted are counted, so the query does not filter them out.
    return replace(given, is_scored=True, features=(*given.features, *rules), is_contactable=None)


def _chosen(
    connection: Connection, asked: Asked, params: CampaignParams, today: str
) -> tuple[array[int], array[float], Counter[str]]:
    action, drawn = asked.action, Counter[int]()
    if action is not None and params.action is not None:
        drawn = campaigns.times_drawn(connection, params.action, days_later(today, -action.per_days))
    members, probabilities = array("q"), array("d")
    left_out: Counter[str] = Counter()
    first_alone = params.top is not None
    for key, probability, status in campaigns.candidates(
        connection, asked.schema, asked.filters, first_alone=first_alone
    ):
        if params.top is not None and len(members) == params.top:
            break
        if status != "allowed":
            left_out[status] += 1
        elif action is not None and drawn[key] >= action.at_most:
            left_out[AT_LIMIT] += 1
        else:
            members.append(key)
            probabilities.append(probability)
    return members, probabilities, left_out
