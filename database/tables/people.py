"""The tables of people who sign in: accounts, sessions, keys, rate limits and the audit log.

Law: of these tables, only `users` holds personal data; passwords and keys are stored as hashes only.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, Index, Integer, Table, Text, text

from database.tables.catalogue import id_column, metadata, reference

users = Table(
    "users",
    metadata,
    id_column(),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, CheckConstraint("role IN ('viewer', 'analyst', 'admin')", name="role"), nullable=False),
    Column("token_version", Integer, nullable=False, server_default=text("0")),
    Column("is_demo", Integer, nullable=False, server_default=text("0")),
    Column("disabled_at", Text),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
)
# Holds ids of used refresh tokens, and family ids of ended sessions.
revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    Column("jti", Text, primary_key=True),
    Column("expires_at", Text, nullable=False, index=True),
)
rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("expires_at_s", Float, nullable=False, index=True),
)
api_keys = Table(
    "api_keys",
    metadata,
    id_column(),
    reference("user_id", "users.id"),
    reference("made_by", "users.id", nullable=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False, unique=True),
    Column("secret_sha256", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text),
    Column("last_used_at", Text),
    Column("revoked_at", Text),
)
Index("ix_api_keys_user_id", api_keys.c.user_id, api_keys.c.id)
# Two triggers (`database.engine.sqlite.ddl`) refuse to change its rows or to delete rows of the last month.
audit_log = Table(
    "audit_log",
    metadata,
    id_column(),
    Column("at", Text, nullable=False, index=True),
    reference("user_id", "users.id", nullable=True),
    Column("action", Text, nullable=False),
    Column("subject", Text),
    Column("request_id", Text),
    Column("actor", Text, nullable=False, server_default=text("'user'")),
    reference("key_id", "api_keys.id", nullable=True),
)
