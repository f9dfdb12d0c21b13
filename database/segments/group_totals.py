"""Customers by group with what their scores and prices add up to, over those that filters leave.

Law: only present customers are grouped; those who have left are in no group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, case, null

from database.customers.customer_base import column_names, customers_table
from database.customers.customers import present_run
from database.customers.filters import Filters, at_level, conditions, force_population_index, probability_in, source
from database.engine import kept_figures
from database.scoring import value
from database.scoring.value import GroupTotals, Sums
from database.segments import horizons
from database.segments.group_churn import is_in_months, tenure_band
from database.tables import tables
from shared.risk import LEVELS
from shared.schema.features import Schema

ledger = tables.ledger
PLAN, RISK = "plan", "risk"
#: A grouping of more values is not kept.
MOST_GROUPS = 1_000
BY_PLAN = "scored customers by plan"


def names(schema: Schema) -> list[str]:
    """Return what customers can be grouped by: categories, tenure, the plan, the level of risk."""
    categories = [name for name, each in schema.features.items() if each.kind == "category"]
    tenure = schema.tenure_feature
    banded = [tenure] if tenure is not None and is_in_months(schema, tenure) else []
    return list(dict.fromkeys([PLAN, RISK, *banded, *categories]))


def by(
    connection: Connection, schema: Schema, name: str, filters: Filters, weights: Sequence[float]
) -> list[GroupTotals]:
    """Sum customers by one of `names`, the largest group first.

    Parameters
    ----------
    weights
        Weights of the shares who stay, month by month (`shared.lifetime.payment_weights`).
    """
    if filters != Filters(unsure_below=filters.unsure_below):
        return value.totals(_sums(connection, schema, name, filters), weights)
    sums = kept_figures.get_or_measure(connection, _name(name), lambda: _sums(connection, schema, name, Filters()))
    return value.totals(sums, weights)


def by_plan(connection: Connection, run_id: int, weights: Sequence[float]) -> list[GroupTotals]:
    """Sum the customers with a displayed score by plan; `weights` as for `by`."""
    sums = kept_figures.get_or_measure(
        connection, BY_PLAN, lambda: value.sum_by_plan(connection, run_id, horizons.survival(connection))
    )
    return value.totals(sums, weights)


def to_keep(connection: Connection, schema: Schema) -> Iterator[tuple[str, Any]]:
    """Yield the sums of everybody by each grouping, with the name under which they are kept."""
    for name in names(schema):
        found = _sums(connection, schema, name, Filters())
        if len(found) <= MOST_GROUPS:
            yield _name(name), found
    yield BY_PLAN, value.sum_by_plan(connection, present_run(connection), horizons.survival(connection))


def _name(grouping: str) -> str:
    return f"present customers by {grouping}"


def _sums(connection: Connection, schema: Schema, name: str, filters: Filters) -> list[Sums]:
    wide = customers_table(schema)
    where = [*conditions(connection, schema, wide, ledger, filters), wide.c.churn == 0, force_population_index(wide)]
    rows = source(wide, ledger, present_run(connection))
    curve = horizons.survival(connection)
    return value.sum_by_group(connection, _value(schema, wide, name), rows, where, curve, wide)


def _value(schema: Schema, wide: Table, name: str) -> ColumnElement[Any]:
    if name == RISK:
        probability = probability_in(ledger)
        return case((probability.is_(None), null()), *((at_level(probability, level), level) for level in LEVELS))
    if name not in schema.features:
        return wide.c.plan
    column = wide.c[column_names(schema)[name]]
    return column if schema.features[name].kind == "category" else tenure_band(column)
