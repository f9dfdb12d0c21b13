"""Lists of customers: sorted, page by page, with a count that stops before it gets expensive.

Law: a page begins after a position (value, id), never at an offset; customers without the value come last in both
directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, or_, select

from database.customers import contacting
from database.customers.customer_base import column_names, customers_table
from database.customers.customers import present_run
from database.customers.filters import (
    Filters,
    at_level,
    conditions,
    force_population_index,
    ledger,
    probability_in,
    ranks,
    revenue_in,
    score_conditions,
    source,
)
from database.engine import kept_figures
from database.tables import tables
from shared.contracts.api import REASON_NUMBERS
from shared.risk import LEVELS
from shared.schema.features import Schema

#: Counting stops here: larger results are shown as "10,000+".
COUNTED = 10_000
#: Up to this many matches are collected and sorted; more are read in index order until the page is full.
GATHERED = 2_000
#: Up to this many matches of a probability, a query starts from the ranking; above, it scans the ledger.
MAX_RANK_SCAN = 50_000
REASONS = tuple(ledger.c[f"{part}_{k}"] for k in REASON_NUMBERS for part in ("reason", "points"))
worklist, WORK = tables.worklist, ("status", "owner_id", "due_on")
#: The feature that holds the days since the last login.
LAST_SEEN = "last_login_days"


@dataclass(frozen=True)
class Sort:
    """A value to sort by, and its direction: one of `SORT_KEYS`, or a number of the schema as ``feature.<name>``."""

    key: str = "churn_probability"
    descending: bool = True

    @property
    def is_indexed(self) -> bool:
        return self.key not in UNINDEXED and not self.key.startswith(FEATURE)


@dataclass(frozen=True)
class Position:
    """The end of a page: the last row's value (None if it has none) and key."""

    value: float | str | None
    id: int


#: Begins the key of a sort by a feature of the schema.
FEATURE = "feature."
UNINDEXED = ("revenue_at_risk", "last_activity")
#: Scored customers at the beginning of each order without an index whose keys are kept.
KEPT = 500
SORT_KEYS = ("churn_probability", "monthly_price", "tenure_months", "user_id", *UNINDEXED)


def _unsorted_in(connection: Connection, filters: Filters, run_id: int) -> Table:
    """Return the table that an unsorted query starts from: the ranking or the ledger."""
    if not filters.is_scored:
        return ledger
    return ranks if not filters.needs_rows or _few_match(connection, filters, run_id) else ledger


def _few_match(connection: Connection, filters: Filters, run_id: int) -> bool:
    """Return whether the conditions on the probability match few customers."""
    asked = score_conditions(ranks.c.churn_probability, filters)
    some = select(ranks.c.customer_id).where(ranks.c.run_id == run_id, *asked).limit(MAX_RANK_SCAN + 1)
    return (
        bool(asked)
        and connection.execute(select(func.count()).select_from(some.subquery())).scalar_one() <= MAX_RANK_SCAN
    )


def _sorted_in(connection: Connection, filters: Filters, sort: Sort, run_id: int) -> Table:
    """Return the table that a sorted query starts from, for customers who have a value to sort by."""
    if sort.key == "churn_probability":
        # The ranking holds no customer who has left: a search for them would read all of it.
        return ledger if filters.has_left else ranks
    few = filters.is_scored and not sort.is_indexed and _few_match(connection, filters, run_id)
    return ranks if few else ledger


def _gathered_in(filters: Filters) -> Table:
    """Return the table that a query for few customers starts from: the ranking if their probability alone says who."""
    return ranks if filters.is_scored and not filters.needs_rows else ledger


def sort_value(schema: Schema, wide: Table, scores: Table, sort: Sort) -> ColumnElement[Any]:
    """Return the SQL value to sort by: a larger `last_activity` is more recent; revenue uses the price at scoring."""
    if sort.key == "churn_probability":
        return probability_in(scores)
    if sort.key == "revenue_at_risk":
        return revenue_in(scores)
    if sort.key == "last_activity":
        return -wide.c[column_names(schema)[LAST_SEEN]]
    if sort.key.startswith(FEATURE):
        return wide.c[column_names(schema)[sort.key.removeprefix(FEATURE)]]
    return wide.c[sort.key]


def page(
    connection: Connection,
    schema: Schema,
    filters: Filters,
    sort: Sort = Sort(),  # frozen
    *,
    limit: int,
    after: Position | None = None,
    by_table: bool = False,
) -> list[dict[str, Any]]:
    """Return the next customers of a list.

    Parameters
    ----------
    by_table
        Few customers match: collect and sort them instead of reading the ranking in order.

    Returns
    -------
    rows with every customer column, score columns (None if unscored), `score_run_id`, `contact_status`, `sort_value`.
    """
    first = _kept_first(connection, schema, filters, sort)
    if first is not None:
        rows = _page(connection, schema, filters, sort, limit, after, by_table=by_table, among=first)
        if len(rows) == limit:
            return rows
    return _page(connection, schema, filters, sort, limit, after, by_table=by_table)


def _kept_first(connection: Connection, schema: Schema, filters: Filters, sort: Sort) -> list[int] | None:
    """Return the keys of the first scored customers in an order without an index; None for any other list."""
    is_plain = filters == Filters(is_scored=True, unsure_below=filters.unsure_below)
    if sort.key not in UNINDEXED or not is_plain:
        return None
    return kept_figures.get_or_measure(connection, _name(sort), lambda: _first(connection, schema, sort))


def _first(connection: Connection, schema: Schema, sort: Sort) -> list[int]:
    return [row["id"] for row in _page(connection, schema, Filters(is_scored=True), sort, KEPT)]


def to_keep(connection: Connection, schema: Schema) -> Iterator[tuple[str, list[int]]]:
    """Yield the keys of the scored customers who come first in each order without an index."""
    keys = [key for key in UNINDEXED if key != "last_activity" or LAST_SEEN in column_names(schema)]
    for sort in [Sort(key, descending) for key in keys for descending in (True, False)]:
        yield _name(sort), _first(connection, schema, sort)


def _name(sort: Sort) -> str:
    return f"customers by {sort.key}, {'falling' if sort.descending else 'rising'}"


def _page(
    connection: Connection,
    schema: Schema,
    filters: Filters,
    sort: Sort,
    limit: int,
    after: Position | None = None,
    *,
    by_table: bool = False,
    among: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """As `page`; only of the customers `among` who have the value, if they are given."""
    wide, run_id = customers_table(schema), present_run(connection)
    scores = _gathered_in(filters) if by_table else _sorted_in(connection, filters, sort, run_id)
    rows: list[dict[str, Any]] = []
    # Customers without a score have no probability and no revenue at risk.
    can_be_known = filters.is_scored is not False or sort.key not in ("churn_probability", "revenue_at_risk")
    can_be_missing = not (filters.is_scored and sort.key == "churn_probability") and sort.key != "user_id"
    if can_be_known and (after is None or after.value is not None):
        value, keys = _keys(connection, schema, filters, sort, scores, run_id, gathered=by_table)
        key = ranks.c.customer_id if scores is ranks else wide.c.id
        keys = keys if among is None else keys.where(wide.c.id.in_(among))
        if filters.has_left and sort.key == "churn_probability":
            keys = keys.where(wide.c.churn == 1)  # those in the index of who has left
        known = _in_order(keys.where(value.is_not(None)) if can_be_missing else keys, value, key, sort, after)
        rows = _filled(connection, wide, run_id, known.limit(limit))
    if len(rows) < limit and can_be_missing and among is None:
        value, keys = _keys(connection, schema, filters, sort, ledger, run_id, gathered=by_table)
        unknown = keys.where(value.is_(None)).order_by(wide.c.id)
        if after is not None and after.value is None:
            unknown = unknown.where(wide.c.id > after.id)
        rows += _filled(connection, wide, run_id, unknown.limit(limit - len(rows)))
    return rows


def _keys(
    connection: Connection, schema: Schema, filters: Filters, sort: Sort, scores: Table, run_id: int, *, gathered: bool
) -> tuple[ColumnElement[Any], Select[Any]]:
    """Return the SQL value to sort by, and a query of (id, value) of the matches."""
    wide = customers_table(schema)
    value = sort_value(schema, wide, scores, sort)
    if gathered and sort.key in ("monthly_price", "tenure_months"):
        value = value + 0  # keeps the planner from reading the whole index for a few matches
    keys = select(wide.c.id, value.label("value")).select_from(source(wide, scores, run_id))
    if not sort.is_indexed:
        keys = keys.where(force_population_index(wide))
    return value, keys.where(*conditions(connection, schema, wide, scores, filters))


def _in_order(
    query: Select[Any], value: ColumnElement[Any], key: ColumnElement[int], sort: Sort, after: Position | None
) -> Select[Any]:
    """Sort a query and start it after a position; ties are sorted by key, in the direction of the value's index."""
    key_descends = sort.descending != (sort.key == "churn_probability")
    query = query.order_by(value.desc() if sort.descending else value, key.desc() if key_descends else key)
    if after is None:
        return query
    beyond = value < after.value if sort.descending else value > after.value
    tied = key < after.id if key_descends else key > after.id
    # A bound on the value alone lets an index scan start there.
    edge = value <= after.value if sort.descending else value >= after.value
    return query.where(edge, or_(beyond, and_(value == after.value, tied)))


def _filled(connection: Connection, wide: Table, run_id: int, keys: Select[Any]) -> list[dict[str, Any]]:
    """Read all columns of a page's customers, in the page's order."""
    found = connection.execute(keys).all()
    query = (
        select(
            wide,
            ledger.c.churn_probability,
            revenue_in(ledger).label("revenue_at_risk"),
            ledger.c.confidence,
            tables.prediction_date,
            ledger.c.run_id.label("score_run_id"),
            *REASONS,
            contacting.status(connection, wide.c.id).label("contact_status"),
            *(worklist.c[name].label(f"work_{name}") for name in WORK),
        )
        .select_from(source(wide, ledger, run_id).outerjoin(worklist, worklist.c.customer_id == wide.c.id))
        .where(wide.c.id.in_([row.id for row in found]))
    )
    by_id = {row["id"]: row for row in connection.execute(query).mappings()}
    return [{**by_id[row.id], "sort_value": row.value} for row in found]


def count(connection: Connection, schema: Schema, filters: Filters, *, up_to: int = COUNTED) -> tuple[int, bool]:
    """Return the number of matches, and whether it is exact: counting stops at `up_to`."""
    wide, run_id = customers_table(schema), present_run(connection)
    scores = _unsorted_in(connection, filters, run_id)
    where = [
        *conditions(connection, schema, wide, scores, filters),
        *([force_population_index(wide)] if scores is ledger else []),
    ]
    matching = select(wide.c.id).select_from(source(wide, scores, run_id)).where(*where).limit(up_to + 1)
    found = connection.execute(select(func.count()).select_from(matching.subquery())).scalar_one()
    return min(found, up_to), found <= up_to


def level_totals(connection: Connection, schema: Schema, filters: Filters) -> Mapping[str, tuple[int, float, float]]:
    """Return customers, expected leavers and revenue at risk by risk level; an unknown price counts as 0."""
    wide, run_id = customers_table(schema), present_run(connection)
    scores = ranks if filters.is_scored else ledger
    probability = probability_in(scores)
    where = [*conditions(connection, schema, wide, scores, filters), probability.is_not(None)]
    totals: dict[str, tuple[int, float, float]] = {}
    for level in LEVELS:
        query = (
            select(
                func.count(),
                func.coalesce(func.sum(probability), 0.0),
                func.coalesce(func.sum(revenue_in(scores)), 0.0),
            )
            .select_from(source(wide, scores, run_id))
            .where(*where, at_level(probability, level))
        )
        customers, expected, revenue = connection.execute(query).one()
        totals[level] = (int(customers), float(expected), float(revenue))
    return totals
