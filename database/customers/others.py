"""Facts of the customers that one is compared with.

Law: what is read is bounded, whatever the size of the base: a large one is thinned in an index, before rows are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from database.customers.customer_base import column_names, customers_table
from database.customers.customers import population
from shared.schema.features import Schema


def facts_of_many(
    connection: Connection, schema: Schema, features: Sequence[str], *, at_most: int
) -> Sequence[Sequence[Any]]:
    """Return present facts of customers that can be scored: of all, or of about so many, evenly spaced by id.

    Returns
    -------
    rows with a value per feature, in the order of `features`; where some are left out, at least half of `at_most`.
    """
    wide, names = customers_table(schema), column_names(schema)
    query = select(*(wide.c[names[feature]] for feature in features)).where(wide.c.churn == 0, wide.c.ends_on.is_(None))
    every = -(-population(connection) // at_most)
    return connection.execute(query if every <= 1 else query.where(wide.c.id % every == 0)).all()
