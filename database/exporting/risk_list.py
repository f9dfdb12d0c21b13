"""The risk list as an export: the list of customers as it is shown, with reasons as sentences.

Law: as for all exports (`database.exporting.exports`), rows come from one open cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, select

from database.customers.customer_base import column_names, customers_table
from database.customers.customers import present_run
from database.customers.filters import Filters, conditions, ranks, revenue_in, source
from database.customers.listing import Sort, sort_value
from database.exporting.selection import Column, ExportColumn, Selection, contact_column, read_rows, score_columns
from database.tables import tables
from shared.contracts.api import REASON_NUMBERS
from shared.schema.features import Schema

ledger = tables.ledger


def select_risk_list(
    connection: Connection,
    schema: Schema,
    filters: Filters,
    sentence: Callable[[str, Any, float], str],
    *,
    sort: Sort,
    top: int | None = None,
) -> Selection:
    """Select the call list: customers at risk, in an order.

    Parameters
    ----------
    sentence
        Tells a reason, given a feature, the customer's value and the points.
    sort
        The order; customers without the value come last.
    top
        Only so many customers, the first ones.
    """
    wide, run_id = customers_table(schema), present_run(connection)
    scores = ranks if filters.is_scored and sort == Sort() else ledger
    made = [
        ExportColumn(Column("user_id", "text"), wide.c.user_id),
        ExportColumn(Column("email", "text"), wide.c.email),
        ExportColumn(Column("plan", "text"), wide.c.plan),
        ExportColumn(Column("tenure_months", "whole"), wide.c.tenure_months),
        ExportColumn(Column("last_activity", "text"), wide.c.last_activity),
        ExportColumn(Column("monthly_price", "number"), wide.c.monthly_price),
        ExportColumn(Column("revenue_at_risk", "number"), revenue_in(scores)),
        *score_columns(connection, schema, scores),
        ExportColumn(Column("as_of", "date"), wide.c.as_of),
        contact_column(connection, wide.c.id),
    ]
    facts = [ExportColumn(Column(name, "text"), wide.c[column]) for name, column in column_names(schema).items()]
    query = select(*(each.value.label(f"v{k}") for k, each in enumerate([*made, *facts])))
    query = query.select_from(source(wide, scores, run_id))
    query = query.where(*conditions(connection, schema, wide, scores, filters))
    tied = ranks.c.customer_id if scores is ranks else wide.c.id
    value = sort_value(schema, wide, scores, sort)
    unknown = [] if scores is ranks else [value.is_(None)]
    query = query.order_by(*unknown, value.desc() if sort.descending else value, tied).limit(top)
    columns = (*(each.column for each in made), *(Column(f"reason_{k}_text", "text") for k in REASON_NUMBERS))
    rows = read_rows(connection, [*made, *facts], query)
    return Selection(columns, _with_sentences([each.name for each in columns], len(made), facts, rows, sentence))


def _with_sentences(
    names: Sequence[str],
    shown: int,
    facts: Sequence[ExportColumn],
    rows: Iterator[Sequence[Any]],
    sentence: Callable[[str, Any, float], str],
) -> Iterator[Sequence[Any]]:
    """Yield the first `shown` cells of each row, and a sentence for each reason from the facts behind them."""
    places = [(names.index(f"reason_{k}"), names.index(f"points_{k}")) for k in REASON_NUMBERS]
    fact_at = {each.column.name: shown + k for k, each in enumerate(facts)}
    for row in rows:
        told = [
            None if row[reason] is None else sentence(row[reason], row[fact_at[row[reason]]], row[points])
            for reason, points in places
        ]
        yield [*row[:shown], *told]
