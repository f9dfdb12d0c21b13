"""Contacts that come back, who must not be contacted, the universal hold-out, and what they write.

Law: an unknown customer or campaign is refused by name and never ignored; every change is audited without names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from database.accounts import audit
from database.accounts.audit import Actor
from database.campaigns import campaigns
from database.campaigns.campaigns import Campaign
from database.customers import contacting, customers
from database.customers.contacting import Holdout, Reason
from database.engine.session import Database
from database.webhooks import events
from gateway.services.campaigns import measuring
from shared.campaigns.draw import new_seed
from shared.clock import iso
from shared.errors import Detail, InvalidInput, NotFound, invalid
from shared.plural import plural
from shared.tables import messages

CUSTOMER, AT = "customer", "contacted_at"
NOT_IN_IT = "this customer is not on the campaign's list"
UNKNOWN = "there is no customer with this user_id"
BEFORE = "the contact lies before the day on which the list was drawn, {day}"


@dataclass(frozen=True)
class Contact:
    """One contact: the customer's user_id, and when, as an ISO date or timestamp."""

    customer: str
    contacted_at: str


@dataclass(frozen=True)
class Recorded:
    """Counts of imported contacts: those that are new, contacts known before, and those of the arm without contact."""

    new: int
    known: int
    in_control: int


def record(database: Database, campaign_id: int, contacts: Sequence[Contact], *, at: str, actor: Actor) -> Recorded:
    """Store the contacts of a campaign: all of them or none.

    Raises
    ------
    NotFound
        There is no such campaign.
    InvalidInput
        A customer is unknown or not on the list, or was contacted before the list was drawn or is to be after today.
    """
    today = date.fromisoformat(at[:10])
    with database.write() as connection:
        campaign = measuring.find(connection, campaign_id)
        ids = customers.ids_by_user_id(connection, {each.customer for each in contacts})
        arms = campaigns.arms_of(connection, campaign_id, list(ids.values()))
        details: list[Detail] = []
        rows: list[tuple[int, int, str]] = []
        for row, each in enumerate(contacts):
            why = refusal(each, ids, arms, campaign.starts_on, today)
            if why is None:
                rows.append((campaign_id, ids[each.customer], each.contacted_at))
            else:
                details.append({**why, "field": f"contacts.{row}.{why['field']}"})
        if details:
            raise InvalidInput.of(details)
        new = campaigns.record_contacts(connection, rows)
        in_control = sum(arms[key] for _, key, _ in rows)
        subject = f"campaign:{campaign_id} {plural(new, 'new contact')}"
        audit.record(connection, "campaign.contacts", at=at, actor=actor, subject=subject)
    return Recorded(new, len(rows) - new, in_control)


def refusal(
    each: Contact, ids: Mapping[str, int], arms: Mapping[int, int], starts_on: str, today: date
) -> Detail | None:
    """Return why a contact, of a request or a file, can't be stored, with its field and value; None if it can."""
    key = ids.get(each.customer)
    if key is None or key not in arms:
        return {"field": CUSTOMER, "value": each.customer, "message": UNKNOWN if key is None else NOT_IN_IT}
    day = each.contacted_at[:10]
    if day < starts_on:
        return {"field": AT, "value": day, "message": BEFORE.format(day=starts_on)}
    # The reader of files refuses such a date too, in these words.
    return {"field": AT, "value": day, "message": messages.in_future(day, today)} if day > today.isoformat() else None


def suppress(database: Database, user_ids: Sequence[str], reason: Reason, *, at: str, actor: Actor) -> int:
    """Put customers on the list of those who must not be contacted; return how many are new. Raises InvalidInput."""
    with database.write() as connection:
        ids = customers.ids_by_user_id(connection, set(user_ids))
        details: list[Detail] = [
            {"field": f"customers.{row}", "value": each, "message": UNKNOWN}
            for row, each in enumerate(user_ids)
            if each not in ids
        ]
        if details:
            raise InvalidInput.of(details)
        new = contacting.suppress(connection, ids.values(), reason, at)
        audit.record(
            connection, "contact.suppressed", at=at, actor=actor, subject=f"{plural(new, 'customer')}: {reason}"
        )
    return new


def allow(database: Database, user_id: str, *, at: str, actor: Actor) -> None:
    """Take a customer off the list of those who must not be contacted. Raises NotFound."""
    with database.write() as connection:
        key = customers.ids_by_user_id(connection, [user_id]).get(user_id)
        if key is None or not contacting.allow(connection, key):
            raise NotFound("This customer is not on the list of those who must not be contacted.")
        audit.record(connection, "contact.allowed", at=at, actor=actor, subject=f"customer:{key}")


def set_share(database: Database, share: float, *, at: str, actor: Actor) -> Holdout:
    """Set the share of the universal hold-out: its seed is drawn once, so that a larger share only adds customers.

    The programme is measured from the day of the newest change on.

    Raises
    ------
    InvalidInput
        The share is below 0 or above a half.
    """
    if not 0 <= share <= 0.5:
        raise invalid("share", "expected a share from 0 to 0.5")
    with database.write() as connection:
        before = contacting.holdout(connection)
        if before is not None and before.share == share:
            return before
        made = Holdout(before.seed if before else new_seed(), share, at[:10])
        contacting.set_holdout(connection, made)
        subject = f"seed {made.seed}, share {share:g}"
        audit.record(connection, "holdout.set", at=at, actor=actor, subject=subject)
    return made


def mark_exported(database: Database, campaign_id: int, *, now: datetime, actor: Actor) -> Campaign:
    """Record that a campaign's list leaves, for the audit log and the webhooks that want it. Raises NotFound."""
    with database.write() as connection:
        found = measuring.find(connection, campaign_id)
        campaigns.mark_exported(connection, campaign_id, iso(now))
        audit.record(connection, "campaign.exported", at=iso(now), actor=actor, subject=f"campaign:{campaign_id}")
        data = {"campaign_id": campaign_id, "name": found.name, "contact": found.contact, "control": found.control}
        events.record(connection, "campaign.exported", data, now=now)
    return found
