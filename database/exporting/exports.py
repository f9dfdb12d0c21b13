"""Queries of exports: customers, the risk list, segments, the ledger of predictions; row by row.

Law: rows come from one open cursor in chunks, in the caller's read transaction: memory does not grow with their
number, and all rows are of one snapshot. Columns of the schema have the schema's names, so that an export can be
imported again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, case, func, select

from database.customers.customer_base import column_names, customers_table
from database.customers.customers import present_run
from database.customers.facts import published
from database.customers.filters import Filters, at_level, conditions, probability_in, ranks, revenue_in, source
from database.customers.listing import level_totals
from database.engine.bulk_insert import AnyRow
from database.models.models import horizons
from database.tables import tables
from shared.contracts.api import REASON_NUMBERS
from shared.risk import LEVELS
from shared.schema.features import Schema

c, ledger, runs = tables.customers, tables.ledger, tables.scoring_runs
s, snap, o = tables.subscriptions, tables.customer_snapshots, tables.outcomes
CHUNK = 2_000
OWN = "retainstream_"
Kind = Literal["text", "whole", "number", "date"]


@dataclass(frozen=True)
class Column:
    """One column of an export."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Selection:
    """The columns of an export, and its rows, which are read during iteration."""

    columns: tuple[Column, ...]
    rows: Iterator[Sequence[Any]]


@dataclass(frozen=True)
class LedgerFilters:
    """Filters on predictions. Dates are those of the facts (`as_of`), both ends included."""

    since: str | None = None
    until: str | None = None
    run_id: int | None = None
    model_version: str | None = None
    user_id: str | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class _ExportColumn:
    """A column, the SQL of its value, and the conversion of the value that is read, if it needs one."""

    column: Column
    value: ColumnElement[Any]
    read: Callable[[Any], Any] | None = None


def state(connection: Connection) -> tuple[Any, ...]:
    """Return a value that changes whenever the content of an export can have changed."""
    published = connection.execute(select(tables.published_run.c.run_id, tables.published_run.c.published_at)).first()
    customers = connection.execute(select(func.count(), func.max(c.c.updated_at)).select_from(c)).one()
    newest = [connection.execute(select(func.max(t.c.id))).scalar_one() for t in (tables.imports, o)]
    scored = connection.execute(select(func.count(runs.c.finished_at), func.max(runs.c.finished_at))).one()
    ends = connection.execute(select(func.count(), func.max(s.c.known_at)).select_from(s)).one()
    return (*(published or ()), *customers, *newest, *scored, *ends)


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
    additional = [*_identity(schema, wide), *_score_columns(connection, schema, ledger)]
    made += [each if each.column.name not in taken else _renamed(each) for each in additional]
    query = select(*(each.value.label(f"v{k}") for k, each in enumerate(made)))
    query = query.select_from(source(wide, ledger, run_id))
    query = query.where(*conditions(connection, schema, wide, ledger, filters)).order_by(wide.c.id)
    return _selection(connection, made, query)


def _renamed(made: _ExportColumn) -> _ExportColumn:
    return _ExportColumn(Column(OWN + made.column.name, made.column.kind), made.value, made.read)


def _outcomes_are_known(connection: Connection) -> bool:
    """Return whether any customer is known to have left or stayed."""
    labelled = select(snap.c.id).where(snap.c.label.is_not(None)).limit(1)
    left = select(c.c.id).where(c.c.churn == 1).limit(1)
    return any(connection.execute(query).first() is not None for query in (left, labelled))


def _table_columns(schema: Schema, wide: Table, negative: str | None) -> Iterator[_ExportColumn]:
    """Yield the schema's columns, each once, in the order of a table written by hand."""
    roles: dict[str, _ExportColumn] = {}
    if schema.id is not None:
        roles[schema.id] = _ExportColumn(Column(schema.id, "text"), wide.c.user_id)
    if schema.email is not None:
        roles[schema.email] = _ExportColumn(Column(schema.email, "text"), wide.c.email)
    if schema.as_of is not None:
        roles[schema.as_of] = _ExportColumn(Column(schema.as_of, "date"), wide.c.as_of)
    for feature, name in column_names(schema).items():
        about = schema.features[feature]
        kind: Kind = "text" if about.kind == "category" else "whole" if about.whole else "number"
        roles[feature] = _ExportColumn(Column(feature, kind), wide.c[name])
    for role, name in schema.subscription.columns().items():
        roles.setdefault(name, _ExportColumn(Column(name, _ROLE_KINDS.get(role, "text")), _role(wide, role)))
    if schema.label is not None:
        # A label column is either all blank or all filled: an import refuses a mixture.
        spelt = case((func.coalesce(_label(wide), wide.c.churn) == 1, schema.positive[0]), else_=negative)
        roles.setdefault(schema.label, _ExportColumn(Column(schema.label, "text"), spelt))
    yield from roles.values()


_ROLE_KINDS: Mapping[str, Kind] = {"start": "date", "end": "date", "price": "number"}


def _role(wide: Table, role: str) -> ColumnElement[Any]:
    """Return the value of a subscription role: the newest lifetime's, or the present price, plan or currency."""
    if role in ("price", "plan", "currency"):
        return wide.c[{"price": "monthly_price"}.get(role, role)]
    column = {"start": s.c.started_at, "end": s.c.ended_at, "end_reason": s.c.end_reason}[role]
    newest = select(column).where(s.c.customer_id == wide.c.id).order_by(s.c.started_at.desc()).limit(1)
    return newest.scalar_subquery()


def _label(wide: Table) -> ColumnElement[Any]:
    """Return the label of the newest facts; NULL if it is unknown."""
    newest = select(snap.c.label).where(snap.c.as_of == wide.c.as_of, snap.c.customer_id == wide.c.id, published(snap))
    return newest.order_by(snap.c.known_at.desc(), snap.c.id.desc()).limit(1).scalar_subquery()


def _identity(schema: Schema, wide: Table) -> Iterator[_ExportColumn]:
    """Yield columns for the customer and the date, if the schema has none."""
    if schema.id is None:
        yield _ExportColumn(Column("user_id", "text"), wide.c.user_id)
    if schema.as_of is None:
        yield _ExportColumn(Column("as_of", "date"), wide.c.as_of)


def _score_columns(connection: Connection, schema: Schema, scores: Table) -> Iterator[_ExportColumn]:
    """Yield the columns of the present score: probability, level, confidence, model and reasons."""
    probability = probability_in(scores)
    level = case(*((at_level(probability, each), each) for each in LEVELS))
    finished = _finished(connection)
    versions = {run_id: run.version for run_id, run in finished.items()}
    moments = {run_id: run.started_at for run_id, run in finished.items()}
    yield _ExportColumn(Column("churn_probability", "number"), probability)
    yield _ExportColumn(Column("risk_level", "text"), level)
    yield _ExportColumn(Column("confidence", "number"), ledger.c.confidence)
    yield _ExportColumn(Column("model_version", "text"), ledger.c.run_id, versions.get)
    yield _ExportColumn(Column("prediction_date", "text"), ledger.c.run_id, moments.get)
    for k in REASON_NUMBERS:
        yield _ExportColumn(Column(f"reason_{k}", "text"), ledger.c[f"reason_{k}"], _feature_name(schema))
        yield _ExportColumn(Column(f"points_{k}", "number"), ledger.c[f"points_{k}"])


def _feature_name(schema: Schema) -> Callable[[Any], str | None]:
    names = schema.feature_names
    return lambda position: names[position] if position is not None and 0 <= position < len(names) else None


def risk(connection: Connection, schema: Schema, filters: Filters) -> Selection:
    """Select the call list: customers at risk, highest probability first."""
    wide, run_id = customers_table(schema), present_run(connection)
    scores = ranks if filters.is_scored else ledger
    made = [
        _ExportColumn(Column("user_id", "text"), wide.c.user_id),
        _ExportColumn(Column("email", "text"), wide.c.email),
        _ExportColumn(Column("plan", "text"), wide.c.plan),
        _ExportColumn(Column("tenure_months", "whole"), wide.c.tenure_months),
        _ExportColumn(Column("last_activity", "text"), wide.c.last_activity),
        _ExportColumn(Column("monthly_price", "number"), wide.c.monthly_price),
        _ExportColumn(Column("revenue_at_risk", "number"), revenue_in(scores)),
        *_score_columns(connection, schema, scores),
        _ExportColumn(Column("as_of", "date"), wide.c.as_of),
    ]
    query = select(*(each.value.label(f"v{k}") for k, each in enumerate(made)))
    query = query.select_from(source(wide, scores, run_id))
    query = query.where(*conditions(connection, schema, wide, scores, filters))
    tied = ranks.c.customer_id if scores is ranks else wide.c.id
    return _selection(connection, made, query.order_by(probability_in(scores).desc(), tied))


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


def predictions(connection: Connection, schema: Schema, filters: LedgerFilters) -> Selection:
    """Select the ledger rows of finished runs in the order they were written, with known outcomes."""
    finished = {key: run for key, run in _finished(connection).items() if _is_wanted(run, filters)}
    days = horizons(connection, {run.version for run in finished.values()})
    own = and_(o.c.run_id == ledger.c.run_id, o.c.customer_id == ledger.c.customer_id)
    known = select(o.c.churned).where(own).order_by(o.c.id.desc()).limit(1)
    since = select(o.c.known_at).where(own).order_by(o.c.id.desc()).limit(1)
    made = [
        _ExportColumn(Column("id", "whole"), tables.prediction_id),
        _ExportColumn(Column("customer_id", "text"), c.c.user_id),
        _ExportColumn(Column("as_of", "date"), ledger.c.run_id, lambda key: finished[key].as_of),
        _ExportColumn(
            Column("horizon_days", "whole"),
            ledger.c.run_id,
            lambda key: days.get(finished[key].version, finished[key].horizon_days),
        ),
        _ExportColumn(Column("run_id", "whole"), ledger.c.run_id),
        _ExportColumn(Column("run_kind", "text"), ledger.c.run_id, lambda key: finished[key].kind),
        _ExportColumn(Column("model_version", "text"), ledger.c.run_id, lambda key: finished[key].version),
        _ExportColumn(Column("churn_probability", "number"), ledger.c.churn_probability),
        _ExportColumn(Column("confidence", "number"), ledger.c.confidence),
        _ExportColumn(Column("out_of_fold", "whole"), ledger.c.out_of_fold),
        *[each for each in _score_columns(connection, schema, ledger) if each.column.name[:6] in ("reason", "points")],
        _ExportColumn(Column("prediction_date", "text"), ledger.c.run_id, lambda key: finished[key].started_at),
        _ExportColumn(Column("churned", "whole"), known.scalar_subquery()),
        _ExportColumn(Column("outcome_known_at", "text"), since.scalar_subquery()),
    ]
    query = select(*(each.value.label(f"v{k}") for k, each in enumerate(made)))
    query = query.join_from(ledger, c, c.c.id == ledger.c.customer_id).join(runs, runs.c.id == ledger.c.run_id)
    query = query.where(ledger.c.run_id.in_(list(finished)))
    if filters.user_id is not None:
        query = query.where(c.c.user_id == filters.user_id)
    if filters.low is not None:
        query = query.where(ledger.c.churn_probability >= filters.low)
    if filters.high is not None:
        query = query.where(ledger.c.churn_probability <= filters.high)
    return _selection(connection, made, query.order_by(ledger.c.run_id, ledger.c.customer_id))


def _is_wanted(run: AnyRow, filters: LedgerFilters) -> bool:
    return (
        (filters.since is None or run.as_of >= filters.since)
        and (filters.until is None or run.as_of <= filters.until)
        and filters.run_id in (None, run.id)
        and filters.model_version in (None, run.version)
    )


def _finished(connection: Connection) -> dict[int, AnyRow]:
    """Return finished runs by id, with the version of their model."""
    query = (
        select(runs, tables.models.c.version)
        .join(tables.models, tables.models.c.id == runs.c.model_id)
        .where(tables.is_finished)
    )
    return {row.id: row for row in connection.execute(query)}


def _selection(connection: Connection, made: Sequence[_ExportColumn], query: Select[Any]) -> Selection:
    return Selection(tuple(each.column for each in made), _rows(connection, made, query))


def _rows(connection: Connection, made: Sequence[_ExportColumn], query: Select[Any]) -> Iterator[Sequence[Any]]:
    """Yield rows of one open cursor, fetched `CHUNK` at a time."""
    readers = [(k, each.read) for k, each in enumerate(made) if each.read is not None]
    found = connection.execution_options(stream_results=True).execute(query)
    try:
        for chunk in found.partitions(CHUNK):
            for row in chunk:
                cells = list(row)
                for k, read in readers:
                    cells[k] = read(cells[k])
                yield cells
    finally:
        found.close()
