"""Dated facts (snapshots and subscriptions), and the training rows and labels derived from them.

Law: features and populations of a date use only facts known by its end (docs/architecture.md#data-over-time).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, literal, or_, select

from database.customers.customer_base import column_names, snapshots_table
from database.engine.bulk_insert import AnyRow
from database.engine.expressions import days_after
from database.tables import tables
from shared.clock import days_later
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS
from shared.schema.features import Schema

s, w = tables.subscriptions, tables.withdrawn_ends
#: Sorts after every date.
NEVER = "9999"


def published(snapshots: Any) -> Any:
    """A condition: the row's import is published; rows of an unfinished import never count."""
    i = tables.imports
    return snapshots.c.import_id.not_in(select(i.c.id).where(i.c.state != "published"))


def last_date(connection: Connection) -> str | None:
    """Return the last date of the data: the newest snapshot's."""
    snap = tables.customer_snapshots
    query = select(snap.c.as_of).where(published(snap)).order_by(snap.c.as_of.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none()


def snapshot_dates(connection: Connection) -> list[str]:
    """Return every date with snapshots, oldest first."""
    snap = tables.customer_snapshots
    return list(
        connection.execute(select(snap.c.as_of).where(published(snap)).distinct().order_by(snap.c.as_of)).scalars()
    )


def has_subscriptions(connection: Connection) -> bool:
    """Return whether labels can be derived from lifetimes."""
    return connection.execute(select(exists().where(s.c.id.is_not(None)))).scalar_one()


def imported_late(connection: Connection, dates: Sequence[str], *, days: int) -> tuple[int, int]:
    """Return how many facts of some dates were imported more than so many days after their date, and of how many."""
    snap, i = tables.customer_snapshots, tables.imports
    query = (
        select(snap.c.as_of, func.substr(i.c.created_at, 1, 10), func.count())
        .join_from(snap, i, i.c.id == snap.c.import_id)
        .where(snap.c.as_of.in_(dates), i.c.state == "published")
        .group_by(snap.c.as_of, i.c.created_at)
    )
    found = [(imported > days_later(as_of, days), count) for as_of, imported, count in connection.execute(query)]
    return sum(count for is_late, count in found if is_late), sum(count for _, count in found)


def has_ends(connection: Connection) -> bool:
    """Return whether the end of any subscription is known."""
    return connection.execute(select(exists().where(s.c.ended_at.is_not(None)))).scalar_one()


def training_rows(connection: Connection, schema: Schema, as_of: str) -> Sequence[Sequence[Any]]:
    """Return the population at a matured date, with labels derived from subscriptions.

    Population: active at `as_of`, with no end known by then. Label 1: the subscription ends within 30 days after
    `as_of` and none starts within the grace gap (docs/definitions.md#churn-label).

    Returns
    -------
    rows of (customer_id, label, feature ...) in the order of customer_id, features as known at the end of `as_of`.
    """
    snap = snapshots_table(schema)
    horizon_end = days_later(as_of, HORIZON_DAYS)
    query = _population(
        schema,
        as_of,
        snap.c.customer_id,
        _end(as_of),
        _back_at(as_of),
        *[snap.c[n] for n in column_names(schema).values()],
    )
    rows = connection.execute(query)
    return [(row[0], _left(row[1], row[2], horizon_end), *row[3:]) for row in rows]


def to_score(schema: Schema, as_of: str, *, after_id: int, limit: int) -> Select[Any]:
    """Select the population at any date: (customer_id, monthly_price, feature ..., 0) as known at its end."""
    snap = snapshots_table(schema)
    columns = [snap.c[n] for n in column_names(schema).values()]
    # Facts of that very day: their age is 0.
    query = _population(schema, as_of, snap.c.customer_id, s.c.monthly_price, *columns, literal(0).label("age"))
    return query.where(snap.c.customer_id > after_id).limit(limit)


def _population(schema: Schema, as_of: str, *columns: Any) -> Select[Any]:
    snap = snapshots_table(schema)
    newer = snap.alias("newer")
    corrected = exists().where(
        newer.c.customer_id == snap.c.customer_id,
        newer.c.as_of == as_of,
        newer.c.known_at <= as_of,
        newer.c.id > snap.c.id,
        published(newer),
    )
    return (
        select(*columns)
        .select_from(snap)
        .join(s, s.c.customer_id == snap.c.customer_id)
        .where(
            snap.c.as_of == as_of,
            snap.c.known_at <= as_of,
            published(snap),
            ~corrected,
            *_active(as_of),
            _newest(as_of),
        )
        .order_by(snap.c.customer_id)
    )


def _end(as_of: str) -> Any:
    """SQL of the last end of a customer's subscriptions that are active at `as_of`; NEVER while one is open.

    It uses later facts: only for labels, never to select or score customers at `as_of`.
    """
    other = s.alias("running")
    last = select(func.max(func.coalesce(other.c.ended_at, NEVER)))
    return last.where(other.c.customer_id == s.c.customer_id, *_active(as_of, other)).correlate(s).scalar_subquery()


def _back_at(as_of: str) -> Any:
    """SQL of the start of the customer's next subscription that outlasts those active at `as_of`; NULL if none."""
    again = s.alias("again")
    following = select(func.min(again.c.started_at)).where(
        again.c.customer_id == s.c.customer_id,
        again.c.started_at > as_of,
        func.coalesce(again.c.ended_at, NEVER) > _end(as_of),
    )
    return following.correlate(s).scalar_subquery()


def _active(day: str, which: Any = s) -> tuple[Any, ...]:
    """Conditions: active at `day` with no end known on that day, whatever became known later."""
    was_known = exists().where(
        w.c.customer_id == which.c.customer_id,
        w.c.started_at == which.c.started_at,
        w.c.known_from <= day,
        w.c.known_until > day,
    )
    return (
        which.c.started_at <= day,
        or_(which.c.ended_at.is_(None), which.c.ended_at > day),
        or_(which.c.cancelled_at.is_(None), which.c.cancelled_at > day),
        ~was_known,
    )


def _newest(day: str) -> Any:
    """A condition: the newest of a customer's subscriptions active at `day`, so that a customer counts once."""
    other = s.alias("other")
    newer = or_(other.c.started_at > s.c.started_at, and_(other.c.started_at == s.c.started_at, other.c.id > s.c.id))
    return ~exists().where(other.c.customer_id == s.c.customer_id, *_active(day, other), newer)


def _left(end: str, back_at: str | None, horizon_end: str) -> int:
    if end > horizon_end:
        return 0
    return 0 if back_at is not None and back_at <= days_later(end, GRACE_DAYS) else 1


def outcomes_at(connection: Connection, as_of: str, among: Any = None) -> dict[int, int]:
    """Return the label (1 left, 0 stayed) of each customer of the population at a matured date.

    Parameters
    ----------
    among
        A query of customers: only theirs.
    """
    query = select(s.c.customer_id, _end(as_of), _back_at(as_of)).where(*_active(as_of), _newest(as_of))
    if among is not None:
        query = query.where(s.c.customer_id.in_(among))
    horizon_end = days_later(as_of, HORIZON_DAYS)
    return {row[0]: _left(row[1], row[2], horizon_end) for row in connection.execute(query)}


def members_at(as_of: str) -> Select[Any]:
    """Select (customer_id, 0) of the customers who have an outcome of a date once it matures, by customer."""
    query = select(s.c.customer_id, literal(0)).where(*_active(as_of))
    return query.distinct().order_by(s.c.customer_id)


def ended_within_horizon(as_of: str) -> Select[Any]:
    """Select the customers with a subscription that ends within 30 days after a date."""
    return select(s.c.customer_id).where(s.c.ended_at > as_of, s.c.ended_at <= days_later(as_of, HORIZON_DAYS))


def leavers(connection: Connection, schema: Schema, as_of: str) -> set[int]:
    """Return the customers whose training row of a date has label 1."""
    snap = snapshots_table(schema)
    query = _population(schema, as_of, snap.c.customer_id, _end(as_of), _back_at(as_of))
    rows = connection.execute(query.where(snap.c.customer_id.in_(ended_within_horizon(as_of))))
    horizon_end = days_later(as_of, HORIZON_DAYS)
    return {row[0] for row in rows if _left(row[1], row[2], horizon_end)}


def departures(connection: Connection, after: str, until: str) -> list[tuple[int, str]]:
    """Return (customer_id, ended_at) of each end in (after, until] without a return within the grace gap."""
    return [tuple(row) for row in connection.execute(_departures(after, until, s.c.customer_id, s.c.ended_at))]


def departures_with_reasons(connection: Connection, after: str, until: str) -> list[tuple[int, str, str | None]]:
    """Return (customer_id, ended_at, end_reason) of the same ends, in the order of time."""
    query = _departures(after, until, s.c.customer_id, s.c.ended_at, s.c.end_reason)
    return [tuple(row) for row in connection.execute(query.order_by(s.c.ended_at))]


def _departures(after: str, until: str, *columns: Any) -> Select[Any]:
    again = s.alias("again")
    back = exists().where(
        again.c.customer_id == s.c.customer_id,
        again.c.started_at <= days_after(s.c.ended_at, literal(GRACE_DAYS)),
        func.coalesce(again.c.ended_at, NEVER) > s.c.ended_at,
    )
    return select(*columns).where(s.c.ended_at > after, s.c.ended_at <= until, ~back).distinct()


def given_label_rows(connection: Connection, schema: Schema) -> Sequence[AnyRow]:
    """Return rows with a given label: (customer_id, as_of, label, feature ...), oldest first.

    The newest row per customer, or per customer and date if the schema has an `as_of` column.
    """
    snap = snapshots_table(schema)
    labelled = and_(snap.c.label.is_not(None), published(snap))
    columns = [snap.c[name] for name in column_names(schema).values()]
    query = select(snap.c.customer_id, snap.c.as_of, snap.c.label, *columns).where(labelled)
    per = (snap.c.customer_id,) if schema.as_of is None else (snap.c.customer_id, snap.c.as_of)
    query = query.where(snap.c.id.in_(select(func.max(snap.c.id)).where(labelled).group_by(*per)))
    return connection.execute(query.order_by(snap.c.as_of, snap.c.customer_id)).all()


def churn_between(connection: Connection, start: str, end: str) -> tuple[int, int]:
    """Count the customers active at `start`, and those of them inactive at `end` (docs/definitions.md#logo-churn)."""
    later = s.alias("later")
    still = exists().where(
        later.c.customer_id == s.c.customer_id,
        later.c.started_at <= end,
        or_(later.c.ended_at.is_(None), later.c.ended_at > end),
    )
    active = and_(s.c.started_at <= start, or_(s.c.ended_at.is_(None), s.c.ended_at > start))
    count = func.count(func.distinct(s.c.customer_id))
    at_start = connection.execute(select(count).where(active)).scalar_one()
    left = connection.execute(select(count).where(active, ~still)).scalar_one()
    return at_start, left


def first_start(connection: Connection) -> str | None:
    """Return the date on which the first subscription started."""
    return connection.execute(select(func.min(s.c.started_at))).scalar_one()
