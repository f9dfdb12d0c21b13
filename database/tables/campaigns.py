"""The tables of campaigns: their lists and arms, contacts, the universal hold-out, who must not be contacted.

Law: an arm is drawn once, before anybody is contacted, and never changed; customers are integer keys; whatever changes
who may be contacted has a row in `contact_changes`, except that ends become known.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, Index, Integer, Table, Text

from database.tables.catalogue import id_column, metadata, reference

campaigns = Table(
    "campaigns",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    # Drawing: its list is being written, and nobody sees the campaign yet.
    Column("state", Text, CheckConstraint("state IN ('drawing', 'drawn')", name="state"), nullable=False),
    Column("action", Text),
    Column("filters_json", Text, nullable=False),
    Column("top", Integer),
    reference("run_id", "scoring_runs.id", nullable=True),
    Column("seed", Text, nullable=False),
    Column("control_share", Float, nullable=False),
    # Outcomes count from this day on; they are known for both arms once ends are known up to `matures_on`.
    Column("starts_on", Text, nullable=False),
    Column("matures_on", Text, nullable=False),
    Column("expected_rate", Float, nullable=False),
    Column("assumed_reduction", Float, nullable=False),
    Column("clv", Float, nullable=False),
    Column("offer", Float, nullable=False),
    Column("contact_cost", Float, nullable=False),
    Column("contact", Integer, nullable=False),
    Column("control", Integer, nullable=False),
    Column("left_out_json", Text, nullable=False),
    reference("user_id", "users.id", nullable=True),
    Column("created_at", Text, nullable=False),
    Column("exported_at", Text),
    # When a digest told its outcome.
    Column("told_at", Text),
)
campaign_members = Table(
    "campaign_members",
    metadata,
    Column("campaign_id", Integer, primary_key=True),
    Column("customer_id", Integer, primary_key=True),
    Column("is_control", Integer, nullable=False),
    Column("churn_probability", Float),
    sqlite_with_rowid=False,
)
Index("ix_campaign_members_customer_id", campaign_members.c.customer_id)
campaign_contacts = Table(
    "campaign_contacts",
    metadata,
    Column("campaign_id", Integer, primary_key=True),
    Column("customer_id", Integer, primary_key=True),
    Column("contacted_at", Text, primary_key=True),
    sqlite_with_rowid=False,
)
Index("ix_campaign_contacts_customer_id", campaign_contacts.c.customer_id)
do_not_contact = Table(
    "do_not_contact",
    metadata,
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("reason", Text, CheckConstraint("reason IN ('objected', 'no consent')", name="reason"), nullable=False),
    Column("since", Text, nullable=False),
)
holdout = Table(
    "holdout",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True),
    Column("seed", Text, nullable=False),
    Column("share", Float, nullable=False),
    Column("since", Text, nullable=False),
)
# Every change of who may be contacted, in order: a customer who was put on the list or taken off it, a campaign that
# was drawn, or another share of the hold-out. A row of none of these: a customer was erased. Ids are never used twice.
contact_changes = Table(
    "contact_changes",
    metadata,
    id_column(),
    Column("customer_id", Integer),
    Column("campaign_id", Integer),
    Column("share_before", Float),
    Column("share", Float),
    sqlite_autoincrement=True,
)
