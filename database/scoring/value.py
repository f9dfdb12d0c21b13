"""Money at risk by plan, summed over the present scores in the database.

Law: one row per plan leaves the database, however many customers there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Float, case, func, literal, select

from database.tables import tables

ledger, c = tables.ledger, tables.customers


@dataclass(frozen=True)
class PlanTotals:
    """Totals of the customers of one plan.

    Attributes
    ----------
    plan : str or None
        None for customers without one.
    customers, unpriced : int
        All of them, and those without a known price.
    expected, variance : float
        Sum of p, and of p (1 - p).
    revenue : float
        Sum of p x monthly price; an unknown price counts as 0.
    value : float
        Sum of p x monthly price x value of staying, in payments.
    currencies : frozenset of (str or None)
        At most two of those that occur, and None where a customer has none.
    """

    plan: str | None
    customers: int
    unpriced: int
    expected: float
    variance: float
    revenue: float
    value: float
    currencies: frozenset[str | None]


def by_plan(connection: Connection, run_id: int, weights: Sequence[float]) -> list[PlanTotals]:
    """Sum the scores displayed while a run is the published one, by plan, the most customers first.

    Parameters
    ----------
    weights
        Of the powers of 1 - p in the value of staying (`shared.lifetime.payment_weights`).
    """
    p, price = ledger.c.churn_probability, ledger.c.monthly_price
    # Horner's scheme: one multiplication a power, and the database adds up exactly what each customer has.
    staying: ColumnElement[float] = literal(weights[-1], Float)
    for weight in reversed(weights[:-1]):
        staying = weight + (1 - p) * staying
    query = (
        select(
            c.c.plan,
            func.count().label("customers"),
            func.sum(case((price.is_(None), 1), else_=0)),
            func.sum(p),
            func.sum(p * (1 - p)),
            func.coalesce(func.sum(price * p), 0.0),
            func.coalesce(func.sum(price * p * staying), 0.0),
            func.min(c.c.currency),
            func.max(c.c.currency),
            func.count(c.c.currency),
        )
        .select_from(tables.with_scores(c, c.c.id, run_id))
        # Not `IS NOT NULL`: SQLite would make an inner join of it, and read the ledger of every run.
        .where(func.coalesce(ledger.c.customer_id, 0) > 0)
        .group_by(c.c.plan)
        .order_by(func.count().desc(), c.c.plan)
    )
    found = []
    for plan, customers, unpriced, expected, variance, revenue, value, first, last, named in connection.execute(query):
        currencies = frozenset({first, last} if named == customers else {first, last, None})
        found.append(PlanTotals(plan, customers, unpriced, expected, variance, revenue, value, currencies))
    return found
