"""Present scores: by customer, and by rank. What lists read.

Law: both tables say the same of the same customers, whatever is added, refreshed or dropped; a run is shown only once
it is published (`database.runs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, select, text, tuple_

from database import tables
from database.driver import insert_rows

runs, ledger, pointer = tables.scoring_runs, tables.predictions, tables.published_run
scores, ranks = tables.present_scores, tables.present_ranks


_APPEND = text(
    "INSERT INTO present_scores (run_id, customer_id, churn_probability, prediction_id, monthly_price) "
    "SELECT :run, customer_id, churn_probability, rowid + :offset, monthly_price "
    "FROM incoming_rows WHERE rowid BETWEEN :first_row AND :last_row"
)
_RANK = text(
    "INSERT INTO present_ranks (run_id, churn_probability, customer_id, prediction_id, monthly_price) "
    "SELECT :run, churn_probability, customer_id, prediction_id, monthly_price "
    "FROM incoming_rows WHERE rowid BETWEEN :first_row AND :last_row"
)


def append(connection: Connection, run_id: int, rows: range, first_prediction_id: int) -> None:
    """Add present scores of `incoming_rows`, those with these row numbers, under a run that is not published yet.

    The columns there are `customer_id`, `churn_probability` and `monthly_price`.
    """
    given = {"run": run_id, "first_row": rows[0], "last_row": rows[-1], "offset": first_prediction_id - rows[0]}
    connection.execute(_APPEND, given)


def rank(connection: Connection, run_id: int, rows: range) -> None:
    """Enter scores of `incoming_rows` in the ranking; fastest in its order, from the highest probability down.

    The columns there are `churn_probability`, `customer_id`, `prediction_id` and `monthly_price`.
    """
    connection.execute(_RANK, {"run": run_id, "first_row": rows[0], "last_row": rows[-1]})


def refresh(connection: Connection, shown_run_id: int, sample_run_id: int, *, after_id: int, limit: int) -> int | None:
    """Overwrite shown scores with a sample's, `limit` customers after `after_id`; the last id, None at the end."""
    c = tables.customers
    rows = connection.execute(
        select(ledger.c.customer_id, ledger.c.churn_probability, ledger.c.id, c.c.monthly_price)
        .join(c, c.c.id == ledger.c.customer_id)
        .where(tables.of_run(sample_run_id), ledger.c.customer_id > after_id, c.c.churn == 0, c.c.ends_on.is_(None))
        .order_by(ledger.c.customer_id)
        .limit(limit)
    ).all()
    if not rows:
        return None
    ids = [row.customer_id for row in rows]
    drop(connection, shown_run_id, ids)
    columns = ("run_id", "customer_id", "churn_probability", "prediction_id", "monthly_price")
    insert_rows(connection, scores, columns, [(shown_run_id, *row) for row in rows])
    insert_rows(connection, ranks, columns, [(shown_run_id, *row) for row in rows])
    return int(ids[-1])


def drop(connection: Connection, run_id: int, customer_ids: Sequence[int] | Select[Any]) -> int:
    """Take customers out of a run's present scores; how many were there."""
    theirs = (scores.c.run_id == run_id, scores.c.customer_id.in_(customer_ids))
    places = select(scores.c.run_id, scores.c.churn_probability, scores.c.customer_id).where(*theirs)
    connection.execute(delete(ranks).where(tuple_(*ranks.primary_key.columns).in_(places)))
    return connection.execute(delete(scores).where(*theirs)).rowcount


def drop_stale(connection: Connection, limit: int) -> int:
    """Delete up to `limit` present scores of runs that are not shown (superseded or failed); return how many."""
    live = select(pointer.c.run_id).union(select(runs.c.id).where(runs.c.state == "running"))
    # Run by run: looking for others among the present scores would read all of those that are shown.
    shown = select(scores.c.run_id).where(scores.c.run_id == runs.c.id).exists()
    ranked = select(ranks.c.run_id).where(ranks.c.run_id == runs.c.id).exists()
    stale = select(runs.c.id).where(runs.c.id.not_in(live), shown | ranked).limit(1)
    found = connection.execute(stale).scalar_one_or_none()
    return 0 if found is None else drop_some(connection, found, limit)


def drop_some(connection: Connection, run_id: int, limit: int) -> int:
    """Delete up to `limit` rows of a run that goes whole, each table in its own order: that is several times faster."""
    for table in (ranks, scores):
        keys = list(table.primary_key.columns)
        order = [column.desc() if column.name == "churn_probability" else column for column in keys]
        some = select(*keys).where(table.c.run_id == run_id).order_by(*order).limit(limit)
        if gone := connection.execute(delete(table).where(tuple_(*keys).in_(some))).rowcount:
            return gone
    return 0
