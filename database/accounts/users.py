"""People who sign in, and revoked tokens.

Law: a user's e-mail address is stored in `users` only. A token counts for one account: a later account that gets the
number of a removed one has another token version, and so has every account of a restored backup.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Connection, Row, bindparam, delete, exists, func, select, update

from database.engine.upsert import upsert
from database.tables import tables

u, revoked, keys = tables.users, tables.revoked_tokens, tables.api_keys
#: First token versions are drawn below this: they leave room to be counted up in 64 bits.
_FIRST_VERSIONS = 2**52


@dataclass(frozen=True)
class User:
    """One person."""

    id: int
    email: str
    name: str
    role: str
    token_version: int
    is_demo: bool
    disabled_at: str | None
    created_at: str
    updated_at: str
    password_hash: str = field(repr=False)

    @property
    def is_disabled(self) -> bool:
        return self.disabled_at is not None


def _user(row: Row[Any]) -> User:
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        role=row.role,
        token_version=row.token_version,
        is_demo=bool(row.is_demo),
        disabled_at=row.disabled_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        password_hash=row.password_hash,
    )


def by_id(connection: Connection, user_id: int) -> User | None:
    """Return one person by id."""
    row = connection.execute(select(u).where(u.c.id == user_id)).one_or_none()
    return _user(row) if row else None


def by_email(connection: Connection, email: str) -> User | None:
    """Return one person by normalised e-mail address."""
    row = connection.execute(select(u).where(u.c.email == email)).one_or_none()
    return _user(row) if row else None


# One statement by primary keys, built once: it runs for every request, and building it takes three times as long.
_SIGNED_IN = select(u).where(
    u.c.id == bindparam("user_id"),
    u.c.token_version == bindparam("token_version"),
    u.c.disabled_at.is_(None),
    ~exists().where(revoked.c.jti.in_([bindparam("jti"), bindparam("family")])),
)


def signed_in(connection: Connection, user_id: int, *, token_version: int, jti: str, family: str) -> User | None:
    """Return the user of a token; None if the token or its family is no longer valid."""
    given = {"user_id": user_id, "token_version": token_version, "jti": jti, "family": family}
    row = connection.execute(_SIGNED_IN, given).one_or_none()
    return _user(row) if row else None


def page(connection: Connection, *, limit: int, after_id: int = 0) -> list[User]:
    """Return people in the order of their ids."""
    query = select(u).where(u.c.id > after_id).order_by(u.c.id).limit(limit)
    return [_user(row) for row in connection.execute(query)]


def highest_cost(connection: Connection) -> int:
    """Return the highest work factor of the password hashes; 0 if there are none."""
    return int(connection.execute(select(func.max(func.substr(u.c.password_hash, 5, 2)))).scalar_one() or 0)


def renew_hash(connection: Connection, user_id: int, *, old: str, new: str) -> None:
    """Replace a password hash by another of the same password, if the old one is still stored."""
    connection.execute(update(u).where(u.c.id == user_id, u.c.password_hash == old).values(password_hash=new))


def enabled_admins(connection: Connection) -> int:
    """Return the number of enabled administrators."""
    query = select(func.count()).select_from(u).where(u.c.role == "admin", u.c.disabled_at.is_(None))
    return connection.execute(query).scalar_one()


def enabled_people(connection: Connection) -> int:
    """Return the number of enabled accounts besides the demo's."""
    query = select(func.count()).select_from(u).where(u.c.is_demo == 0, u.c.disabled_at.is_(None))
    return connection.execute(query).scalar_one()


def add(
    connection: Connection, *, email: str, password_hash: str, name: str, role: str, now: str, is_demo: bool = False
) -> int | None:
    """Add a person; return the new id, or None if the address is taken."""
    values = {"email": email, "password_hash": password_hash, "name": name, "role": role, "is_demo": int(is_demo)}
    values |= {"token_version": _first_version()}
    statement = upsert(u, {**values, "created_at": now, "updated_at": now}, key=["email"])
    return connection.execute(statement.returning(u.c.id)).scalar_one_or_none()


def change(
    connection: Connection, user_id: int, *, now: str, end_sessions: bool = False, **columns: str | None
) -> None:
    """Set columns of one person; `end_sessions` invalidates every token they hold."""
    values: dict[str, Any] = {"updated_at": now, **columns}
    if end_sessions:
        values["token_version"] = u.c.token_version + 1
    connection.execute(update(u).where(u.c.id == user_id).values(values))


def _first_version() -> int:
    # Not 0: tokens of a removed account may still be about, and SQLite gives its number away again.
    return secrets.randbelow(_FIRST_VERSIONS)


def end_all_sessions(connection: Connection) -> None:
    """Invalidate every token there is, also those of versions that this database has not seen."""
    for user_id in connection.execute(select(u.c.id)).scalars().all():
        connection.execute(update(u).where(u.c.id == user_id).values(token_version=_first_version()))


def remove_demo(connection: Connection) -> int:
    """Delete the demo account and its keys, not what it did; return the number of deleted accounts."""
    demo = select(u.c.id).where(u.c.is_demo == 1).scalar_subquery()
    _clear_references(connection, keys.c.id, select(keys.c.id).where(keys.c.user_id == demo).scalar_subquery())
    connection.execute(delete(keys).where(keys.c.user_id == demo))
    _clear_references(connection, u.c.id, demo)
    return connection.execute(delete(u).where(u.c.is_demo == 1)).rowcount


def _clear_references(connection: Connection, key: Column[int], gone: Any) -> None:
    for table in tables.metadata.sorted_tables:
        for column in table.columns:
            if column.nullable and column.references(key):
                connection.execute(update(table).where(column.in_(gone)).values({column.name: None}))


def revoke(connection: Connection, jti: str, *, expires_at: str, now: str) -> bool:
    """Revoke a token, or a whole family by its id, and delete revocations of expired tokens.

    Returns
    -------
    bool
        False if it was revoked already.
    """
    connection.execute(delete(revoked).where(revoked.c.expires_at < now))
    statement = upsert(revoked, {"jti": jti, "expires_at": expires_at}, key=["jti"])
    return connection.execute(statement.returning(revoked.c.jti)).scalar_one_or_none() is not None
