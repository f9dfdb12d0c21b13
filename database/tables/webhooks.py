"""The tables of webhooks: who is told, the events to tell, and one delivery for each event and receiver.

Law: events and deliveries are written in the transaction of whatever happened; an event holds no personal data.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, Text, text

from database.tables.catalogue import id_column, metadata, reference

webhooks = Table(
    "webhooks",
    metadata,
    id_column(),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False),
    # It signs, so it can't be a hash: docs/security.md#webhooks.
    Column("secret", Text, nullable=False),
    # The one that it replaced, which signs beside it until then.
    Column("secret_before", Text),
    Column("secret_before_until", Text),
    Column("created_at", Text, nullable=False),
    Column("removed_at", Text),
    Column("paused_at", Text),
)
webhook_events = Table(
    "webhook_events",
    metadata,
    id_column(),
    Column("message_id", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Text, nullable=False),
)
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    id_column(),
    reference("event_id", "webhook_events.id"),
    reference("webhook_id", "webhooks.id"),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="state"),
        nullable=False,
    ),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_at", Text, nullable=False),
    Column("give_up_at", Text, nullable=False),
    # A worker that holds it may send it until then; afterwards any worker may.
    Column("claimed_until", Text),
    Column("status", Integer),
    Column("failure", Text),
    Column("took_ms", Integer),
    Column("ended_at", Text),
)
Index("ix_webhook_deliveries_due", webhook_deliveries.c.state, webhook_deliveries.c.next_at)
Index("ix_webhook_deliveries_event_id", webhook_deliveries.c.event_id)
