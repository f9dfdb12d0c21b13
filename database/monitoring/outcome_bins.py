"""Predictions beside their outcomes: rows of a run to be measured, and the bins that they were counted in.

Law: only the newest outcome of a prediction counts, and a prediction without one is never counted as stayed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Select, and_, delete, exists, func, insert, literal, select, update

from database.customers.customer_base import column_names, snapshots_table
from database.engine.bulk_insert import AnyRow, insert_rows
from database.engine.expressions import days_after
from database.tables import tables
from shared.schema.features import Schema

runs, ledger, o, m = tables.scoring_runs, tables.ledger, tables.outcomes, tables.models
measured, bins = tables.measured_runs, tables.outcome_bins

Stage = Literal["matured", "provisional"]
BIN_COLUMNS = ("run_id", "feature", "value", "bin", "listed", "customers", "leavers", "probability_sum")


@dataclass(frozen=True)
class Run:
    """A finished run, and how it was measured; `stage` is None before.

    Attributes
    ----------
    trained_on
        Date of the newest data that its model was trained on.
    expected
        Sum of its churn probabilities.
    """

    id: int
    kind: str
    as_of: str
    version: str
    trained_on: str
    customers: int
    expected: float
    stage: Stage | None
    is_counted: int
    without_outcome: int | None
    threshold: float | None
    log_evidence: float | None


class Bin(NamedTuple):
    """Predictions of about the same log-odds."""

    bin: int
    listed: int
    customers: int
    leavers: int
    probability_sum: float


def finished_runs(connection: Connection) -> list[Run]:
    """Return the finished runs of models that have a report, oldest date first, those of one date by their ids."""
    b = tables.score_bins
    expected = select(func.coalesce(func.sum(b.c.probability_sum), 0.0)).where(b.c.run_id == runs.c.id)
    query = (
        select(
            runs.c.id, runs.c.kind, runs.c.as_of, m.c.version, m.c.trained_on, runs.c.customers,
            expected.scalar_subquery().label("expected"), measured.c.stage,
            func.coalesce(measured.c.is_counted, 0).label("is_counted"), measured.c.without_outcome,
            measured.c.threshold, measured.c.log_evidence,
        )
        .join_from(runs, m, m.c.id == runs.c.model_id)
        .outerjoin(measured, measured.c.run_id == runs.c.id)
        .where(tables.is_finished, m.c.report_json.is_not(None))
        .order_by(runs.c.as_of, runs.c.id)
    )  # fmt: skip
    return [Run(**row) for row in connection.execute(query).mappings()]


def runs_with_outcomes(connection: Connection) -> set[int]:
    """Return the runs of which at least one prediction has an outcome."""
    query = select(runs.c.id).where(exists().where(o.c.run_id == runs.c.id))
    return set(connection.execute(query).scalars())


def scores(run_id: int) -> Select[Any]:
    """Select (customer_id, churn_probability) of a run, by customer."""
    return (
        select(ledger.c.customer_id, ledger.c.churn_probability)
        .where(ledger.c.run_id == run_id)
        .order_by(ledger.c.customer_id)
    )


def outcomes_of(run_id: int) -> Select[Any]:
    """Select (customer_id, churned) of a run, by customer; a customer's newest outcome comes last."""
    return select(o.c.customer_id, o.c.churned).where(o.c.run_id == run_id).order_by(o.c.customer_id, o.c.id)


def facts_of(schema: Schema, features: Sequence[str], run: Run) -> Select[Any]:
    """Select (customer_id, feature ...) as scored in a run, by customer; a customer's newest facts come last."""
    snap, names = snapshots_table(schema), column_names(schema)
    of = and_(
        snap.c.customer_id == ledger.c.customer_id,
        snap.c.as_of == days_after(literal(run.as_of), -ledger.c.facts_age),
        snap.c.known_at <= run.as_of,
    )
    columns = [snap.c[names[feature]] for feature in features]
    query = select(ledger.c.customer_id, *columns).join_from(ledger, snap, of).where(ledger.c.run_id == run.id)
    return query.order_by(ledger.c.customer_id, snap.c.known_at, snap.c.id)


def forget(connection: Connection, run_id: int) -> None:
    """Make a run one to be measured again."""
    connection.execute(delete(measured).where(measured.c.run_id == run_id))


def store(connection: Connection, run_id: int, values: dict[str, Any], rows: Sequence[Sequence[Any]]) -> None:
    """Replace what is stored of a run: its row in `measured_runs`, and its bins in the order of BIN_COLUMNS[1:]."""
    forget(connection, run_id)
    connection.execute(delete(bins).where(bins.c.run_id == run_id))
    connection.execute(insert(measured).values(run_id=run_id, **values))
    insert_rows(connection, bins, BIN_COLUMNS, [(run_id, *row) for row in rows])


def store_evidence(connection: Connection, evidence: Mapping[int, float]) -> None:
    """Replace the log of the evidence for a shift of the level: of these runs, and of no other."""
    connection.execute(update(measured).values(log_evidence=None).where(measured.c.log_evidence.is_not(None)))
    for run_id, value in evidence.items():
        connection.execute(update(measured).values(log_evidence=value).where(measured.c.run_id == run_id))


def total_bins(connection: Connection, run_ids: Collection[int]) -> dict[int, list[Bin]]:
    """Return the bins of all customers of each of these runs."""
    found: dict[int, list[Bin]] = {run_id: [] for run_id in run_ids}
    query = select(bins.c.run_id, *(bins.c[name] for name in Bin._fields))
    for row in connection.execute(query.where(bins.c.run_id.in_(run_ids), bins.c.feature == "")):
        found[row.run_id].append(Bin(*row[1:]))
    return found


def segment_bins(connection: Connection, run_ids: Collection[int], features: Collection[str]) -> Sequence[AnyRow]:
    """Return the bins of the segments by these features, added up over runs: (feature, value, then a Bin's fields)."""
    sums = [func.sum(bins.c[name]) for name in ("customers", "leavers", "probability_sum")]
    keys = [bins.c[name] for name in ("feature", "value", "bin", "listed")]
    query = select(*keys, *sums).where(bins.c.run_id.in_(run_ids), bins.c.feature.in_(features))
    return connection.execute(query.group_by(*keys).order_by(*keys)).all()
