"""Two scores of a customer, and the facts that each was made from.

Law: a score's facts are those that were known when its run was made; what was corrected later is read apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from database.customers import facts
from database.customers.customer_base import column_names, snapshots_table
from database.engine.expressions import days_after
from database.tables import tables
from shared.schema.features import Schema

ledger, runs, models = tables.ledger, tables.scoring_runs, tables.models


@dataclass(frozen=True)
class Score:
    """A score of a customer in the ledger.

    Attributes
    ----------
    as_of, facts_as_of : str
        Dates of the run, and of the customer's facts.
    known_by : str
        The day by which facts had to be known to count in the run.
    schema_checksum : str
        Checksum of the model's schema.
    """

    customer_id: int
    run_id: int
    as_of: str
    facts_as_of: str
    known_by: str
    version: str
    schema_checksum: str
    probability: float


def newest(connection: Connection, customer_id: int, *, until: str | None = None) -> Score | None:
    """Return a customer's newest score of a finished run, dated `until` or before."""
    found = _scores(connection, [customer_id], [] if until is None else [runs.c.as_of <= until])
    return found[0] if found else None


def of_run(connection: Connection, run_id: int, customer_ids: Sequence[int]) -> dict[int, Score]:
    """Return the scores of customers in a run."""
    return {each.customer_id: each for each in _scores(connection, customer_ids, [runs.c.id == run_id])}


def _scores(connection: Connection, customer_ids: Sequence[int], where: Sequence[ColumnElement[bool]]) -> list[Score]:
    query = (
        select(ledger.c.customer_id, ledger.c.run_id, runs.c.as_of, ledger.c.churn_probability, runs.c.kind)
        .add_columns(
            days_after(runs.c.as_of, -ledger.c.facts_age).label("facts_as_of"),
            runs.c.started_at,
            models.c.version,
            models.c.schema_checksum,
        )
        .join_from(ledger, runs, runs.c.id == ledger.c.run_id)
        .join(models, models.c.id == runs.c.model_id)
        .where(ledger.c.customer_id.in_(customer_ids), tables.is_finished, *where)
        .order_by(runs.c.as_of.desc(), runs.c.id.desc())
        .limit(max(1, len(customer_ids)))
    )
    return [
        Score(
            customer_id=row.customer_id,
            run_id=row.run_id,
            as_of=row.as_of,
            facts_as_of=row.facts_as_of,
            # A past run scores what was known on its date; any other, what was known when it began.
            known_by=row.as_of if row.kind == "past" else max(row.as_of, row.started_at[:10]),
            version=row.version,
            schema_checksum=row.schema_checksum,
            probability=row.churn_probability,
        )
        for row in connection.execute(query)
    ]


def facts_of(
    connection: Connection, schema: Schema, customer_ids: Sequence[int], day: str, *, known_by: str | None
) -> Mapping[int, dict[str, Any]]:
    """Return customers' facts of a day by feature, as known by the end of another day (None: as known now)."""
    snap, names = snapshots_table(schema), column_names(schema)
    query = (
        select(snap.c.customer_id, *(snap.c[name] for name in names.values()))
        .where(snap.c.as_of == day, snap.c.customer_id.in_(customer_ids), facts.published(snap))
        .order_by(snap.c.known_at, snap.c.id)
    )
    if known_by is not None:
        query = query.where(snap.c.known_at <= known_by)
    rows = connection.execute(query).mappings()
    return {row["customer_id"]: {feature: row[name] for feature, name in names.items()} for row in rows}
