"""The displayed scores: the ranking, and changes since the run was published.

Law: a customer's displayed score is one ledger row (`tables.with_scores`), whose probability the ranking repeats; a
run is shown only once it is published (`database.scoring.runs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    insert,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)

from database.engine import kept_figures
from database.engine.bulk_insert import insert_rows
from database.tables import tables

runs, ledger, pointer = tables.scoring_runs, tables.ledger, tables.published_run
ranks, changes, c = tables.present_ranks, tables.present_changes, tables.customers
log = tables.score_changes


def refresh(connection: Connection, shown_run_id: int, sample_run_id: int, *, after_id: int, limit: int) -> int | None:
    """Show a sample's scores of `limit` customers after `after_id`; return the last id, None at the end."""
    rows = connection.execute(
        select(ledger.c.customer_id, ledger.c.churn_probability)
        .join(c, c.c.id == ledger.c.customer_id)
        .where(ledger.c.run_id == sample_run_id, ledger.c.customer_id > after_id, c.c.churn == 0, c.c.ends_on.is_(None))
        .order_by(ledger.c.customer_id)
        .limit(limit)
    ).all()
    if not rows:
        return None
    ids = [row.customer_id for row in rows]
    _unrank(connection, shown_run_id, ids)
    connection.execute(delete(changes).where(changes.c.run_id == shown_run_id, changes.c.customer_id.in_(ids)))
    columns = ("run_id", "customer_id", "scored_run_id")
    insert_rows(connection, changes, columns, [(shown_run_id, each, sample_run_id) for each in ids])
    insert_rows(connection, log, ("run_id", "customer_id"), [(shown_run_id, each) for each in ids])
    columns = ("run_id", "customer_id", "churn_probability")
    insert_rows(connection, ranks, columns, [(shown_run_id, *row) for row in rows])
    kept_figures.changed(connection)
    return int(ids[-1])


def drop(connection: Connection, run_id: int, customer_ids: Select[tuple[int]]) -> None:
    """Hide the scores that customers have while a run is the published one."""
    _unrank(connection, run_id, customer_ids)
    hidden = _shown(run_id, literal(run_id), c.c.id).where(c.c.id.in_(customer_ids))
    connection.execute(insert(log).from_select(("run_id", "customer_id"), hidden))
    theirs = and_(changes.c.run_id == run_id, changes.c.customer_id.in_(customer_ids))
    connection.execute(update(changes).where(theirs).values(scored_run_id=None))
    others = _shown(run_id, literal(run_id), c.c.id, null()).where(c.c.id.in_(customer_ids))
    connection.execute(insert(changes).from_select(("run_id", "customer_id", "scored_run_id"), others))
    kept_figures.changed(connection)


def _unrank(connection: Connection, run_id: int, customer_ids: Sequence[int] | Select[tuple[int]]) -> None:
    places = _shown(run_id, literal(run_id), ledger.c.churn_probability, c.c.id).where(c.c.id.in_(customer_ids))
    connection.execute(delete(ranks).where(tuple_(*ranks.primary_key.columns).in_(places)))


def _shown(run_id: int, *columns: ColumnElement[Any]) -> Select[Any]:
    """Select from the customers who have a displayed score while this run is the published one."""
    query = select(*columns).select_from(tables.with_scores(c, c.c.id, run_id))
    return query.where(ledger.c.customer_id.is_not(None))


def drop_stale(connection: Connection, limit: int) -> int:
    """Delete up to `limit` ranks or changes of a run that is superseded or failed; return their number."""
    live = select(pointer.c.run_id).union(select(runs.c.id).where(runs.c.state == "running"))
    # Look up each run: scanning the ranks would read all ranks of the published run.
    some = [select(table.c.run_id).where(table.c.run_id == runs.c.id).exists() for table in (ranks, changes)]
    stale = select(runs.c.id).where(runs.c.id.not_in(live), or_(*some)).limit(1)
    found = connection.execute(stale).scalar_one_or_none()
    return 0 if found is None else drop_some(connection, found, limit)


def drop_some(connection: Connection, run_id: int, limit: int) -> int:
    """Delete up to `limit` ranks of a run, then changes; return their number, 0 if none are left."""
    p, who = ranks.c.churn_probability, ranks.c.customer_id
    of_run = select(p, who).where(ranks.c.run_id == run_id).order_by(p.desc(), who)
    last = connection.execute(of_run.offset(limit - 1).limit(1)).one_or_none()
    # Deleting a key range is five times as fast as deleting a list of rows.
    stretch = () if last is None else (p >= last[0], or_(p > last[0], who <= last[1]))
    if gone := connection.execute(delete(ranks).where(ranks.c.run_id == run_id, *stretch)).rowcount:
        return gone
    some = select(changes.c.customer_id).where(changes.c.run_id == run_id).limit(limit)
    return connection.execute(
        delete(changes).where(changes.c.run_id == run_id, changes.c.customer_id.in_(some))
    ).rowcount
