"""API keys: create, authenticate, revoke.

Law: a secret is shown once, to the maker of its key, and neither stored nor logged. A key belongs to a user and never
exceeds the present role of that user or of its maker. No session that has ended makes one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import structlog

from database.accounts import api_keys, audit, users
from database.accounts.api_keys import Key
from database.accounts.audit import COMMAND_LINE, Actor
from database.accounts.users import User
from database.engine.session import Connection, Database
from database.engine.waiting import NOT_AT_ALL
from gateway.services.accounts.credentials import Recheck, accepted_name, no_session, refuse
from shared.clock import Clock, iso
from shared.errors import Conflict, DatabaseBusy, Detail, DiskFull, Forbidden, NotFound

log = structlog.get_logger()

Scope = Literal["read", "score", "import"]
SCOPES: tuple[Scope, ...] = ("read", "score", "import")
RANK: Mapping[str, int] = {"viewer": 1, "analyst": 2, "admin": 3}
BEGINNING = "rs_"
MAX_LIVE = 50
DEFAULT_DAYS, MAX_DAYS = 365, 3650
SECRET_BYTES = 32
USED_EVERY = timedelta(minutes=1)
_SHAPE = re.compile(r"(rs_[0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_HASH_OF_NO_KEY = "0" * 64


@dataclass(frozen=True)
class AuthenticatedKey:
    """A valid key, its owner, and the lesser role of its owner and its maker."""

    key: Key
    user: User
    role: str


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def create(
    database: Database,
    *,
    clock: Clock,
    user_id: int,
    name: str,
    scopes: Sequence[str],
    expires_in_days: int | None = None,
    actor: Actor = COMMAND_LINE,
    recheck: Recheck = no_session,
) -> tuple[Key, str]:
    """Create a key for a user.

    Parameters
    ----------
    user_id
        The owner of the key. Only an administrator or the command line may make a key for somebody else.
    scopes
        The rights of the key, out of `read`, `score` and `import`.
    expires_in_days
        Lifetime in days, 1 to 3650; a year if absent.
    recheck
        Checks the maker's session again, in the transaction that adds the key.

    Returns
    -------
    the key, and its secret, which can't be shown again.

    Raises
    ------
    InvalidInput
        The name, a scope or the lifetime is not accepted, or the owner's role does not allow a scope.
    NotFound, Forbidden, Conflict
        There is no such user; the maker may not make keys for others; the owner has 50 live keys.
    """
    now = clock()
    days = DEFAULT_DAYS if expires_in_days is None else expires_in_days
    prefix = f"{BEGINNING}{secrets.token_hex(4)}"
    secret = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    with database.write() as connection:
        recheck(connection)
        owner = _owner(connection, user_id, actor)
        called = _accepted(name, scopes, days, owner)
        if api_keys.live_of(connection, user_id, iso(now)) >= MAX_LIVE:
            raise Conflict(f"This account has {MAX_LIVE} live keys. Revoke one first.")
        wanted = [scope for scope in SCOPES if scope in scopes]
        key = api_keys.add(
            connection, user_id=user_id, made_by=actor.user_id, name=called, prefix=prefix, secret_sha256=_hash(secret),
            scopes=wanted, now=iso(now), expires_at=iso(now + timedelta(days=days)),
        )  # fmt: skip
        subject = f"key:{key.id} user:{user_id} {' '.join(wanted)}"
        audit.record(connection, "key.created", at=iso(now), actor=actor, subject=subject)
    return key, secret


def _owner(connection: Connection, user_id: int, actor: Actor) -> User:
    owner = users.by_id(connection, user_id)
    maker = users.by_id(connection, actor.user_id) if actor.user_id is not None else None
    if maker is not None and maker.id != user_id and maker.role != "admin":
        raise Forbidden("Only an administrator can make keys for others.")
    if owner is None or owner.is_disabled:
        raise NotFound("User not found")
    return owner


def _accepted(name: str, scopes: Sequence[str], days: int, owner: User) -> str:
    faults: list[Detail] = []
    called = accepted_name(name, faults)
    if not scopes or not set(scopes) <= set(SCOPES):
        faults.append({"field": "scopes", "message": f"Give at least one of {', '.join(SCOPES)}."})
    elif RANK[owner.role] < RANK["analyst"] and set(scopes) != {"read"}:
        faults.append({"field": "scopes", "message": f"The role {owner.role} can only read: give the scope read."})
    if not 1 <= days <= MAX_DAYS:
        faults.append({"field": "expires_in_days", "message": f"Give 1 to {MAX_DAYS} days."})
    refuse(faults)
    return called


def authenticate_key(database: Database, secret: str, *, clock: Clock, demo_allowed: bool) -> AuthenticatedKey | None:
    """Return the key of a secret with its owner; None unless it is valid now. Records its use, at most once a minute.

    Parameters
    ----------
    demo_allowed
        Whether keys of the demo account count; never in production.
    """
    now = clock()
    shaped = _SHAPE.fullmatch(secret)
    with database.read() as connection:
        key = api_keys.by_prefix(connection, shaped[1]) if shaped else None
        # Compared in constant time, even if there is no such key.
        is_right = hmac.compare_digest(_hash(secret), key.secret_sha256 if key else _HASH_OF_NO_KEY)
        found = _live(connection, key, iso(now), demo_allowed) if key and is_right else None
    if found is not None and (found.key.last_used_at or "") < iso(now - USED_EVERY):
        _record_use(database, found.key, now)
    return found


def _record_use(database: Database, key: Key, now: datetime) -> None:
    """Record the use of a key if the database can be written without waiting; otherwise leave it to a later use."""
    try:
        with database.write(waiting=NOT_AT_ALL) as connection:
            api_keys.used(connection, key.id, now=iso(now), unless_since=iso(now - USED_EVERY))
    except (DatabaseBusy, DiskFull) as error:
        log.info("key_use_not_recorded", key=key.id, reason=error.code)


def _live(connection: Connection, key: Key, now: str, demo_allowed: bool) -> AuthenticatedKey | None:
    ids = {key.user_id, key.made_by} - {None}
    people = {each: users.by_id(connection, each) for each in ids if each is not None}
    if not key.is_valid_at(now) or any(p is None or p.is_disabled for p in people.values()):
        return None
    owner = people[key.user_id]
    assert owner is not None
    if owner.is_demo and not demo_allowed:
        return None
    role = min((p.role for p in people.values() if p is not None), key=RANK.__getitem__)
    return AuthenticatedKey(key, owner, role)


def revoke(
    database: Database, key_id: int, *, clock: Clock, actor: Actor = COMMAND_LINE, any_owner: bool = True
) -> Key:
    """Revoke a key; a key that is revoked already stays as it is.

    Parameters
    ----------
    any_owner
        Whether keys of others than `actor` can be revoked too.

    Raises
    ------
    NotFound
        There is no such key, or it is somebody else's.
    """
    now = iso(clock())
    with database.write() as connection:
        key = api_keys.get(connection, key_id)
        if key is None or not (any_owner or key.user_id == actor.user_id):
            raise NotFound(f"There is no key {key_id}.")
        if api_keys.revoke(connection, key_id, now):
            audit.record(connection, "key.revoked", at=now, actor=actor, subject=f"key:{key_id} user:{key.user_id}")
        found = api_keys.get(connection, key_id)
    assert found is not None
    return found
