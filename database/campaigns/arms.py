"""Counts who left in each arm of a campaign, and in the universal hold-out.

Law: an outcome counts for the arm that was drawn, whoever was contacted; customers who were not active on the first day
count for no arm; nobody counts before all ends are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from database.customers import facts, maturity
from database.customers.contacting import Holdout
from database.tables import tables
from shared.campaigns.draw import Draw
from shared.campaigns.effect import Arm
from shared.clock import days_later
from shared.contracts.api import HORIZON_DAYS

m = tables.campaign_members


@dataclass(frozen=True)
class Arms:
    """The arms of customers who were active on the first day, and how many of each arm were not."""

    control: Arm
    contact: Arm
    control_gone: int = 0
    contact_gone: int = 0


def of_campaign(connection: Connection, campaign_id: int, starts_on: str) -> Arms:
    """Count the leavers of both arms within 30 days after the first day (docs/definitions.md#churn-label).

    The caller has made sure that the day has matured (`maturity.has_matured`).
    """
    members = select(m.c.customer_id).where(m.c.campaign_id == campaign_id)
    left = facts.outcomes_at(connection, starts_on, among=members)
    drawn = connection.execute(select(m.c.customer_id, m.c.is_control).where(m.c.campaign_id == campaign_id))
    return _counted({row.customer_id: bool(row.is_control) for row in drawn}, left)


def of_holdout(connection: Connection, held: Holdout, day: str) -> Arms:
    """Count the leavers among the held-out customers and all others within 30 days after a matured day."""
    everybody = facts.members_at(day).subquery()
    is_held = held.contains(everybody.c.customer_id).label("is_held")
    sizes = {bool(row[0]): row[1] for row in connection.execute(select(is_held, func.count()).group_by("is_held"))}
    left, draw = [0, 0], Draw(held.seed)
    for key, label in facts.outcomes_at(connection, day, among=facts.ended_within_horizon(day)).items():
        left[draw.has(key, held.share)] += label
    return Arms(Arm(sizes.get(True, 0), left[True]), Arm(sizes.get(False, 0), left[False]))


def drawn_around(connection: Connection, day: str) -> set[int]:
    """Return whom campaigns drew to be contacted within 30 days before or after a day.

    The label of that day may be the campaign's doing. Drawn counts, not contacted: contacts come back late or never.
    """
    t = tables.campaigns
    near = (t.c.starts_on > days_later(day, -HORIZON_DAYS), t.c.starts_on <= days_later(day, HORIZON_DAYS))
    query = select(m.c.customer_id).join(t, t.c.id == m.c.campaign_id)
    return set(connection.execute(query.where(t.c.state == "drawn", m.c.is_control == 0, *near)).scalars())


def newest_matured(connection: Connection, since: str, today: str) -> str | None:
    """Return the newest matured date of facts that is not before a day; None if there is none."""
    dates = [day for day in maturity.matured_dates(connection, today) if day >= since]
    return dates[-1] if dates else None


def _counted(drawn: Mapping[int, bool], left: Mapping[int, int]) -> Arms:
    customers, leavers, gone = [0, 0], [0, 0], [0, 0]
    for key, is_control in drawn.items():
        label = left.get(key)
        if label is None:
            gone[is_control] += 1
        else:
            customers[is_control] += 1
            leavers[is_control] += label
    return Arms(Arm(customers[1], leavers[1]), Arm(customers[0], leavers[0]), gone[1], gone[0])
