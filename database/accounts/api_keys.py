"""API keys of machines.

Law: only the SHA-256 of a secret is stored. A secret has 256 random bits, so it can't be guessed and needs no slow
hash, unlike a password that a person chose; a slow hash would delay every request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from database.engine.bulk_insert import AnyRow
from database.tables import tables

k = tables.api_keys


@dataclass(frozen=True)
class Key:
    """One key, without its secret."""

    id: int
    user_id: int
    made_by: int | None
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None
    secret_sha256: str = field(repr=False)

    def is_valid_at(self, now: str) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


def _key(row: AnyRow) -> Key:
    values: dict[str, Any] = dict(row._mapping)
    return Key(**{**values, "scopes": tuple(values["scopes"].split())})


def add(
    connection: Connection,
    *,
    user_id: int,
    made_by: int | None,
    name: str,
    prefix: str,
    secret_sha256: str,
    scopes: Sequence[str],
    now: str,
    expires_at: str | None,
) -> Key:
    """Add a key; the prefix must be new."""
    values = {"user_id": user_id, "made_by": made_by, "name": name, "prefix": prefix, "secret_sha256": secret_sha256}
    statement = insert(k).values(**values, scopes=" ".join(scopes), created_at=now, expires_at=expires_at)
    return _key(connection.execute(statement.returning(k)).one())


def by_prefix(connection: Connection, prefix: str) -> Key | None:
    """Return the key with this prefix."""
    row = connection.execute(select(k).where(k.c.prefix == prefix)).one_or_none()
    return _key(row) if row else None


def get(connection: Connection, key_id: int) -> Key | None:
    """Return one key by id."""
    row = connection.execute(select(k).where(k.c.id == key_id)).one_or_none()
    return _key(row) if row else None


def page(connection: Connection, *, limit: int, after_id: int = 0, user_id: int | None = None) -> list[Key]:
    """Return keys in the order of their ids: one person's, or everybody's."""
    query = select(k).where(k.c.id > after_id).order_by(k.c.id).limit(limit)
    if user_id is not None:
        query = query.where(k.c.user_id == user_id)
    return [_key(row) for row in connection.execute(query)]


def live_of(connection: Connection, user_id: int, now: str) -> int:
    """Count the valid keys of one person."""
    live = (k.c.revoked_at.is_(None), or_(k.c.expires_at.is_(None), k.c.expires_at > now))
    query = select(func.count()).select_from(k).where(k.c.user_id == user_id, *live)
    return connection.execute(query).scalar_one()


def revoke(connection: Connection, key_id: int, now: str) -> bool:
    """Revoke a key; return False if it was revoked already."""
    statement = update(k).where(k.c.id == key_id, k.c.revoked_at.is_(None)).values(revoked_at=now)
    return connection.execute(statement).rowcount > 0


def revoke_of(connection: Connection, user_id: int, now: str) -> list[tuple[int, int]]:
    """Revoke every key that a person has or made for others; return the id and owner of each."""
    theirs = or_(k.c.user_id == user_id, k.c.made_by == user_id)
    statement = update(k).where(theirs, k.c.revoked_at.is_(None)).values(revoked_at=now).returning(k.c.id, k.c.user_id)
    return sorted((row.id, row.user_id) for row in connection.execute(statement))


def used(connection: Connection, key_id: int, *, now: str, unless_since: str) -> None:
    """Record that a key was used, unless its last use was recorded at or after `unless_since`."""
    stale = or_(k.c.last_used_at.is_(None), k.c.last_used_at < unless_since)
    connection.execute(update(k).where(k.c.id == key_id, stale).values(last_used_at=now))
