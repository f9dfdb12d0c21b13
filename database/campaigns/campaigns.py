"""Rows of campaigns, and the customers that a list would hold.

Law: a campaign is seen by nobody before its whole list is drawn; an arm is written once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from database.customers import contacting
from database.customers.contacting import Status
from database.customers.customer_base import customers_table
from database.customers.customers import present_run
from database.customers.filters import (
    Filters,
    conditions,
    force_population_index,
    ledger,
    probability_in,
    ranks,
    source,
)
from database.engine.bulk_insert import insert_rows
from database.tables import tables
from shared.schema.features import Schema

t, m, k = tables.campaigns, tables.campaign_members, tables.campaign_contacts
CHUNK = 5_000
MEMBER = ("campaign_id", "customer_id", "is_control", "churn_probability")


class Campaign(BaseModel):
    """A campaign as it was drawn.

    Attributes
    ----------
    matures_on
        Its effect can be measured once all ends up to this day are known.
    expected_rate
        Mean churn probability of the list.
    left_out
        Customers of the list who were not drawn into either arm, by reason.
    """

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    action: str | None
    filters: list[tuple[str, str]]
    top: int | None
    run_id: int | None
    seed: str
    control_share: float
    starts_on: str
    matures_on: str
    expected_rate: float
    assumed_reduction: float
    clv: float
    offer: float
    contact_cost: float
    contact: int
    control: int
    left_out: dict[str, int]
    user_id: int | None
    created_at: str
    exported_at: str | None


def _campaign(row: Any) -> Campaign:
    values = {name: value for name, value in row._mapping.items() if name in Campaign.model_fields}
    values |= {"filters": json.loads(row.filters_json), "left_out": json.loads(row.left_out_json)}
    return Campaign(**values)


def get(connection: Connection, campaign_id: int) -> Campaign | None:
    """Return a campaign that is drawn."""
    row = connection.execute(select(t).where(t.c.id == campaign_id, t.c.state == "drawn")).one_or_none()
    return _campaign(row) if row is not None else None


def page(connection: Connection, *, limit: int, before_id: int | None = None) -> list[Campaign]:
    """Return campaigns, newest first."""
    query = select(t).where(t.c.state == "drawn").order_by(t.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(t.c.id < before_id)
    return [_campaign(row) for row in connection.execute(query)]


def matured_with_actions(connection: Connection, known_to: str) -> list[Campaign]:
    """Return the campaigns of actions that have matured where ends are known up to a day, newest first."""
    query = select(t).where(t.c.state == "drawn", t.c.action.is_not(None), t.c.matures_on <= known_to)
    return [_campaign(row) for row in connection.execute(query.order_by(t.c.starts_on.desc(), t.c.id.desc()))]


def untold(connection: Connection) -> list[Campaign]:
    """Return the campaigns whose outcome no digest has told, newest first."""
    query = select(t).where(t.c.state == "drawn", t.c.told_at.is_(None)).order_by(t.c.id.desc())
    return [_campaign(row) for row in connection.execute(query)]


def mark_told(connection: Connection, campaign_ids: Sequence[int], at: str) -> None:
    """Record that a digest told the outcomes of campaigns."""
    connection.execute(update(t).where(t.c.id.in_(campaign_ids)).values(told_at=at))


def id_by_name(connection: Connection) -> dict[str, int]:
    """Return the ids of the campaigns that are drawn, by name."""
    rows = connection.execute(select(t.c.name, t.c.id).where(t.c.state == "drawn"))
    return {row.name: row.id for row in rows}


# --- drawing ----------------------------------------------------------------------------------------------------------


def candidates(
    connection: Connection, schema: Schema, filters: Filters, *, first_alone: bool
) -> Iterator[tuple[int, float, Status]]:
    """Yield (customer, churn probability, status) of scored customers that pass filters.

    Parameters
    ----------
    first_alone
        Only the first are going to be taken: the likeliest to leave come first. Otherwise they come in any order, which
        takes half the time for many customers.
    """
    wide, run_id = customers_table(schema), present_run(connection)
    scores = ranks if first_alone else ledger
    probability = probability_in(scores)
    where = [*conditions(connection, schema, wide, scores, filters), probability.is_not(None)]
    query = (
        select(wide.c.id, probability, contacting.status(connection, wide.c.id))
        .select_from(source(wide, scores, run_id))
        .where(*where, *([] if first_alone else [force_population_index(wide)]))
    )
    if first_alone:
        query = query.order_by(probability.desc(), ranks.c.customer_id)
    for part in connection.execution_options(stream_results=True).execute(query).partitions(CHUNK):
        yield from part


def times_drawn(connection: Connection, action: str, after: str, customer_id: int | None = None) -> Counter[int]:
    """Count how often customers were drawn to be contacted with an action by campaigns that started after a day."""
    query = select(m.c.customer_id, func.count()).join(t, t.c.id == m.c.campaign_id)
    query = query.where(t.c.action == action, t.c.state == "drawn", t.c.starts_on > after, m.c.is_control == 0)
    if customer_id is not None:
        query = query.where(m.c.customer_id == customer_id)
    return Counter({row[0]: row[1] for row in connection.execute(query.group_by(m.c.customer_id))})


def begin(connection: Connection, values: Mapping[str, Any]) -> int:
    """Add a campaign that nobody sees before `finish`; return its id."""
    stored = {name: value for name, value in values.items() if name not in ("filters", "left_out")}
    told = {f"{name}_json": json.dumps(values[name]) for name in ("filters", "left_out")}
    query = insert(t).values({**stored, **told, "state": "drawing"}).returning(t.c.id)
    return connection.execute(query).scalar_one()


def is_taken(connection: Connection, name: str) -> bool:
    """Return whether a drawn campaign has this name."""
    return connection.execute(select(t.c.id).where(t.c.name == name, t.c.state == "drawn")).first() is not None


def count_running(connection: Connection, user_id: int) -> int:
    """Count a person's drawn campaigns whose outcomes are not all known yet."""
    query = select(func.count()).select_from(t).where(t.c.user_id == user_id, t.c.state == "drawn")
    return connection.execute(query.where(t.c.matures_on > contacting.known_to(connection))).scalar_one()


def append(connection: Connection, campaign_id: int, seed: str, rows: Sequence[Sequence[Any]]) -> bool:
    """Add members as (campaign_id, customer_id, is_control, churn_probability) of a campaign that is being drawn.

    Returns
    -------
    False if it is gone: its name was drawn anew meanwhile. Another campaign may have its number, not its seed.
    """
    if connection.execute(select(t.c.id).where(*_drawing(campaign_id, seed))).one_or_none() is None:
        return False
    insert_rows(connection, m, MEMBER, rows)
    return True


def _drawing(campaign_id: int, seed: str) -> tuple[ColumnElement[bool], ...]:
    return t.c.id == campaign_id, t.c.seed == seed, t.c.state == "drawing"


def finish(connection: Connection, campaign_id: int, seed: str) -> bool:
    """Let a campaign be seen; return whether it still exists."""
    if connection.execute(update(t).where(*_drawing(campaign_id, seed)).values(state="drawn")).rowcount != 1:
        return False
    connection.execute(insert(tables.contact_changes).values(campaign_id=campaign_id))
    return True


def unfinished(connection: Connection) -> list[tuple[str, str]]:
    """Return name and seed of the campaigns that are not drawn whole."""
    rows = connection.execute(select(t.c.name, t.c.seed).where(t.c.state == "drawing"))
    return [(row.name, row.seed) for row in rows]


def drop_unfinished(connection: Connection, name: str, limit: int, *, seed: str | None = None) -> bool:
    """Delete some rows of a campaign that was not drawn whole; return whether there may be more.

    Parameters
    ----------
    seed
        Seed of the campaign to delete; None for any of this name.
    """
    query = select(t.c.id).where(t.c.name == name, t.c.state == "drawing")
    left = connection.execute(query if seed is None else query.where(t.c.seed == seed)).scalar_one_or_none()
    if left is None:
        return False
    some = select(m.c.customer_id).where(m.c.campaign_id == left).limit(limit)
    keys = connection.execute(some).scalars().all()
    connection.execute(delete(m).where(m.c.campaign_id == left, m.c.customer_id.in_(keys)))
    if not keys:
        connection.execute(delete(t).where(t.c.id == left))
    return bool(keys)


def mark_exported(connection: Connection, campaign_id: int, at: str) -> None:
    """Record when a campaign's list first left."""
    connection.execute(update(t).where(t.c.id == campaign_id, t.c.exported_at.is_(None)).values(exported_at=at))


# --- contacts ---------------------------------------------------------------------------------------------------------


def arms_of(connection: Connection, campaign_id: int, customer_ids: Sequence[int]) -> dict[int, int]:
    """Return `is_control` of those customers that are in a campaign."""
    query = select(m.c.customer_id, m.c.is_control).where(
        m.c.campaign_id == campaign_id, m.c.customer_id.in_(customer_ids)
    )
    return {row.customer_id: row.is_control for row in connection.execute(query)}


def record_contacts(connection: Connection, rows: Sequence[tuple[int, int, str]]) -> int:
    """Add contacts as (campaign_id, customer_id, contacted_at); return how many were not known before."""
    keys = [row[1] for row in rows]
    known = {
        tuple(row)
        for row in connection.execute(
            select(k.c.campaign_id, k.c.customer_id, k.c.contacted_at).where(k.c.customer_id.in_(keys))
        )
    }
    fresh = sorted(set(rows) - known)
    insert_rows(connection, k, ("campaign_id", "customer_id", "contacted_at"), fresh)
    return len(fresh)


def contacted(connection: Connection, campaign_id: int) -> tuple[int, int]:
    """Count the customers of a campaign whose contact came back: (drawn to be contacted, drawn not to be)."""
    query = (
        select(m.c.is_control, func.count(func.distinct(k.c.customer_id)))
        .join(m, (m.c.campaign_id == k.c.campaign_id) & (m.c.customer_id == k.c.customer_id))
        .where(k.c.campaign_id == campaign_id)
        .group_by(m.c.is_control)
    )
    found: dict[int, int] = {row[0]: row[1] for row in connection.execute(query)}
    return found.get(0, 0), found.get(1, 0)
