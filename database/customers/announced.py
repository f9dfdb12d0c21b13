"""Announced ends: customers who cancelled and still run, whose auto-renew is off, or whose contract ends soon.

Law: only what a base's columns say is listed; where it has no such column, nobody is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, or_, select

from database.customers import contacting
from database.customers.customer_base import column_names, customers_table
from database.engine.bulk_insert import AnyRow
from database.engine.expressions import days_between
from database.tables import tables
from shared.schema.features import Schema, snake

Kind = Literal["cancelled", "auto_renew_off", "contract_ends"]
KINDS: tuple[Kind, ...] = ("cancelled", "auto_renew_off", "contract_ends")
#: Days within which customers are counted.
DAYS = (30, 60, 90)
s = tables.subscriptions
#: Names, in snake case, of a feature that says whether a subscription renews itself, and its values for no.
AUTO_RENEW = ("auto_renew", "is_auto_renew", "autorenew", "auto_renewal")
OFF = ("0", "no", "n", "false", "off")
#: Names, in snake case, of a number of days or months until a contract ends, and the days of each.
CONTRACT_ENDS = {
    "days_to_contract_end": 1.0, "contract_days_left": 1.0, "days_to_renewal": 1.0, "days_until_expiry": 1.0,
    "months_to_contract_end": 30.4375, "contract_months_left": 30.4375,
}  # fmt: skip


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
    """Customers of a kind: the SQL that says who, the days left (None: not known), and the feature that tells."""

    feature: str | None
    is_one: ColumnElement[bool]
    days_left: ColumnElement[Any] | None


def source(schema: Schema, kind: Kind, today: str) -> Source | None:
    """Return how a base tells customers of a kind; None if it has no such column."""
    wide, names = customers_table(schema), column_names(schema)
    if kind == "cancelled":
        days = days_between(literal(today), wide.c.ends_on)
        return Source(None, and_(wide.c.churn == 0, wide.c.ends_on > today), days)
    known = {snake(feature): feature for feature in schema.features}
    wanted = AUTO_RENEW if kind == "auto_renew_off" else tuple(CONTRACT_ENDS)
    found = next((name for name in wanted if name in known), None)
    if found is None:
        return None
    feature = known[found]
    column, is_number = wide.c[names[feature]], schema.features[feature].kind == "number"
    runs = and_(wide.c.churn + 0 == 0, wide.c.ends_on.is_(None))
    if kind == "auto_renew_off":
        off = column == 0 if is_number else func.lower(column).in_(OFF)
        return Source(feature, and_(runs, off), None)
    return Source(feature, and_(runs, column >= 0), column * CONTRACT_ENDS[found]) if is_number else None


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
