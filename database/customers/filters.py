"""Filters of customers as SQL, for lists, counts and exports.

`conditions` translates each filter to SQL over the join that `source` returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Table, and_, func, null, or_, select

from database.customers import contacting, worklist
from database.customers.customer_base import column_names
from database.engine.expressions import begins_with
from database.tables import tables
from shared.contracts.api import REASON_NUMBERS
from shared.risk import HIGH_ABOVE, MEDIUM_ABOVE
from shared.schema.features import Schema

ranks, ledger = tables.present_ranks, tables.ledger

#: A prefix that at most this many customers have is looked up in its index; a more frequent one is checked by row.
FEW = 500


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included; None is unbounded."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class FeatureRule:
    """A condition on a feature: one of `values` (None: missing), and within a range."""

    feature: str
    values: tuple[str | float | None, ...] = ()
    within: Range = field(default_factory=Range)


@dataclass(frozen=True)
class Filters:
    """Conditions on customers: all given parts must hold; a part with several values holds if one matches."""

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
    work_statuses: tuple[str | None, ...] = ()
    work_owners: tuple[int | None, ...] = ()
    due_by: str | None = None
    is_contactable: bool | None = None

    @property
    def has_table_conditions(self) -> bool:
        """Return whether any condition is on the customers' own columns rather than their scores."""
        work = (self.work_statuses, self.work_owners, self.due_by)
        given = (self.prefix, self.plans, self.features, self.has_left, self.is_contactable, *work)
        return any(part not in (None, ()) for part in given) or (self.tenure, self.price) != (Range(), Range())

    @property
    def needs_rows(self) -> bool:
        """Return whether any condition is on more than the probability, so that each customer's row is looked at."""
        of_score = bool(self.reasons) or self.is_unsure is not None or self.confidence != Range()
        return of_score or self.has_table_conditions


def source(wide: Table, scores: Table, run_id: int) -> FromClause:
    """Join customers to their displayed ledger rows: ranked customers, or all customers if `scores` is the ledger."""
    ranked = ranks.join(wide, and_(ranks.c.customer_id == wide.c.id, ranks.c.run_id == run_id))
    return tables.with_scores(ranked if scores is ranks else wide, wide.c.id, run_id)


def force_population_index(wide: Table) -> ColumnElement[bool]:
    """An always-true condition that makes SQLite use an index in the ledger's order instead of its smallest one."""
    return wide.c.churn + 0 >= 0


def probability_in(scores: Table) -> ColumnElement[float]:
    """Return the present probability, from the ranking or the ledger; NULL if there is none."""
    # `coalesce` keeps the outer join: SQLite could start an inner join with the whole ledger.
    return scores.c.churn_probability if scores is ranks else func.coalesce(ledger.c.churn_probability, null())


def revenue_in(scores: Table) -> ColumnElement[float]:
    """Return the revenue at risk: probability times the price at the time of scoring."""
    return probability_in(scores) * func.coalesce(ledger.c.monthly_price, null())


def conditions(
    connection: Connection, schema: Schema, wide: Table, scores: Table, filters: Filters
) -> list[ColumnElement[bool]]:
    """Return the filters as SQL over `source`."""
    confidence = func.coalesce(ledger.c.confidence, null())
    found = [
        *score_conditions(probability_in(scores), filters),
        *_within(confidence, filters.confidence),
        # `+ 0` keeps the planner off these indexes, which are for sorting: a range often matches half of all customers.
        *_within(wide.c.tenure_months + 0, filters.tenure),
        *_within(wide.c.monthly_price + 0, filters.price),
    ]
    # Ranked customers have a score, so the ledger need not be asked, which takes one look-up a customer.
    if filters.is_scored is not None and not (filters.is_scored and scores is ranks):
        has_one = func.coalesce(ledger.c.customer_id, -1)
        found.append(has_one != -1 if filters.is_scored else has_one == -1)
    if filters.has_left is not None:
        # `+ 0` keeps the planner off the index of `churn`, whose value nearly all customers share.
        found.append(wide.c.churn + 0 == int(filters.has_left))
    if filters.is_contactable:
        found += contacting.is_allowed(connection, wide.c.id)
    if filters.plans:
        found.append(_one_of(wide.c.plan, filters.plans))
    if filters.is_unsure is not None:
        unsure = confidence < filters.unsure_below
        found.append(unsure if filters.is_unsure else confidence >= filters.unsure_below)
    if filters.reasons:
        positions = [schema.feature_names.index(name) for name in filters.reasons]
        found.append(or_(*(func.coalesce(ledger.c[f"reason_{k}"], null()).in_(positions) for k in REASON_NUMBERS)))
    for rule in filters.features:
        column = wide.c[column_names(schema)[rule.feature]]
        found += [*_within(column, rule.within), *([_one_of(column, rule.values)] if rule.values else [])]
    found += worklist.meets(wide.c.id, filters.work_statuses, filters.work_owners, filters.due_by)
    if filters.prefix is not None:
        found.append(_prefix(connection, wide, filters.prefix))
    return found


def score_conditions(probability: ColumnElement[float], filters: Filters) -> list[ColumnElement[bool]]:
    """Return the conditions on a probability."""
    levels = [or_(*(at_level(probability, level) for level in filters.levels))] if filters.levels else []
    return [*_within(probability, filters.probability), *levels]


def _within(column: ColumnElement[Any], within: Range) -> list[ColumnElement[bool]]:
    low = [column >= within.low] if within.low is not None else []
    return low + ([column <= within.high] if within.high is not None else [])


def _one_of(column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    known = [value for value in values if value is not None]
    parts = ([column.in_(known)] if known else []) + ([column.is_(None)] if None in values else [])
    return or_(*parts)


def at_level(probability: ColumnElement[float], level: str) -> ColumnElement[bool]:
    """A condition: a probability has a risk level."""
    if level == "High":
        return probability > HIGH_ABOVE
    return (
        and_(probability > MEDIUM_ABOVE, probability <= HIGH_ABOVE)
        if level == "Medium"
        else probability <= MEDIUM_ABOVE
    )


def _prefix(connection: Connection, wide: Table, prefix: str) -> ColumnElement[bool]:
    """A condition: user_id or e-mail begins with a prefix, ignoring case; looked up first if few match."""
    begins = [begins_with(column, prefix) for column in (wide.c.user_id, wide.c.email)]
    keys: set[int] = set()
    for each in begins:
        keys.update(connection.execute(select(wide.c.id).where(each).limit(FEW + 1)).scalars())
    return wide.c.id.in_(sorted(keys)) if len(keys) <= FEW else or_(*begins)
