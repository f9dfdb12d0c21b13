"""Queries of exports: customers, the risk list, segments, the ledger of predictions; row by row.

Law: rows come from one open cursor in chunks, in the caller's read transaction: memory does not grow with their
number, and all rows are of one snapshot. Columns of the schema have the schema's names, so that an export can be
imported again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, case, func, select

from database.customers import contacting
from database.customers.customer_base import column_names, customers_table
from database.customers.customers import present_run
from database.customers.facts import published
from database.customers.filters import Filters, conditions, source
from database.customers.listing import level_totals
from database.engine import kept_figures
from database.exporting.selection import Column, ExportColumn, Kind, Selection, contact_column, score_columns, selection
from database.tables import tables
from shared.schema.features import Schema

c, ledger, runs = tables.customers, tables.ledger, tables.scoring_runs
s, snap, o = tables.subscriptions, tables.customer_snapshots, tables.outcomes
history = tables.worklist_history
OWN = "retainstream_"


def state(connection: Connection) -> tuple[Any, ...]:
    """Return a value that changes whenever the content of an export can have changed."""
    published = connection.execute(select(tables.published_run.c.run_id, tables.published_run.c.published_at)).first()
    customers = connection.execute(select(func.count(), func.max(c.c.updated_at)).select_from(c)).one()
    newest = [connection.execute(select(func.max(t.c.id))).scalar_one() for t in (tables.imports, o, history)]
    scored = connection.execute(select(func.count(runs.c.finished_at), func.max(runs.c.finished_at))).one()
    ends = connection.execute(select(func.count(), func.max(s.c.known_at)).select_from(s)).one()
    # All parts of an import write the same time, and scores are hidden and deleted without one.
    changed = kept_figures.version(connection)
    i = tables.imports
    counting = connection.execute(select(func.count()).where(i.c.state == "published")).scalar_one()
    return (*(published or ()), *customers, *newest, *scored, *ends, changed, counting, *_contacting(connection))


def _contacting(connection: Connection) -> tuple[Any, ...]:
    """Return a value that changes whenever it can have changed who may be contacted."""
    drawn = connection.execute(select(func.count(), func.max(tables.known_ends.c.day)).select_from(tables.known_ends))
    listed = connection.execute(
        select(func.count(), func.sum(tables.do_not_contact.c.customer_id), func.max(tables.do_not_contact.c.since))
    )
    held = contacting.holdout(connection)
    share = (held.seed, held.share) if held else ()
    return (*drawn.one(), *listed.one(), *share, *contacting.running(connection))


def customers(connection: Connection, schema: Schema, filters: Filters, negative: str) -> Selection:
    """Select all columns of the customers, with the schema's names, and their present scores.

    Parameters
    ----------
    negative
        The value of the label column for customers who stayed.
    """
    wide, run_id = customers_table(schema), present_run(connection)
    made = [*_table_columns(schema, wide, negative if _outcomes_are_known(connection) else None)]
    taken = {each.column.name for each in made}
    additional = [
        *_identity(schema, wide),
        *score_columns(connection, schema, ledger),
        contact_column(connection, wide.c.id),
    ]
    made += [each if each.column.name not in taken else _renamed(each) for each in additional]
    query = select(*(each.value.label(f"v{k}") for k, each in enumerate(made)))
    query = query.select_from(source(wide, ledger, run_id))
    query = query.where(*conditions(connection, schema, wide, ledger, filters)).order_by(wide.c.id)
    return selection(connection, made, query)


def _renamed(made: ExportColumn) -> ExportColumn:
    return ExportColumn(Column(OWN + made.column.name, made.column.kind), made.value, made.read)


def _outcomes_are_known(connection: Connection) -> bool:
    """Return whether any customer is known to have left or stayed."""
    labelled = select(snap.c.id).where(snap.c.label.is_not(None)).limit(1)
    left = select(c.c.id).where(c.c.churn == 1).limit(1)
    return any(connection.execute(query).first() is not None for query in (left, labelled))


def _table_columns(schema: Schema, wide: Table, negative: str | None) -> Iterator[ExportColumn]:
    """Yield the schema's columns, each once, in the order of a table written by hand."""
    roles: dict[str, ExportColumn] = {}
    if schema.id is not None:
        roles[schema.id] = ExportColumn(Column(schema.id, "text"), wide.c.user_id)
    if schema.email is not None:
        roles[schema.email] = ExportColumn(Column(schema.email, "text"), wide.c.email)
    if schema.as_of is not None:
        roles[schema.as_of] = ExportColumn(Column(schema.as_of, "date"), wide.c.as_of)
    for feature, name in column_names(schema).items():
        about = schema.features[feature]
        kind: Kind = "text" if about.kind == "category" else "whole" if about.whole else "number"
        roles[feature] = ExportColumn(Column(feature, kind), wide.c[name])
    for role, name in schema.subscription.columns().items():
        if name not in roles:
            roles[name] = ExportColumn(Column(name, _ROLE_KINDS.get(role, "text")), _role(wide, role))
    if schema.label is not None:
        # A label column is either all blank or all filled: an import refuses a mixture.
        spelt = case((func.coalesce(_label(wide), wide.c.churn) == 1, schema.positive[0]), else_=negative)
        roles.setdefault(schema.label, ExportColumn(Column(schema.label, "text"), spelt))
    yield from roles.values()


_ROLE_KINDS: Mapping[str, Kind] = {"start": "date", "end": "date", "contract_end": "date", "price": "number"}
_PRESENT = {
    "price": "monthly_price",
    "plan": "plan",
    "currency": "currency",
    "contract_end": "contract_runs_until",
}


def _role(wide: Table, role: str) -> ColumnElement[Any]:
    """Return the value of a subscription role: the newest lifetime's, or the present price, plan, currency or term."""
    if role in _PRESENT:
        return wide.c[_PRESENT[role]]
    column = {"start": s.c.started_at, "end": s.c.ended_at, "end_reason": s.c.end_reason}[role]
    newest = select(column).where(s.c.customer_id == wide.c.id).order_by(s.c.started_at.desc()).limit(1)
    return newest.scalar_subquery()


def _label(wide: Table) -> ColumnElement[Any]:
    """Return the label of the newest facts; NULL if it is unknown."""
    newest = select(snap.c.label).where(snap.c.as_of == wide.c.as_of, snap.c.customer_id == wide.c.id, published(snap))
    return newest.order_by(snap.c.known_at.desc(), snap.c.id.desc()).limit(1).scalar_subquery()


def _identity(schema: Schema, wide: Table) -> Iterator[ExportColumn]:
    """Yield columns for the customer and the date, if the schema has none."""
    if schema.id is None:
        yield ExportColumn(Column("user_id", "text"), wide.c.user_id)
    if schema.as_of is None:
        yield ExportColumn(Column("as_of", "date"), wide.c.as_of)


def segments(connection: Connection, schema: Schema, filters: Filters) -> Selection:
    """Select customers, expected leavers and revenue at risk by risk level; an unknown price counts as 0."""
    totals = level_totals(connection, schema, filters)
    scored = sum(customers for customers, _, _ in totals.values())
    rows = [
        (f"{level} Risk", n, n / scored if scored else None, gone, lost) for level, (n, gone, lost) in totals.items()
    ]
    kinds: Mapping[str, Kind] = {
        "segment": "text",
        "customers": "whole",
        "share": "number",
        "expected_to_leave": "number",
        "revenue_at_risk": "number",
    }
    return Selection(tuple(Column(name, kind) for name, kind in kinds.items()), iter(rows))
