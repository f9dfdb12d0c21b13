"""Facts of the customers that one is compared with.

Law: the cost is bounded, whatever the size of the base: of a large one, evenly spaced customers are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from database.customers.customer_base import column_names, customers_table
from shared.schema.features import Schema


def facts_of_many(
    connection: Connection, schema: Schema, features: Sequence[str], *, at_most: int
) -> Sequence[Sequence[Any]]:
    """Return present facts of customers that can be scored, among at most so many, which are evenly spaced by id.

    Returns
    -------
    rows with a value per feature, in the order of `features`.
    """
    wide, names = customers_table(schema), column_names(schema)
    query = select(*(wide.c[names[feature]] for feature in features)).where(wide.c.churn == 0, wide.c.ends_on.is_(None))
    last = connection.execute(select(func.max(wide.c.id))).scalar_one() or 0
    if last <= at_most:
        return connection.execute(query).all()
    ids = [k * last // at_most for k in range(1, at_most + 1)]
    return connection.execute(query.where(wide.c.id.in_(ids))).all()
