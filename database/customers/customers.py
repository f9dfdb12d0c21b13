"""Customers in their present state: one customer, the ranked list, the customers to score.

Law: a query never commits; present scores are those of the published scoring run (`database.scoring.runs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, func, literal, select

from database.customers import contacting
from database.customers.customer_base import column_names, customers_table
from database.engine import interruption
from database.engine.expressions import days_between
from database.tables import tables
from shared.contracts.api import REASON_NUMBERS
from shared.schema.features import Schema

c, ranks, ledger = tables.customers, tables.present_ranks, tables.ledger


def present_run(connection: Connection) -> int:
    """Return the id of the published run; 0, which no run has, if there is none."""
    return connection.execute(select(tables.published_run.c.run_id)).scalar_one_or_none() or 0


def population(connection: Connection) -> int:
    """Return the number of customers that can be scored: active, with no known end."""
    return connection.execute(select(func.count()).select_from(c).where(*_scorable())).scalar_one()


def count(connection: Connection) -> int:
    """Return the number of customers, including those who left."""
    return connection.execute(select(func.count()).select_from(c)).scalar_one()


def _scorable() -> tuple[Any, ...]:
    return (c.c.churn == 0, c.c.ends_on.is_(None))


def to_score(
    schema: Schema, *, as_of: str, since: str = "", after_id: int, limit: int, among: Sequence[int] | None = None
) -> Select[Any]:
    """Select (id, monthly_price, feature ..., age) of customers that can be scored, by ascending id after `after_id`.

    Parameters
    ----------
    as_of
        The run's date, from which the days of `age` are counted back.
    since
        Only customers whose facts are of this date or later.
    """
    wide = customers_table(schema)
    # Most facts are of the run's date: compared first, because counting days takes longer.
    age = case((wide.c.as_of == as_of, 0), else_=days_between(wide.c.as_of, literal(as_of))).label("age")
    query = (
        select(wide.c.id, wide.c.monthly_price, *[wide.c[name] for name in column_names(schema).values()], age)
        .where(wide.c.churn == 0, wide.c.ends_on.is_(None), wide.c.as_of >= since, wide.c.id > after_id)
        .order_by(wide.c.id)
        .limit(limit)
    )
    return query if among is None else query.where(wide.c.id.in_(among))


def spread_of_ids(connection: Connection, size: int, since: str = "") -> Sequence[int]:
    """Return up to so many customers that can be scored, spread evenly over their ids: the same ones each time.

    Parameters
    ----------
    since
        Only customers whose facts are of this date or later.
    """
    last = connection.execute(select(func.max(c.c.id))).scalar_one() or 0
    drawn = range(1, last + 1, max(1, -(-last // size)))
    query = select(c.c.id).where(*_scorable(), c.c.as_of >= since, c.c.id.in_(drawn)).order_by(c.c.id)
    found = connection.execute(query).scalars().all()
    if len(found) * 2 >= len(drawn):
        return found
    # Few of the base can be scored: those drawn may hold none of them, and a pass over those few is short.
    everybody = population_ids(connection, since)
    return everybody[:: max(1, -(-len(everybody) // size))]


def count_missing(
    connection: Connection, schema: Schema, features: Sequence[str], *, since: str, among: Sequence[int] | None = None
) -> tuple[int, dict[str, int]]:
    """Return the number of customers that can be scored, and of those that lack each feature, in one pass.

    Parameters
    ----------
    since
        ISO date; customers with older facts are not counted.
    among
        Only these ids.
    """
    wide, names = customers_table(schema), column_names(schema)
    query = select(func.count(), *(func.count(wide.c[names[feature]]) for feature in features)).where(
        wide.c.churn == 0, wide.c.ends_on.is_(None), wide.c.as_of >= since
    )
    parts = [None] if among is None else [among[at : at + 10_000] for at in range(0, len(among), 10_000)]
    totals = [0] * (1 + len(features))
    for part in parts:
        row = connection.execute(query if part is None else query.where(wide.c.id.in_(part))).one()
        totals = [total + found for total, found in zip(totals, row, strict=True)]
    return totals[0], {feature: totals[0] - had for feature, had in zip(features, totals[1:], strict=True)}


def population_ids(connection: Connection, since: str = "") -> Sequence[int]:
    """Return the ids of the customers that can be scored and have facts of a date or later, ascending."""
    query = select(c.c.id).where(*_scorable(), c.c.as_of >= since)
    return connection.execute(query.order_by(c.c.id)).scalars().all()


def dates_of_older_facts(connection: Connection, since: str) -> list[tuple[str, int]]:
    """Count the customers that could be scored but have older facts, by the date of these, newest first."""
    query = select(c.c.as_of, func.count()).where(*_scorable(), c.c.as_of < since).group_by(c.c.as_of)
    return [tuple(row) for row in connection.execute(query.order_by(c.c.as_of.desc()))]


def ids_by_user_id(connection: Connection, user_ids: Iterable[str]) -> dict[str, int]:
    """Return the ids of the customers that the database has, by user_id. Raises Cancelled if the job that asks was."""
    known: dict[str, int] = {}
    wanted = list(user_ids)
    for at in range(0, len(wanted), 10_000):
        interruption.check()  # each part is too short to be interrupted itself
        rows = connection.execute(select(c.c.user_id, c.c.id).where(c.c.user_id.in_(wanted[at : at + 10_000])))
        known.update({row.user_id: row.id for row in rows})
    return known


_REASONS = tuple(ledger.c[f"{part}_{k}"] for k in REASON_NUMBERS for part in ("reason", "points"))


def one(connection: Connection, schema: Schema, user_id: str) -> dict[str, Any] | None:
    """Return every column of one customer and its present score (None if unscored); None if unknown."""
    query = select(
        c,
        ledger.c.churn_probability,
        ledger.c.confidence,
        ledger.c.out_of_fold,
        tables.prediction_date,
        ledger.c.run_id.label("score_run_id"),
        *_REASONS,
    ).select_from(tables.with_scores(c, c.c.id, present_run(connection)))
    row = connection.execute(query.where(c.c.user_id == user_id)).mappings().one_or_none()
    if row is None:
        return None
    return {**row, **features_of(connection, schema, row["id"])}


def features_of(connection: Connection, schema: Schema, customer_id: int) -> dict[str, Any]:
    """Return a customer's present features, by column name."""
    return dict(connection.execute(_features(schema), {"customer_id": customer_id}).mappings().one())


@lru_cache(maxsize=8)
def _features(schema: Schema) -> Select[Any]:
    wide = customers_table(schema)
    columns = [wide.c[name] for name in column_names(schema).values()]
    return select(*columns).where(wide.c.id == bindparam("customer_id"))


def ranked(
    connection: Connection, schema: Schema, *, limit: int, above: float | None = None, offset: int = 0
) -> Sequence[dict[str, Any]]:
    """Return the present scores of active customers, highest first, paged by offset as documented.

    Parameters
    ----------
    above
        Only probabilities greater than this.
    """
    wide, run_id = customers_table(schema), present_run(connection)
    here = ranks.join(wide, wide.c.id == ranks.c.customer_id)
    query = (
        select(
            wide,
            ranks.c.churn_probability,
            ledger.c.confidence,
            tables.prediction_date,
            ledger.c.run_id.label("score_run_id"),
            *_REASONS,
            contacting.status(connection, wide.c.id).label("contact_status"),
        )
        .select_from(tables.with_scores(here, ranks.c.customer_id, run_id))
        .where(ranks.c.run_id == run_id)
        .order_by(ranks.c.churn_probability.desc(), ranks.c.customer_id)
        .limit(limit)
        .offset(offset)
    )
    if above is not None:
        query = query.where(ranks.c.churn_probability > above)
    return [dict(row) for row in connection.execute(query).mappings()]
