"""The export of the customers whose scores moved between two runs.

Law: in the order of the list over REST, so that a file and its pages are the same.
"""

from __future__ import annotations

from sqlalchemy import Connection, literal

from database.customers import contacting
from database.exporting.selection import Column, ExportColumn, Selection, contact_column, selection
from database.scoring.movers import Question, moved
from shared.schema.features import Schema


def movers_list(connection: Connection, schema: Schema, asked: Question, *, is_contactable: bool) -> Selection:
    """Select the customers who moved, with both probabilities and the dates and models of the two runs.

    Parameters
    ----------
    is_contactable
        Without those who may not be contacted; otherwise they are marked.
    """
    found = moved(schema, asked)
    c = found.customers.c
    made = [
        ExportColumn(Column("customer", "text"), c.user_id),
        ExportColumn(Column("email", "text"), c.email),
        ExportColumn(Column("plan", "text"), c.plan),
        ExportColumn(Column("monthly_price", "number"), c.monthly_price),
        ExportColumn(Column("probability_before", "number"), found.before),
        ExportColumn(Column("churn_probability", "number"), found.now),
        ExportColumn(Column("change", "number"), found.now - found.before),
        ExportColumn(Column("cause", "text"), found.cause),
        ExportColumn(Column("compared_with", "date"), literal(asked.then.as_of)),
        ExportColumn(Column("compared_model", "text"), literal(asked.then.version)),
        ExportColumn(Column("as_of", "date"), literal(asked.now.as_of)),
        ExportColumn(Column("model_version", "text"), literal(asked.now.version)),
        contact_column(connection, c.id),
    ]
    query = found.select(*(each.value.label(f"v{k}") for k, each in enumerate(made)))
    if is_contactable:
        query = query.where(*contacting.is_allowed(connection, c.id))
    return selection(connection, made, query)
