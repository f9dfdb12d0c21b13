"""Ends dated by absence keep both dates; days up to which ends are known; leavers among outcomes have an index;
scores keep the age of their facts.

A database of migration 0010 has its absent customers dated anew, and its demo's ends are known. The next import counts
what its own files tell about ends.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import exists, func, insert, literal, select, update

from database.engine.alter_table import add_missing_columns
from database.engine.expressions import larger, middle
from database.engine.sqlite.ddl import replace_predictions, replace_trigger
from database.tables import tables

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

s, c, k = tables.subscriptions, tables.customers, tables.known_ends


def upgrade() -> None:
    connection = op.get_bind()
    for table in (s, tables.ledger, tables.scoring_runs):
        add_missing_columns(connection, table)
    replace_predictions(connection)
    k.create(connection, checkfirst=True)
    for index in tables.outcomes.indexes:
        index.create(connection, checkfirst=True)
    with replace_trigger(connection):
        seen = larger(select(c.c.as_of).where(c.c.id == s.c.customer_id).scalar_subquery(), s.c.started_at)
        absent = (s.c.end_reason == "absent", s.c.absent_from.is_(None), seen < s.c.ended_at)
        connection.execute(update(s).where(*absent).values(seen_until=seen, absent_from=s.c.ended_at))
        dated = update(s).where(s.c.absent_from.is_not(None))
        connection.execute(dated.values(ended_at=middle(s.c.seen_until, s.c.absent_from)))
    now = func.max(s.c.known_at)
    days = select(s.c.absent_from, literal("full"), now).where(s.c.absent_from.is_not(None)).group_by(s.c.absent_from)
    names = ["day", "source", "known_at"]
    connection.execute(insert(k).from_select(names, days))
    snap, base = tables.customer_snapshots, tables.base
    last = select(func.max(snap.c.as_of), literal("told"), func.max(snap.c.known_at)).having(
        func.max(snap.c.as_of).is_not(None), exists().where(base.c.is_demo == 1)
    )
    connection.execute(insert(k).from_select(names, last))


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")
