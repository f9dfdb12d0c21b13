"""The effect of a campaign and of the programme, by intention to treat; the money that it saved.

Law: no effect before both arms have matured, none where the arms' sizes are improbable under the draw, and no saving
without the effect and its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from database.campaigns import arms, campaigns
from database.campaigns.arms import Arms
from database.campaigns.campaigns import Campaign
from database.customers import contacting, facts, maturity
from database.customers.contacting import Holdout
from database.engine import kept_figures
from database.engine.session import Connection, Database
from gateway.query_cache import QueryCache
from shared.campaigns.effect import IMPROBABLE, Arm, Effect, measure, srm_probability
from shared.errors import NotFound

#: The newest measured campaign of each action, with its effect.
MeasuredActions = Mapping[str, tuple[Campaign, Effect]]
UNMATURED = (
    "The effect can be measured once all ends up to {day} are known: 30 days after the list was drawn and 30 days of "
    "grace. {known}"
)
NO_ENDS = "These customers have no dated subscriptions, so that nobody knows who left after the list was drawn."
IMPROBABLE_ARMS = (
    "{control:,} customers without contact and {contact:,} others have a known outcome, where a share of {share:g} was "
    "drawn: chance alone does this with a probability of {probability:.1g}. Something else than chance decided who is "
    "counted, so no effect is stated. Look for customers who were erased, or imported twice."
)
EMPTY = "An arm has no customer whose outcome is known."
NOT_SHOWN = "The interval includes 0: no effect is shown, which does not show that there is none."
SHOWN = "The interval leaves out 0: the arms left at different rates, which chance alone does in at most 5 % of cases."


@dataclass(frozen=True)
class Measured:
    """The measured outcome of a campaign or a hold-out.

    Attributes
    ----------
    arms
        None before they have matured.
    srm
        Probability of the arms' sizes under the draw.
    effect, reason
        One of them is None: the effect, or why there is none.
    """

    arms: Arms | None = None
    srm: float | None = None
    effect: Effect | None = None
    reason: str | None = None

    @property
    def verdict(self) -> str:
        """A sentence about the effect, or about why there is none."""
        if self.effect is None:
            return self.reason or ""
        return SHOWN if self.effect.is_shown else NOT_SHOWN


@dataclass(frozen=True)
class Saving:
    """The money of the difference between the arms, with the effect's 95 % interval.

    Attributes
    ----------
    kept, kept_interval
        Customers who stayed and would have left: the difference times the contacted arm.
    net, net_interval
        Their value less the costs.
    cost
        Contacts, and an offer for each contacted customer who stayed.
    contacts
        Customers contacted: those that came back by import, or, before any did, the whole arm.
    """

    kept: float
    kept_interval: tuple[float, float]
    value: float
    cost: float
    net: float
    net_interval: tuple[float, float]
    contacts: int
    contacts_are_imported: bool


def find(connection: Connection, campaign_id: int) -> Campaign:
    """Return a campaign. Raises NotFound."""
    found = campaigns.get(connection, campaign_id)
    if found is None:
        raise NotFound("Campaign not found")
    return found


def effect_of(connection: Connection, campaign: Campaign, today: str) -> Measured:
    """Measure a campaign by what is known on `today`."""
    if not facts.has_subscriptions(connection):
        return Measured(reason=NO_ENDS)
    if not maturity.has_matured(connection, campaign.starts_on, today):
        return Measured(reason=_unmatured(connection, campaign.matures_on))
    found = arms.of_campaign(connection, campaign.id, campaign.starts_on)
    return _judged(found, campaign.control_share)


def effect_of_holdout(connection: Connection, held: Holdout | None, today: str) -> tuple[str | None, Measured]:
    """Measure the programme: held-out customers beside all others, from the newest matured date of facts on.

    Returns
    -------
    the date, None if none has matured since the hold-out was made, and what became of both.
    """
    if held is None or held.share == 0:
        return None, Measured(reason="There is no universal hold-out.")
    day = arms.newest_matured(connection, held.since, today)
    if day is None:
        return None, Measured(reason=f"No date of facts since {held.since} has matured yet.")
    return day, _judged(arms.of_holdout(connection, held, day), held.share)


@dataclass(frozen=True)
class Programme:
    """The universal hold-out with what became of it.

    Attributes
    ----------
    held
        None if there is none.
    customers
        Active customers who are held out.
    day
        The newest matured date of facts since the hold-out was made; None if none has matured.
    measured
        The leavers among held-out customers and others since that day.
    """

    held: Holdout | None
    customers: int
    day: str | None
    measured: Measured


def programme(database: Database, cache: QueryCache, today: str) -> Programme:
    """Return the hold-out with its effect, which takes a pass over all customers.

    It is measured again once the hold-out or the days of known ends have changed, and once customers have; with many
    customers it may then be a minute old.
    """
    with database.read() as connection:
        held = contacting.holdout(connection)
        state = kept_figures.state_of(connection, (held, tuple(maturity.known_by_source(connection)), today))

    def read() -> Programme:
        with database.read() as connection:
            customers = contacting.count_held_out(connection, held) if held else 0
            return Programme(held, customers, *effect_of_holdout(connection, held, today))

    return cache.get_or_read_in(state, "programme", read)


def _unmatured(connection: Connection, day: str) -> str:
    known = maturity.complete_to(connection)
    told = "Up to which day ends are known is not known." if known is None else f"They are known up to {known}."
    return UNMATURED.format(day=day, known=told)


def _judged(found: Arms, control_share: float) -> Measured:
    control, contact = found.control, found.contact
    srm = srm_probability(control.customers, contact.customers, control_share)
    if srm is not None and srm < IMPROBABLE:
        told = {"control": control.customers, "contact": contact.customers}
        reason = IMPROBABLE_ARMS.format(**told, share=control_share, probability=srm)
        return Measured(found, srm, reason=reason)
    effect = measure(control, contact)
    return Measured(found, srm, effect, None if effect else EMPTY)


def saving(connection: Connection, campaign: Campaign, measured: Measured) -> Saving | None:
    """Compute the money of a campaign's effect; None without an effect. See docs/definitions.md#campaign-effect."""
    if measured.effect is None or measured.arms is None:
        return None
    contact, effect = measured.arms.contact, measured.effect
    came_back, _ = campaigns.contacted(connection, campaign.id)
    contacts = came_back or contact.customers
    cost = contacts * campaign.contact_cost + _offers(contact, contacts) * campaign.offer
    kept = effect.difference * contact.customers
    low, high = (end * contact.customers for end in effect.interval)
    return Saving(
        kept=kept,
        kept_interval=(low, high),
        value=kept * campaign.clv,
        cost=cost,
        net=kept * campaign.clv - cost,
        net_interval=(low * campaign.clv - cost, high * campaign.clv - cost),
        contacts=contacts,
        contacts_are_imported=came_back > 0,
    )


def _offers(contact: Arm, contacts: int) -> float:
    """The contacted customers who stayed, all of whom are taken to accept the offer."""
    return contacts * (1 - contact.left / contact.customers)


def measured_actions(database: Database, cache: QueryCache, today: str) -> MeasuredActions:
    """Return the newest measured campaign of each action, with its effect.

    They are measured again once a campaign has matured or the days of known ends have changed, and once customers have;
    with many customers they may then be a minute old.
    """
    with database.read() as connection:
        until = min(maturity.complete_to(connection) or "", today)
        matured = campaigns.matured_with_actions(connection, until)
        about = (tuple(maturity.known_by_source(connection)), today, tuple(each.id for each in matured))
        state = kept_figures.state_of(connection, about)

    def read() -> MeasuredActions:
        with database.read() as connection:
            return _measured_actions(connection, matured, today)

    return cache.get_or_read_in(state, "measured actions", read)


def _measured_actions(connection: Connection, matured: Sequence[Campaign], today: str) -> MeasuredActions:
    found: dict[str, tuple[Campaign, Effect]] = {}
    for campaign in matured:
        assert campaign.action is not None
        if campaign.action not in found:
            effect = effect_of(connection, campaign, today).effect
            if effect is not None and effect.relative is not None:
                found[campaign.action] = (campaign, effect)
    return found
