"""Lists of customers: filtered, sorted, page by page, counted as far as counting is cheap.

Law: a page begins after a position (value, id), never at an offset; customers without the value come last in either
direction. What a filter means is written once, in `conditions`, for lists, counts and exports alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, and_, func, null, or_, select

from database import tables
from database.base import column_names, customers_table
from database.customers import present_run
from shared.features import Schema

ranks, ledger = tables.present_ranks, tables.ledger

#: A count goes no further: what lies beyond is told as "10,000+".
COUNTED = 10_000
#: A prefix that fewer share is looked up in its index; one that more share is checked along the list.
FEW = 500
#: A list of fewer is gathered and sorted; a longer one is walked in its order until the page is full.
GATHERED = 2_000
REASONS = tuple(ledger.c[f"{part}_{k}"] for k in (1, 2, 3) for part in ("reason", "points"))
LEVELS = ("High", "Medium", "Low")
HIGH, MEDIUM = 0.8, 0.6
#: The feature that says how long ago somebody was last seen, in days.
LAST_SEEN = "last_login_days"


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included; None is open."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class FeatureRule:
    """What a feature has to be: one of `values` (None: missing), and within a range."""

    feature: str
    values: tuple[str | float | None, ...] = ()
    within: Range = field(default_factory=Range)


@dataclass(frozen=True)
class Filters:
    """Which customers. Every part that is given has to hold; of several values of one part, any."""

    prefix: str | None = None
    plans: tuple[str | None, ...] = ()
    levels: tuple[str, ...] = ()
    probability: Range = Range()
    confidence: Range = Range()
    is_unsure: bool | None = None
    unsure_below: float = 0.7
    tenure: Range = Range()
    price: Range = Range()
    reasons: tuple[str, ...] = ()
    is_scored: bool | None = None
    has_left: bool | None = None
    features: tuple[FeatureRule, ...] = ()

    @property
    def ask_the_table(self) -> bool:
        """Whether any part is decided by the customers' own columns, whatever their scores."""
        given = (self.prefix, self.plans, self.features, self.has_left)
        return any(part not in (None, ()) for part in given) or (self.tenure, self.price) != (Range(), Range())


@dataclass(frozen=True)
class Sort:
    """By which value, and whether the largest comes first."""

    key: str = "churn_probability"
    descending: bool = True


@dataclass(frozen=True)
class Position:
    """Where a page ended: the last row's value (None where it has none) and key."""

    value: float | str | None
    id: int


SORT_KEYS = ("churn_probability", "monthly_price", "revenue_at_risk", "tenure_months", "user_id", "last_activity")


def walked(filters: Filters, *, by_table: bool = False) -> Table:
    """Where scores are read: from the highest down, or `by_table` by customer: few match, or another order is asked."""
    return ranks if filters.is_scored and not by_table else ledger


def source(wide: Table, scores: Table, run_id: int) -> FromClause:
    """Customers beside the ledger rows that are shown of them: walked by rank, or as customers, scored or not."""
    ranked = ranks.join(wide, and_(ranks.c.customer_id == wide.c.id, ranks.c.run_id == run_id))
    return tables.with_scores(ranked if scores is ranks else wide, wide.c.id, run_id)


def probability_in(scores: Table) -> ColumnElement[float]:
    """A present probability, as it is read there: null where there is none."""
    # `coalesce` leaves an outer join the outer join it is: an inner one SQLite may begin with the whole ledger.
    return scores.c.churn_probability if scores is ranks else func.coalesce(ledger.c.churn_probability, null())


def revenue_in(scores: Table) -> ColumnElement[float]:
    """What the run expected to lose: probability by the price it was scored with."""
    return probability_in(scores) * func.coalesce(ledger.c.monthly_price, null())


def conditions(
    connection: Connection, schema: Schema, wide: Table, scores: Table, filters: Filters, run_id: int
) -> list[ColumnElement[bool]]:
    """The filters as SQL over `source`."""
    confidence = func.coalesce(ledger.c.confidence, null())
    found = [
        *_within(probability_in(scores), filters.probability),
        *_within(confidence, filters.confidence),
        # `+ 0`: their indexes are there to sort by; a range of them is half of everybody, read one by one.
        *_within(wide.c.tenure_months + 0, filters.tenure),
        *_within(wide.c.monthly_price + 0, filters.price),
    ]
    if filters.is_scored is not None:
        has_one = func.coalesce(ledger.c.customer_id, -1)
        found.append(has_one != -1 if filters.is_scored else has_one == -1)
    if filters.has_left is not None:
        # `+ 0` keeps the planner from walking the index of `churn`, which nearly everybody shares.
        found.append(wide.c.churn + 0 == int(filters.has_left))
    if filters.plans:
        found.append(_one_of(wide.c.plan, filters.plans))
    if filters.levels:
        found.append(or_(*(_level(probability_in(scores), level) for level in filters.levels)))
    if filters.is_unsure is not None:
        unsure = confidence < filters.unsure_below
        found.append(unsure if filters.is_unsure else confidence >= filters.unsure_below)
    if filters.reasons:
        positions = [schema.feature_names.index(name) for name in filters.reasons]
        found.append(or_(*(func.coalesce(ledger.c[f"reason_{k}"], null()).in_(positions) for k in (1, 2, 3))))
    for rule in filters.features:
        column = wide.c[column_names(schema)[rule.feature]]
        found += [*_within(column, rule.within), *([_one_of(column, rule.values)] if rule.values else [])]
    if filters.prefix is not None:
        found.append(_prefix(connection, wide, filters.prefix))
    return found


def _within(column: ColumnElement[Any], within: Range) -> list[ColumnElement[bool]]:
    low = [column >= within.low] if within.low is not None else []
    return low + ([column <= within.high] if within.high is not None else [])


def _one_of(column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    known = [value for value in values if value is not None]
    parts = ([column.in_(known)] if known else []) + ([column.is_(None)] if None in values else [])
    return or_(*parts)


def _level(probability: ColumnElement[float], level: str) -> ColumnElement[bool]:
    if level == "High":
        return probability > HIGH
    return and_(probability > MEDIUM, probability <= HIGH) if level == "Medium" else probability <= MEDIUM


def _prefix(connection: Connection, wide: Table, prefix: str) -> ColumnElement[bool]:
    """Ids or e-mails that begin so, whatever the case of A to Z: by the index where few do."""
    above = prefix + chr(0x10FFFF)
    begins = [
        and_(column.collate("NOCASE") >= prefix, column.collate("NOCASE") < above)
        for column in (wide.c.user_id, wide.c.email)
    ]
    keys: set[int] = set()
    for each in begins:
        keys.update(connection.execute(select(wide.c.id).where(each).limit(FEW + 1)).scalars())
    return wide.c.id.in_(sorted(keys)) if len(keys) <= FEW else or_(*begins)


def sort_value(schema: Schema, wide: Table, scores: Table, sort: Sort) -> ColumnElement[Any]:
    """The value of a list's order: the larger `last_activity`, the more recent; revenue is that of the run."""
    if sort.key == "churn_probability":
        return probability_in(scores)
    if sort.key == "revenue_at_risk":
        return revenue_in(scores)
    if sort.key == "last_activity":
        return -wide.c[column_names(schema)[LAST_SEEN]]
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
    """The next customers of a list.

    Parameters
    ----------
    by_table
        Few match: see `walked`.

    Returns
    -------
    rows of every customer column, score columns (None where unscored), `score_run_id`, and `sort_value`.
    """
    wide, run_id = customers_table(schema), present_run(connection)
    scores = walked(filters, by_table=by_table or sort.key != "churn_probability")
    value = sort_value(schema, wide, scores, sort)
    if by_table and sort.key in ("monthly_price", "tenure_months"):
        value = value + 0  # few match: gathered and sorted, not looked for along the whole index
    key = ranks.c.customer_id if scores is ranks else wide.c.id
    keys = select(wide.c.id, value.label("value")).select_from(source(wide, scores, run_id))
    keys = keys.where(*conditions(connection, schema, wide, scores, filters, run_id))
    can_be_missing = not (filters.is_scored and sort.key == "churn_probability") and sort.key != "user_id"
    rows: list[dict[str, Any]] = []
    if after is None or after.value is not None:
        known = _in_order(keys.where(value.is_not(None)) if can_be_missing else keys, value, key, sort, after)
        rows = _filled(connection, wide, run_id, known.limit(limit))
    if len(rows) < limit and can_be_missing:
        unknown = keys.where(value.is_(None)).order_by(wide.c.id)
        if after is not None and after.value is None:
            unknown = unknown.where(wide.c.id > after.id)
        rows += _filled(connection, wide, run_id, unknown.limit(limit - len(rows)))
    return rows


def _in_order(
    query: Select[Any], value: ColumnElement[Any], key: ColumnElement[int], sort: Sort, after: Position | None
) -> Select[Any]:
    """Sorted, and begun after a position; ties by key in the direction that the index of the value has."""
    key_descends = sort.descending != (sort.key == "churn_probability")
    query = query.order_by(value.desc() if sort.descending else value, key.desc() if key_descends else key)
    if after is None:
        return query
    beyond = value < after.value if sort.descending else value > after.value
    tied = key < after.id if key_descends else key > after.id
    # The bound on the value alone is what an index can begin at.
    edge = value <= after.value if sort.descending else value >= after.value
    return query.where(edge, or_(beyond, and_(value == after.value, tied)))


def _filled(connection: Connection, wide: Table, run_id: int, keys: Select[Any]) -> list[dict[str, Any]]:
    """All columns of a page's few customers, in the page's order."""
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
        )
        .select_from(source(wide, ledger, run_id))
        .where(wide.c.id.in_([row.id for row in found]))
    )
    by_id = {row["id"]: row for row in connection.execute(query).mappings()}
    return [{**by_id[row.id], "sort_value": row.value} for row in found]


def count(connection: Connection, schema: Schema, filters: Filters, *, up_to: int = COUNTED) -> tuple[int, bool]:
    """How many match, and whether that is all of them: counting ends at `up_to`."""
    wide, run_id = customers_table(schema), present_run(connection)
    scores = walked(filters, by_table=filters.ask_the_table)
    where = conditions(connection, schema, wide, scores, filters, run_id)
    matching = select(wide.c.id).select_from(source(wide, scores, run_id)).where(*where).limit(up_to + 1)
    found = connection.execute(select(func.count()).select_from(matching.subquery())).scalar_one()
    return min(found, up_to), found <= up_to


def level_totals(connection: Connection, schema: Schema, filters: Filters) -> Mapping[str, tuple[int, float, float]]:
    """By risk level of those scored: customers, leavers expected, revenue at risk (of those whose price is known)."""
    wide, run_id, scores = customers_table(schema), present_run(connection), walked(filters)
    probability = probability_in(scores)
    where = [*conditions(connection, schema, wide, scores, filters, run_id), probability.is_not(None)]
    totals = {}
    for level in LEVELS:
        query = (
            select(
                func.count(),
                func.coalesce(func.sum(probability), 0.0),
                func.coalesce(func.sum(revenue_in(scores)), 0.0),
            )
            .select_from(source(wide, scores, run_id))
            .where(*where, _level(probability, level))
        )
        customers, expected, revenue = connection.execute(query).one()
        totals[level] = (int(customers), float(expected), float(revenue))
    return totals
