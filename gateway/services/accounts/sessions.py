"""Signing in, renewing a session and signing out.

Law: a sign-in takes as long, and fails with the same message, whether the account doesn't exist, is disabled or the
password is wrong. Every function here takes a database and owns its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from database.accounts import api_keys, audit, users
from database.accounts.api_keys import Key
from database.accounts.audit import Actor
from database.accounts.users import User
from database.engine.session import Database
from gateway.services.accounts.api_keys import RANK
from gateway.services.accounts.credentials import (
    MAX_EMAIL_LENGTH,
    accepted_email,
    cost_of,
    dummy_hash,
    hash_of,
    matches,
)
from gateway.services.accounts.guesses import Guesses
from shared.clock import Clock, iso
from shared.errors import Detail, Unauthenticated

WRONG_CREDENTIALS = "Invalid email or password"
#: The id of a token or of a family, and when it expires.
Mark = tuple[str, str]


def authenticate(
    database: Database, *, email: str, password: str, cost: int, demo_allowed: bool, guesses: Guesses
) -> User:
    """Return the user of an address and a password; a stored hash of another cost than `cost` is replaced.

    Parameters
    ----------
    cost
        The configured work factor. Every failed sign-in takes as long as this or the costliest stored hash, the longer.
    demo_allowed
        Whether the demo account, whose password is public, may sign in; never in production.

    Raises
    ------
    Unauthenticated
    RateLimited
        There were too many wrong passwords for this account.
    """
    faults: list[Detail] = []
    address = accepted_email(email, faults)
    with database.read() as connection:
        user = None if faults else users.by_email(connection, address)
        to_spend = max(cost, users.highest_cost(connection))
    account, hashed = address or email[:MAX_EMAIL_LENGTH], user.password_hash if user else dummy_hash(to_spend)
    is_right = guesses.compare(account, lambda: matches(password, hashed, spend=to_spend))
    if user is None or not is_right or user.is_disabled or (user.is_demo and not demo_allowed):
        raise Unauthenticated(WRONG_CREDENTIALS)
    guesses.was_right(account)
    if cost_of(user.password_hash) != cost:
        renewed = hash_of(password, cost)
        with database.write() as connection:
            users.renew_hash(connection, user.id, old=user.password_hash, new=renewed)
    return user


def renew(
    database: Database, *, user_id: int, token_version: int, token: Mark, family: Mark, now: str, request_id: str
) -> User | None:
    """Use up a refresh token and return its user; None if it is no longer valid.

    If a token is used twice, somebody besides its owner has it, so its whole family ends.

    Parameters
    ----------
    family
        The family's id, and the time until which its end must be remembered.
    now
        The present time by the clock that tokens expire by.
    """
    with database.write() as connection:
        user = users.signed_in(connection, user_id, token_version=token_version, jti=family[0], family=family[0])
        if user is None or users.revoke(connection, token[0], expires_at=token[1], now=now):
            return user
        users.revoke(connection, family[0], expires_at=family[1], now=now)
        actor, subject = Actor(request_id=request_id), f"user:{user_id}"
        audit.record(connection, "session.refresh_reused", at=now, actor=actor, subject=subject)
    return None


def sign_out(database: Database, families: Iterable[str], *, until: str, now: str) -> None:
    """Refuse every token of these families from now on, and remember this until `until`."""
    with database.write() as connection:
        for family in families:
            users.revoke(connection, family, expires_at=until, now=now)


def sign_out_everywhere(database: Database, *, clock: Clock, user_id: int, actor: Actor) -> None:
    """End every session of one user; keys stay valid."""
    now = iso(clock())
    with database.write() as connection:
        users.change(connection, user_id, now=now, end_sessions=True)
        action, subject = "user.signed_out_everywhere", f"user:{user_id}"
        audit.record(connection, action, at=now, actor=actor, subject=subject)


def is_let_in(database: Database, user: User, key: Key | None, now: str) -> bool:
    """Return whether somebody who was let in still is: not disabled, signed out or demoted, and the key not revoked."""
    with database.read() as connection:
        present = users.by_id(connection, user.id)
        known = None if key is None else api_keys.get(connection, key.id)
    if present is None or present.is_disabled or RANK[present.role] < RANK[user.role]:
        return False
    if key is not None:
        return known is not None and known.is_valid_at(now)
    return present.token_version == user.token_version
