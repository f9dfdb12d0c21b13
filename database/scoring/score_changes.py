"""Two scores of a customer, the facts that each was made from, and the customers whose scores changed most.

Law: a score's facts are those that were known when its run was made; what was corrected later is read apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, FromClause, case, func, literal, or_, select

from database.customers import contacting, facts
from database.customers.customer_base import column_names, customers_table, snapshots_table
from database.engine.expressions import days_after
from database.scoring.runs import published
from database.tables import tables
from shared.clock import days_later
from shared.contracts.api import HORIZON_DAYS
from shared.schema.features import Schema

ledger, runs, models = tables.ledger, tables.scoring_runs, tables.models
Direction = Literal["up", "down", "entered", "left"]


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
        Of the model's schema.
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


@dataclass(frozen=True)
class Run:
    """A run whose scores are compared."""

    run_id: int
    as_of: str
    version: str


def compared(connection: Connection, *, since: str | None, until: str | None) -> tuple[Run, Run] | None:
    """Return the runs (now, then) that two dates name: by default, the published one and that of 30 days before.

    Returns
    -------
    runs
        None if there are no two of them.
    """
    now = latest(connection, until)
    if now is None:
        return None
    then = _run_until(connection, since or days_later(now.as_of, -HORIZON_DAYS))
    return None if then is None or then.run_id == now.run_id else (now, then)


def latest(connection: Connection, until: str | None) -> Run | None:
    """Return the last run of everybody dated on a day or before; the published one if no day is given."""
    if until is not None:
        return _run_until(connection, until)
    shown = published(connection)
    return None if shown is None else Run(shown.run_id, shown.as_of, shown.model_version)


def _run_until(connection: Connection, day: str) -> Run | None:
    query = (
        select(runs.c.id, runs.c.as_of, models.c.version)
        .join(models, models.c.id == runs.c.model_id)
        .where(runs.c.kind.in_(("full", "past")), tables.is_finished, runs.c.as_of <= day)
        .order_by(runs.c.as_of.desc(), runs.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Run(*row)


def movers(
    connection: Connection,
    schema: Schema,
    *,
    now: Run,
    then: Run,
    direction: Direction,
    cut: float,
    limit: int,
    only_allowed: bool = False,
) -> list[dict[str, Any]]:
    """Return the customers whose scores changed most between two runs, or who crossed the list's cut.

    Parameters
    ----------
    direction
        "up" and "down": both runs scored them, the largest change first. "entered" and "left": above the cut in one
        run only, the highest score first; `cause` says why.
    only_allowed
        Leave out who may not be contacted, as a list that leaves does.
    """
    wide, p_now, p_then, joined = _both(schema, now, then)
    where, order = _chosen(direction, p_now, p_then, cut)
    where += contacting.is_allowed(connection, wide.c.id) if only_allowed else []
    columns = (wide.c.id, wide.c.user_id, wide.c.plan, wide.c.monthly_price)
    query = select(
        *columns, p_now, p_then.label("before"), (p_now - p_then).label("change"), _cause(wide, p_now, p_then)
    ).add_columns(contacting.status(connection, wide.c.id).label("contact"))
    query = query.select_from(joined).where(*where).order_by(order, wide.c.id).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def count_entered(connection: Connection, schema: Schema, *, now: Run, then: Run, cut: float) -> tuple[int, int]:
    """Count the customers who are above the cut in the later run only: those who may be contacted, and the others."""
    wide, p_now, p_then, joined = _both(schema, now, then)
    where, _ = _chosen("entered", p_now, p_then, cut)
    query = select(func.count()).select_from(joined).where(*where)
    everybody = connection.execute(query).scalar_one()
    allowed = connection.execute(query.where(*contacting.is_allowed(connection, wide.c.id))).scalar_one()
    return allowed, everybody - allowed


def _both(schema: Schema, now: Run, then: Run) -> tuple[Any, ColumnElement[float], ColumnElement[float], FromClause]:
    """Return customers, their scores in both runs, and all of it joined."""
    wide, before = customers_table(schema), ledger.alias("before")
    own = (before.c.run_id == then.run_id) & (before.c.customer_id == wide.c.id)
    joined = tables.with_scores(wide, wide.c.id, now.run_id).outerjoin(before, own)
    return wide, ledger.c.churn_probability, before.c.churn_probability, joined


def _chosen(
    direction: Direction, p_now: ColumnElement[float], p_then: ColumnElement[float], cut: float
) -> tuple[list[ColumnElement[bool]], ColumnElement[Any]]:
    change = p_now - p_then
    if direction == "up":
        return [change > 0], change.desc()
    if direction == "down":
        return [change < 0], change.asc()
    inside, outside = (p_now, p_then) if direction == "entered" else (p_then, p_now)
    return [inside > cut, or_(outside <= cut, outside.is_(None))], inside.desc()


def _cause(wide: Any, p_now: ColumnElement[float], p_then: ColumnElement[float]) -> ColumnElement[str]:
    """Say why a customer is in one run and not in the other; "score" if both scored them."""
    return case(
        (p_now.is_not(None) & p_then.is_not(None), literal("score")),
        (p_now.is_not(None), literal("not scored before")),
        (wide.c.churn == 1, literal("has left")),
        (wide.c.ends_on.is_not(None), literal("has cancelled")),
        else_=literal("not scored now"),
    ).label("cause")
