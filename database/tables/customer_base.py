"""The tables of the customer base: its schema, the imports, and customers at present and in the past.

Law: the feature columns of `customers` and `customer_snapshots` are not here: they are made from
the base's schema (`database.customers.customer_base`). Only `customers` holds personal data.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, Index, Integer, Table, Text, UniqueConstraint, text

from database.tables.catalogue import id_column, metadata, reference

base = Table(
    "base",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("schema_json", Text, nullable=False),
    Column("schema_checksum", Text, nullable=False),
    Column("state", Text, CheckConstraint("state IN ('loading', 'ready')", name="state"), nullable=False),
    Column("is_demo", Integer, nullable=False),
    Column("created_at", Text, nullable=False),
)
imports = Table(
    "imports",
    metadata,
    id_column(),
    Column("file_name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("schema_checksum", Text, nullable=False),
    Column("as_of", Text),
    Column("rows", Integer, nullable=False),
    Column("customers_new", Integer, nullable=False),
    Column("customers_updated", Integer, nullable=False),
    Column("created_at", Text, nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('publishing', 'published', 'failed')", name="state"),
        nullable=False,
        server_default=text("'published'"),
    ),
    Column("job_id", Integer),
    Column("rejected", Integer, nullable=False, server_default=text("0")),
    Column("written", Integer, nullable=False, server_default=text("0")),
    Column("plan_json", Text),
)
schema_versions = Table(
    "schema_versions",
    metadata,
    Column("checksum", Text, primary_key=True),
    Column("schema_json", Text, nullable=False),
    Column("created_at", Text, nullable=False),
)
customers = Table(
    "customers",
    metadata,
    id_column(),
    Column("user_id", Text, nullable=False, unique=True),
    Column("email", Text),
    Column("plan", Text),
    Column("tenure_months", Integer),
    Column("last_activity", Text),
    Column("churn", Integer, nullable=False),
    Column("monthly_price", Float),
    Column("currency", Text),
    Column("ends_on", Text),
    Column("contract_runs_until", Text),
    Column("as_of", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
)
Index("ix_customers_population", customers.c.churn, customers.c.ends_on, customers.c.id)
# Lists are read in the order of these indexes.
Index("ix_customers_monthly_price", customers.c.monthly_price)
Index("ix_customers_tenure_months", customers.c.tenure_months)
# Searched by prefix, ignoring case.
Index("ix_customers_user_id_nocase", customers.c.user_id, info={"any_case": True})
Index("ix_customers_email_nocase", customers.c.email, info={"any_case": True})
customer_snapshots = Table(
    "customer_snapshots",
    metadata,
    id_column(),
    reference("customer_id", "customers.id"),
    Column("as_of", Text, nullable=False),
    Column("known_at", Text, nullable=False),
    reference("import_id", "imports.id"),
    Column("label", Integer),
    UniqueConstraint("as_of", "customer_id", "known_at", "import_id"),
)
subscriptions = Table(
    "subscriptions",
    metadata,
    id_column(),
    reference("customer_id", "customers.id"),
    Column("started_at", Text, nullable=False),
    Column("cancelled_at", Text),
    Column("ended_at", Text),
    Column("end_reason", Text),
    Column("plan", Text),
    Column("monthly_price", Float),
    Column("currency", Text),
    Column("known_at", Text, nullable=False),
    Column("told_on", Text),
    # Only of an end dated by absence from a full snapshot: in (seen_until, absent_from], `ended_at` in the middle.
    Column("seen_until", Text),
    Column("absent_from", Text),
    UniqueConstraint("customer_id", "started_at"),
)
Index("ix_subscriptions_ended_at", subscriptions.c.ended_at)
# Days [known_from, known_until) on which a subscription was known to end, before that end was withdrawn or moved. A
# trigger (`database.engine.sqlite.ddl`) adds a row when the end changes; `told_on` is the day the change became known.
withdrawn_ends = Table(
    "withdrawn_ends",
    metadata,
    id_column(),
    reference("customer_id", "customers.id"),
    Column("started_at", Text, nullable=False),
    Column("known_from", Text, nullable=False),
    Column("known_until", Text, nullable=False),
)
Index("ix_withdrawn_ends_customer_id", withdrawn_ends.c.customer_id, withdrawn_ends.c.started_at)
# Days up to which all ends are known, and why: a full snapshot whose absent customers left, an import that says so, or
# a file with ends that covers those who were active before.
known_ends = Table(
    "known_ends",
    metadata,
    Column("day", Text, primary_key=True),
    Column("source", Text, CheckConstraint("source IN ('full', 'told', 'covered')", name="source"), primary_key=True),
    Column("known_at", Text, nullable=False),
)
population_history = Table(
    "population_history",
    metadata,
    Column("period_end", Text, primary_key=True),
    Column("period_start", Text, nullable=False),
    Column("active_at_start", Integer, nullable=False),
    Column("left", Integer, nullable=False),
)
