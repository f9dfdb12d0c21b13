"""Money at risk by plan or another group, summed over the present scores in the database.

Law: one row per group leaves the database, however many customers there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, FromClause, and_, case, func, literal, select

from database.tables import tables

ledger, c = tables.ledger, tables.customers


@dataclass(frozen=True)
class GroupTotals:
    """Totals of the customers of one group.

    Attributes
    ----------
    group : str or None
        None for customers without one.
    members, members_unpriced : int
        All customers, scored or not, and those without a known price.
    monthly_revenue : float
        Sum of the monthly prices of all of them; an unknown price counts as 0.
    customers, unpriced : int
        Those with a score, and those of them without a known price.
    expected, variance : float
        Sum of p, and of p (1 - p).
    revenue : float
        Sum of p x monthly price; an unknown price counts as 0.
    value : float
        Sum of p x monthly price x value of staying, in payments.
    currencies : frozenset of (str or None)
        At most two of those that occur, and None where a customer has none.
    """

    group: str | None
    members: int
    members_unpriced: int
    monthly_revenue: float
    customers: int
    unpriced: int
    expected: float
    variance: float
    revenue: float
    value: float
    currencies: frozenset[str | None]


_SUMMED = [field.name for field in fields(GroupTotals) if field.name != "currencies"]


def by_plan(connection: Connection, run_id: int, weights: Sequence[float]) -> list[GroupTotals]:
    """Sum the scores displayed while a run is the published one, by plan, the most customers first.

    Parameters
    ----------
    weights
        Of the powers of 1 - p in the value of staying (`shared.lifetime.payment_weights`).
    """
    # Not `IS NOT NULL`: SQLite would make an inner join of it, and read the ledger of every run.
    is_scored = func.coalesce(ledger.c.customer_id, 0) > 0
    return by_group(connection, c.c.plan, tables.with_scores(c, c.c.id, run_id), [is_scored], weights)


def by_group(
    connection: Connection,
    group: ColumnElement[Any],
    source: FromClause,
    where: Sequence[ColumnElement[bool]],
    weights: Sequence[float],
    customers: FromClause = c,
) -> list[GroupTotals]:
    """Sum the displayed scores of the customers that meet conditions, by a value of theirs, the largest group first.

    Parameters
    ----------
    source
        `customers` joined to their displayed scores.
    weights
        As for `by_plan`.
    """
    p, price, paid = ledger.c.churn_probability, ledger.c.monthly_price, customers.c.monthly_price
    # Horner's scheme: one multiplication a power, and the database adds up exactly what each customer has.
    staying: ColumnElement[float] = literal(weights[-1], Float)
    for weight in reversed(weights[:-1]):
        staying = weight + (1 - p) * staying
    query = (
        select(
            group.label("group"),
            func.count().label("members"),
            func.sum(case((paid.is_(None), 1), else_=0)).label("members_unpriced"),
            func.coalesce(func.sum(paid), 0.0).label("monthly_revenue"),
            func.count(ledger.c.customer_id).label("customers"),
            func.sum(case((and_(price.is_(None), p.is_not(None)), 1), else_=0)).label("unpriced"),
            func.coalesce(func.sum(p), 0.0).label("expected"),
            func.coalesce(func.sum(p * (1 - p)), 0.0).label("variance"),
            func.coalesce(func.sum(price * p), 0.0).label("revenue"),
            func.coalesce(func.sum(price * p * staying), 0.0).label("value"),
            func.min(customers.c.currency).label("first"),
            func.max(customers.c.currency).label("last"),
            func.count(customers.c.currency).label("named"),
        )
        .select_from(source)
        .where(*where)
        .group_by("group")
        .order_by(func.count().desc(), "group")
    )
    found = []
    for row in connection.execute(query):
        currencies = frozenset({row.first, row.last} if row.named == row.members else {row.first, row.last, None})
        found.append(GroupTotals(**{name: getattr(row, name) for name in _SUMMED}, currencies=currencies))
    return found
