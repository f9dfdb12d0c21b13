"""The tables of segments and the worklist, and the roll-ups that segments and cohorts are read from.

Law: a roll-up is replaced as a whole when facts change, and holds counts, never a customer. Notes of the worklist are
free text about customers: personal data.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, Float, ForeignKey, Index, Integer, Table, Text

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
# The prices that customers paid before a change: `until` is the date of the first facts with another price. A trigger
# (`database.engine.sqlite.ddl`) adds a row.
past_prices = Table(
    "past_prices",
    metadata,
    id_column(),
    reference("customer_id", "customers.id"),
    Column("until", Text, nullable=False),
    Column("monthly_price", Float),
)
Index("ix_past_prices_customer_id", past_prices.c.customer_id, past_prices.c.until)
# Movement of monthly revenue by calendar month, and the customers in each part of it.
mrr_months = Table(
    "mrr_months",
    metadata,
    Column("month", Text, primary_key=True),
    Column("customers", Integer, nullable=False),
    Column("revenue", Float, nullable=False),
    Column("new_customers", Integer, nullable=False),
    Column("new", Float, nullable=False),
    Column("returned_customers", Integer, nullable=False),
    Column("returned", Float, nullable=False),
    Column("churned_customers", Integer, nullable=False),
    Column("churned", Float, nullable=False),
    Column("expanded_customers", Integer, nullable=False),
    Column("expansion", Float, nullable=False),
    Column("contracted_customers", Integer, nullable=False),
    Column("contraction", Float, nullable=False),
)
# The present entry of each customer on the worklist; the history has a row for each change.
STATUSES = ("to_do", "contacted", "snoozed", "saved", "lost")
_KNOWN = "status IN ({})".format(", ".join(f"'{each}'" for each in STATUSES))


def _entry() -> list[Column[Any]]:
    return [
        Column("status", Text, CheckConstraint(_KNOWN, name="status"), nullable=False),
        reference("owner_id", "users.id", nullable=True),
        Column("note", Text),
        Column("due_on", Text),
        Column("updated_at", Text, nullable=False),
        reference("updated_by", "users.id", nullable=True),
    ]


worklist = Table(
    "worklist",
    metadata,
    Column("customer_id", Integer, ForeignKey("customers.id"), primary_key=True),
    *_entry(),
)
Index("ix_worklist_status_due_on", worklist.c.status, worklist.c.due_on)
worklist_history = Table(
    "worklist_history",
    metadata,
    id_column(),
    reference("customer_id", "customers.id"),
    *_entry(),
)
Index("ix_worklist_history_customer_id", worklist_history.c.customer_id, worklist_history.c.id)
