"""The export of the ledger: every prediction of a finished run, with its outcome once that is known.

Law: rows are in the order in which they were written.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from database.customers import contacting
from database.engine.bulk_insert import AnyRow
from database.exporting.selection import (
    Column,
    ExportColumn,
    Selection,
    contact_column,
    finished_runs,
    score_columns,
    selection,
)
from database.models.models import horizons
from database.tables import tables
from shared.schema.features import Schema

c, ledger, runs, o = tables.customers, tables.ledger, tables.scoring_runs, tables.outcomes


@dataclass(frozen=True)
class LedgerFilters:
    """Filters on predictions. Dates are those of the facts (`as_of`), both ends included.

    `is_contactable` leaves out customers who may not be contacted.
    """

    since: str | None = None
    until: str | None = None
    run_id: int | None = None
    model_version: str | None = None
    user_id: str | None = None
    low: float | None = None
    high: float | None = None
    is_contactable: bool = False


def predictions(connection: Connection, schema: Schema, filters: LedgerFilters) -> Selection:
    """Select the ledger rows of finished runs in the order they were written, with known outcomes."""
    finished = {key: run for key, run in finished_runs(connection).items() if _is_wanted(run, filters)}
    days = horizons(connection, {run.version for run in finished.values()})
    own = and_(o.c.run_id == ledger.c.run_id, o.c.customer_id == ledger.c.customer_id)
    known = select(o.c.churned).where(own).order_by(o.c.id.desc()).limit(1)
    since = select(o.c.known_at).where(own).order_by(o.c.id.desc()).limit(1)
    made = [
        ExportColumn(Column("id", "whole"), tables.prediction_id),
        ExportColumn(Column("customer_id", "text"), c.c.user_id),
        ExportColumn(Column("as_of", "date"), ledger.c.run_id, lambda key: finished[key].as_of),
        ExportColumn(
            Column("horizon_days", "whole"),
            ledger.c.run_id,
            lambda key: days.get(finished[key].version, finished[key].horizon_days),
        ),
        ExportColumn(Column("run_id", "whole"), ledger.c.run_id),
        ExportColumn(Column("run_kind", "text"), ledger.c.run_id, lambda key: finished[key].kind),
        ExportColumn(Column("model_version", "text"), ledger.c.run_id, lambda key: finished[key].version),
        ExportColumn(Column("churn_probability", "number"), ledger.c.churn_probability),
        ExportColumn(Column("confidence", "number"), ledger.c.confidence),
        ExportColumn(Column("out_of_fold", "whole"), ledger.c.out_of_fold),
        *[each for each in score_columns(connection, schema, ledger) if each.column.name[:6] in ("reason", "points")],
        ExportColumn(Column("prediction_date", "text"), ledger.c.run_id, lambda key: finished[key].started_at),
        ExportColumn(Column("churned", "whole"), known.scalar_subquery()),
        ExportColumn(Column("outcome_known_at", "text"), since.scalar_subquery()),
        contact_column(connection, c.c.id),
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
    if filters.is_contactable:
        query = query.where(*contacting.is_allowed(connection, c.c.id))
    return selection(connection, made, query.order_by(ledger.c.run_id, ledger.c.customer_id))


def _is_wanted(run: AnyRow, filters: LedgerFilters) -> bool:
    return (
        (filters.since is None or run.as_of >= filters.since)
        and (filters.until is None or run.as_of <= filters.until)
        and filters.run_id in (None, run.id)
        and filters.model_version in (None, run.version)
    )
