"""Churn by group: customers with facts of a date, by a category or by their tenure, and how many left within 30 days.

Law: a customer is in the group that the facts of the first day say, as known at its end: what became known later
never moves a leaver. See docs/definitions.md#churn-by-group.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, delete, exists, func, or_, select

from database.customers import facts, maturity
from database.customers.customer_base import column_names, snapshots_table
from database.engine.bulk_insert import insert_rows
from database.tables import tables
from shared.clock import days_later
from shared.contracts.api import HORIZON_DAYS
from shared.schema.features import Schema

s, g = tables.subscriptions, tables.group_churn
#: Groups of one feature that are kept, those of the most customers.
GROUPS = 200
#: Months as a customer at which the next band begins.
TENURE_BANDS = (3, 6, 12, 24, 36)
#: Two periods that are compared lie this far apart at least, so that they share next to no days.
APART = HORIZON_DAYS - 3
#: Features that are counted in one pass: their groups are counted together and added up.
TOGETHER = 3
COLUMNS = ("period_start", "period_end", "feature", "position", "value", "customers", "left")


@dataclass(frozen=True)
class Group:
    """Customers of a group on the first day of a period, and how many of them had left on its last."""

    value: str | None
    customers: int
    left: int


@dataclass(frozen=True)
class GroupPeriod:
    """A period and its groups, the most customers first."""

    start: str
    end: str
    groups: list[Group]


def groupings(schema: Schema) -> dict[str, ColumnElement[str]]:
    """Return the features that customers are grouped by, and the SQL value of each over the snapshots."""
    snap, names = snapshots_table(schema), column_names(schema)
    found: dict[str, ColumnElement[str]] = {
        name: snap.c[names[name]] for name, each in schema.features.items() if each.kind == "category"
    }
    tenure = schema.tenure_feature
    if tenure is not None and is_in_months(schema, tenure):
        found[tenure] = tenure_band(snap.c[names[tenure]])
    return found


def is_in_months(schema: Schema, feature: str) -> bool:
    """Return whether a feature counts months: its bands have names in months."""
    known = schema.features[feature]
    return known.kind == "number" and (known.unit == "months" or feature.endswith("_months"))


def tenure_band(months: ColumnElement[int]) -> ColumnElement[str]:
    """Return the SQL name of the band of a number of months; NULL for NULL."""
    edges = (0, *TENURE_BANDS)
    below = [(months < high, f"{low} to {high - 1} months") for low, high in zip(edges, TENURE_BANDS, strict=False)]
    return case((months.is_(None), None), *below, else_=f"{edges[-1]} months and more")


def measure(connection: Connection, schema: Schema) -> list[tuple[object, ...]]:
    """Count the groups of every grouping, in the newest period whose ends are known and in the one before it.

    Returns
    -------
    rows of `COLUMNS`
        Empty without subscriptions, or without a date whose next 30 days are known.
    """
    found: list[tuple[object, ...]] = []
    for start in _starts(connection):
        for feature, groups in _count(connection, schema, start).items():
            end = days_later(start, HORIZON_DAYS)
            kept = enumerate(groups[:GROUPS])
            found += [(start, end, feature, at, each.value, each.customers, each.left) for at, each in kept]
    return found


def _starts(connection: Connection) -> list[str]:
    """Return the newest date with facts whose next 30 days are known, and the newest one a period before it."""
    last, known = facts.last_date(connection), maturity.complete_to(connection)
    if last is None or known is None or not facts.has_subscriptions(connection):
        return []
    dates = facts.snapshot_dates(connection)
    newest = [day for day in dates if days_later(day, HORIZON_DAYS) <= min(last, known)][-1:]
    return newest + [day for day in dates if newest and days_later(day, APART) <= newest[0]][-1:]


def _count(connection: Connection, schema: Schema, start: str) -> dict[str, list[Group]]:
    customers: dict[str, Counter[str | None]] = defaultdict(Counter)
    left: dict[str, Counter[str | None]] = defaultdict(Counter)
    everything = list(groupings(schema).items())
    for at in range(0, len(everything), TOGETHER):
        part = dict(everything[at : at + TOGETHER])
        for has_left, *values, count in connection.execute(_population(schema, start, part)):
            for name, value in zip(part, values, strict=True):
                customers[name][value] += count
                left[name][value] += count * has_left
    return {
        name: [Group(value, count, left[name][value]) for value, count in _largest_first(counts)]
        for name, counts in customers.items()
    }


def _largest_first(counts: Counter[str | None]) -> list[tuple[str | None, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0] is None, each[0] or ""))


def _population(schema: Schema, start: str, part: Mapping[str, ColumnElement[str]]) -> Select[Any]:
    """Count everybody who has facts of a date, known on it, and was active then, by (has left, group ...)."""
    snap, end = snapshots_table(schema), days_later(start, HORIZON_DAYS)
    newer = snap.alias("newer")
    corrected = exists().where(
        newer.c.customer_id == snap.c.customer_id,
        newer.c.as_of == start,
        newer.c.known_at <= start,
        newer.c.id > snap.c.id,
        facts.published(newer),
    )
    here = (snap.c.as_of == start, snap.c.known_at <= start, facts.published(snap), ~corrected)
    # Looked up for those alone who may have left: most have one subscription, which runs.
    ended = select(s.c.customer_id).where(s.c.ended_at > start, s.c.ended_at <= end)
    left = case((snap.c.customer_id.not_in(ended), 0), (_active(snap.c.customer_id, end), 0), else_=1)
    other = select(s.c.customer_id).where(or_(s.c.ended_at <= start, s.c.started_at > start))
    was_active = or_(snap.c.customer_id.not_in(other), _active(snap.c.customer_id, start))
    columns = [each.label(f"group_{at}") for at, each in enumerate(part.values())]
    query = select(left.label("has_left"), *columns, func.count()).where(*here, was_active)
    return query.group_by("has_left", *(column.name for column in columns))


def _active(customer_id: ColumnElement[int], day: str) -> ColumnElement[bool]:
    runs = s.alias()
    return exists().where(
        runs.c.customer_id == customer_id,
        runs.c.started_at <= day,
        or_(runs.c.ended_at.is_(None), runs.c.ended_at > day),
    )


def store(connection: Connection, measured: Sequence[Sequence[object]]) -> None:
    """Replace the roll-up."""
    connection.execute(delete(g))
    insert_rows(connection, g, COLUMNS, measured)


def read(connection: Connection, feature: str) -> list[GroupPeriod]:
    """Return the periods of a grouping, newest first; empty where it is not measured."""
    rows = connection.execute(
        select(g).where(g.c.feature == feature).order_by(g.c.period_start.desc(), g.c.position)
    ).all()
    starts = dict.fromkeys((row.period_start, row.period_end) for row in rows)
    return [
        GroupPeriod(start, end, [Group(r.value, r.customers, r.left) for r in rows if r.period_start == start])
        for start, end in starts
    ]
