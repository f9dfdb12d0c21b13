"""Money at risk by plan or another group, summed over the present scores in the database.

Law: one row per group leaves the database, however many customers there are; the worth of a payment is put in
afterwards, so that one pass serves any terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, and_, case, func, select

from database.tables import tables
from shared.lifetime import OWN_STEPS

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


#: A row of sums: the group, COUNTS, the sums of price x p x (1 - p) ** k for each step k; of the currencies the first,
#: the last, and how many customers have one.
Sums = Sequence[Any]
COUNTS = ("members", "members_unpriced", "monthly_revenue", "customers", "unpriced", "expected", "variance")


def sum_by_plan(connection: Connection, run_id: int) -> list[Sums]:
    """Sum the scores displayed while a run is the published one, by plan, the most customers first."""
    # Not `IS NOT NULL`: SQLite would make an inner join of it, and read the ledger of every run.
    is_scored = func.coalesce(ledger.c.customer_id, 0) > 0
    return sum_by_group(connection, c.c.plan, tables.with_scores(c, c.c.id, run_id), [is_scored])


def sum_by_group(
    connection: Connection,
    group: ColumnElement[Any],
    source: FromClause,
    where: Sequence[ColumnElement[bool]],
    customers: FromClause = c,
) -> list[Sums]:
    """Sum the displayed scores of the customers that meet conditions, by a value of theirs, the largest group first.

    Parameters
    ----------
    source
        `customers` joined to their displayed scores.
    """
    p, price, paid = ledger.c.churn_probability, ledger.c.monthly_price, customers.c.monthly_price
    powers: list[ColumnElement[float]] = [price * p]
    while len(powers) < OWN_STEPS:
        powers.append(powers[-1] * (1 - p))
    query = (
        select(
            group.label("group"),
            func.count(),
            func.sum(case((paid.is_(None), 1), else_=0)),
            func.coalesce(func.sum(paid), 0.0),
            func.count(ledger.c.customer_id),
            func.sum(case((and_(price.is_(None), p.is_not(None)), 1), else_=0)),
            func.coalesce(func.sum(p), 0.0),
            func.coalesce(func.sum(p * (1 - p)), 0.0),
            *(func.coalesce(func.sum(each), 0.0) for each in powers),
            func.min(customers.c.currency),
            func.max(customers.c.currency),
            func.count(customers.c.currency),
        )
        .select_from(source)
        .where(*where)
        .group_by("group")
        .order_by(func.count().desc(), "group")
    )
    return [list(row) for row in connection.execute(query)]


def totals(sums: Sequence[Sums], weights: Sequence[float]) -> list[GroupTotals]:
    """Return the totals of each group.

    Parameters
    ----------
    weights
        Of the powers of 1 - p in the value of staying (`shared.lifetime.payment_weights`).
    """
    return [_totals(row, weights) for row in sums]


def _totals(row: Sums, weights: Sequence[float]) -> GroupTotals:
    counts: dict[str, Any] = dict(zip(COUNTS, row[1:], strict=False))
    powers, (first, last, named) = row[1 + len(COUNTS) : -3], row[-3:]
    return GroupTotals(
        group=row[0],
        **counts,
        revenue=powers[0],
        value=sum(weight * power for weight, power in zip(weights, powers, strict=False)),
        currencies=frozenset({first, last} if named == counts["members"] else {first, last, None}),
    )
