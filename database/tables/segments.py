"""The tables of segments, and the roll-ups that segments, cohorts and money are read from.

Law: a roll-up is replaced as a whole when facts change, and holds counts, never a customer.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, Text

from database.tables.catalogue import id_column, metadata, reference

# A saved view: `query` is the query string of GET /api/customers, checked when it is saved.
segments = Table(
    "segments",
    metadata,
    id_column(),
    # None once the account is gone: what it shared stays.
    reference("owner_id", "users.id", nullable=True),
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("shared", Integer, CheckConstraint("shared IN (0, 1)", name="shared"), nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
)
Index("ix_segments_owner_id_name", segments.c.owner_id, segments.c.name, unique=True)
# Customers with facts of a date who were active then, by one of their features, and how many had left 30 days later.
group_churn = Table(
    "group_churn",
    metadata,
    Column("period_start", Text, primary_key=True),
    Column("feature", Text, primary_key=True),
    # The groups of a feature by number of customers, from 0; the value of a group can be NULL.
    Column("position", Integer, primary_key=True),
    Column("value", Text),
    Column("period_end", Text, nullable=False),
    Column("customers", Integer, nullable=False),
    Column("left", Integer, nullable=False),
)
# Customers by the month of their first subscription, and how many of them were active at the end of each month.
cohort_months = Table(
    "cohort_months",
    metadata,
    Column("cohort", Text, primary_key=True),
    Column("month", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("active", Integer, nullable=False),
)
