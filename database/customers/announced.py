"""Announced ends: customers who cancelled and still run, whose auto-renew is off, or whose contract ends soon.

Law: the schema names the column that says it; where it names none, nobody is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, and_, case, func, literal, or_, select

from database.customers import contacting
from database.customers.customer_base import column_names, customers_table
from database.engine.bulk_insert import AnyRow
from database.engine.expressions import days_between
from database.tables import tables
from shared.schema.features import Schema
from shared.schema.subscription import DAYS_OF

Kind = Literal["cancelled", "auto_renew_off", "contract_ends"]
KINDS: tuple[Kind, ...] = ("cancelled", "auto_renew_off", "contract_ends")
#: Days within which customers are counted.
DAYS = (30, 60, 90)
s = tables.subscriptions
#: Values of `auto_renew` that mean that a subscription does not renew itself; a number is 0 then.
OFF = ("0", "no", "n", "false", "off")


@dataclass(frozen=True)
class Within:
    """Customers whose end lies within some days (None: later, or at a day that is not known)."""

    days: int | None
    customers: int
    unpriced: int
    monthly_revenue: float
    currencies: int


@dataclass(frozen=True)
class Source:
    """Customers of a kind: the SQL that says who, the days left (None: not known), and the column that tells."""

    column: str | None
    is_one: ColumnElement[bool]
    days_left: ColumnElement[Any] | None


def source(schema: Schema, kind: Kind, today: str) -> Source | None:
    """Return how a base tells customers of a kind; None if its schema names no such column."""
    wide = customers_table(schema)
    if kind == "cancelled":
        days = days_between(literal(today), wide.c.ends_on)
        return Source(None, and_(wide.c.churn == 0, wide.c.ends_on > today), days)
    runs = and_(wide.c.churn + 0 == 0, wide.c.ends_on.is_(None))
    if kind == "auto_renew_off":
        return _not_renewed(schema, wide, runs)
    return _contract_end(schema, wide, runs, today)


def _not_renewed(schema: Schema, wide: Table, runs: ColumnElement[bool]) -> Source | None:
    told = schema.subscription.auto_renew
    if told is None:
        return None
    column = wide.c[column_names(schema)[told]]
    off = column == 0 if schema.features[told].kind == "number" else func.lower(column).in_(OFF)
    return Source(told, and_(runs, off), None)


def _contract_end(schema: Schema, wide: Table, runs: ColumnElement[bool], today: str) -> Source | None:
    told = schema.subscription.contract_end
    if told is None:
        return None
    if schema.contract_end_column is not None:
        day = wide.c.contract_runs_until
        return Source(told, and_(runs, day >= today), days_between(literal(today), day))
    column, unit = wide.c[column_names(schema)[told]], schema.features[told].unit
    return Source(told, and_(runs, column >= 0), column * DAYS_OF[unit or "days"])


def count(connection: Connection, schema: Schema, kind: Source) -> list[Within]:
    """Count customers by the days left, each once, and add up their monthly prices (an unknown one counts as 0)."""
    wide = customers_table(schema)
    left = kind.days_left
    band: ColumnElement[Any] = literal(None) if left is None else case(*((left <= days, days) for days in DAYS))
    query = select(
        band.label("days"),
        func.count(),
        func.sum(case((wide.c.monthly_price.is_(None), 1), else_=0)),
        func.coalesce(func.sum(wide.c.monthly_price), 0.0),
        func.count(func.distinct(func.coalesce(wide.c.currency, ""))),
    )
    rows = {row[0]: row for row in connection.execute(query.where(kind.is_one).group_by("days"))}
    found = [Within(*(rows.get(days) or (days, 0, 0, 0.0, 0))) for days in (*DAYS, None)]
    return found if left is not None else found[-1:]


def page(
    connection: Connection,
    schema: Schema,
    kind: Source,
    *,
    within: int | None,
    limit: int,
    after: tuple[float, int] | None = None,
) -> list[AnyRow]:
    """Return customers of a kind, those who end first first, after a position (days left, id).

    Parameters
    ----------
    within
        Only ends within so many days; None for all.
    """
    wide = customers_table(schema)
    left: ColumnElement[Any] = literal(0) if kind.days_left is None else kind.days_left
    told = select(func.max(s.c.cancelled_at)).where(s.c.customer_id == wide.c.id).scalar_subquery()
    reason = (
        select(s.c.end_reason).where(s.c.customer_id == wide.c.id).order_by(s.c.started_at.desc()).limit(1)
    ).scalar_subquery()
    columns = (wide.c.id, wide.c.user_id, wide.c.plan, wide.c.monthly_price, wide.c.currency, wide.c.ends_on)
    query = select(*columns, left.label("days_left"), told.label("cancelled_at"), reason.label("end_reason"))
    query = query.add_columns(contacting.status(connection, wide.c.id).label("contact")).where(kind.is_one)
    if within is not None and kind.days_left is not None:
        query = query.where(left <= within)
    if after is not None:
        query = query.where(or_(left > after[0], and_(left == after[0], wide.c.id > after[1])))
    return list(connection.execute(query.order_by(left, wide.c.id).limit(limit)))
