"""Customers: their present state, to list, to read one, to score.

Law: a query never commits; present means the published scoring run (`database.runs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, select

from database import tables
from database.base import column_names, customers_table
from shared.features import Schema

c, p, r = tables.customers, tables.present_scores, tables.published_run
ranks = tables.present_ranks
ledger = tables.predictions


def population(connection: Connection) -> int:
    """How many can be scored: active, and not already known to end."""
    return connection.execute(select(func.count()).select_from(c).where(*_scorable())).scalar_one()


def count(connection: Connection) -> int:
    """All customers, also those who left."""
    return connection.execute(select(func.count()).select_from(c)).scalar_one()


def _scorable() -> tuple[Any, ...]:
    return (c.c.churn == 0, c.c.ends_on.is_(None))


def scoring_rows(
    connection: Connection, schema: Schema, *, after_id: int, limit: int, among: Sequence[int] | None = None
) -> Sequence[tuple[Any, ...]]:
    """Rows of (id, monthly_price, feature ...) of the population, in the order of id, after `after_id`."""
    wide = customers_table(schema)
    query = (
        select(wide.c.id, wide.c.monthly_price, *[wide.c[name] for name in column_names(schema).values()])
        .where(wide.c.churn == 0, wide.c.ends_on.is_(None), wide.c.id > after_id)
        .order_by(wide.c.id)
        .limit(limit)
    )
    cursor = connection.execute(query if among is None else query.where(wide.c.id.in_(among))).cursor
    assert cursor is not None
    # The driver's own tuples: a named row for each of a million customers costs more than reading them.
    return cursor.fetchall()


def population_ids(connection: Connection) -> Sequence[int]:
    """Ids of everyone who can be scored, ascending."""
    return connection.execute(select(c.c.id).where(*_scorable()).order_by(c.c.id)).scalars().all()


def ids_by_user_id(connection: Connection, user_ids: Iterable[str]) -> dict[str, int]:
    """Integer keys of the customers that are known already."""
    known: dict[str, int] = {}
    wanted = list(user_ids)
    for at in range(0, len(wanted), 10_000):
        rows = connection.execute(select(c.c.user_id, c.c.id).where(c.c.user_id.in_(wanted[at : at + 10_000])))
        known.update({row.user_id: row.id for row in rows})
    return known


def present_join(query: Select[Any]) -> Select[Any]:
    """Add each customer's present score, where it has one."""
    here = select(r.c.run_id).scalar_subquery()
    return query.join_from(c, p, and_(p.c.customer_id == c.c.id, p.c.run_id == here), isouter=True).join(
        ledger, ledger.c.id == p.c.prediction_id, isouter=True
    )


_REASONS = tuple(ledger.c[f"{part}_{k}"] for k in (1, 2, 3) for part in ("reason", "points"))


def one(connection: Connection, schema: Schema, user_id: str) -> dict[str, Any] | None:
    """Every column of one customer, with its present score (None fields where unscored)."""
    query = present_join(
        select(
            c,
            p.c.churn_probability,
            ledger.c.confidence,
            ledger.c.out_of_fold,
            tables.prediction_date,
            ledger.c.run_id.label("score_run_id"),
            *_REASONS,
        )
    ).where(c.c.user_id == user_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    return {**row, **features_of(connection, schema, row["id"])}


def features_of(connection: Connection, schema: Schema, customer_id: int) -> dict[str, Any]:
    """A customer's present features, by column name."""
    return dict(connection.execute(_features(schema), {"customer_id": customer_id}).mappings().one())


@lru_cache(maxsize=8)
def _features(schema: Schema) -> Select[Any]:
    wide = customers_table(schema)
    columns = [wide.c[name] for name in column_names(schema).values()]
    return select(*columns).where(wide.c.id == bindparam("customer_id"))


def ranked(
    connection: Connection, schema: Schema, *, limit: int, above: float | None = None, offset: int = 0
) -> Sequence[dict[str, Any]]:
    """Present scores of active customers, highest first: the documented list, which pages by offset.

    Parameters
    ----------
    above
        Only probabilities greater than this.
    """
    wide = customers_table(schema)
    here = select(r.c.run_id).scalar_subquery()
    query = (
        select(
            wide,
            ranks.c.churn_probability,
            ledger.c.confidence,
            tables.prediction_date,
            ledger.c.run_id.label("score_run_id"),
            *_REASONS,
        )
        .join_from(ranks, wide, wide.c.id == ranks.c.customer_id)
        .join(ledger, ledger.c.id == ranks.c.prediction_id)
        .where(ranks.c.run_id == here)
        .order_by(ranks.c.churn_probability.desc(), ranks.c.customer_id)
        .limit(limit)
        .offset(offset)
    )
    if above is not None:
        query = query.where(ranks.c.churn_probability > above)
    return [dict(row) for row in connection.execute(query).mappings()]
