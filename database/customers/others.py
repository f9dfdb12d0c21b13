"""Facts of the customers that one is compared with.

Law: the cost is bounded, whatever the size of the base: of a large one, evenly spaced customers are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from database.customers.customer_base import column_names, customers_table
from database.customers.customers import population, present_run
from database.tables import tables
from shared.schema.features import Schema


def facts_of_many(
    connection: Connection, schema: Schema, features: Sequence[str], *, at_most: int
) -> Sequence[Sequence[Any]]:
    """Return present facts of customers that can be scored: of all, or of about `at_most`, evenly spaced by id.

    Returns
    -------
    rows with a value per feature, in the order of `features`.
    """
    wide, names = customers_table(schema), column_names(schema)
    query = select(*(wide.c[names[feature]] for feature in features)).where(wide.c.churn == 0, wide.c.ends_on.is_(None))
    every = -(-population(connection) // at_most)
    return connection.execute(query if every <= 1 else query.where(wide.c.id % every == 0)).all()


def state_of_facts(connection: Connection) -> tuple[int, int]:
    """Return the newest published import and scoring run: as long as both stay, so do present facts."""
    i = tables.imports
    newest = connection.execute(select(func.max(i.c.id)).where(i.c.state == "published")).scalar_one()
    return newest or 0, present_run(connection)
