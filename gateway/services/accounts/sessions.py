"""Signing in, going on and signing out.

Law: a sign-in takes as long, and fails with the same words, whether the account exists, is disabled or the password is
wrong. Every function here takes a database and owns its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from database.accounts import audit, users
from database.accounts.audit import Actor
from database.accounts.users import User
from database.engine.session import Database
from gateway.services.accounts.credentials import (
    MAX_EMAIL_LENGTH,
    accepted_email,
    cost_of,
    hash_of,
    hash_of_nobody,
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
    """Return the user of an address and a password; their hash is made anew where it has another cost than is set.

    Parameters
    ----------
    cost
        Work factor that is set. Every sign-in that fails spends it, or that of the costliest hash that is stored.
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
    account, hashed = address or email[:MAX_EMAIL_LENGTH], user.password_hash if user else hash_of_nobody(to_spend)
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
    """Use a refresh token up and return its user; None where it no longer counts.

    A token that was used before is in two hands, and one of them is not its owner's: the whole family ends.

    Parameters
    ----------
    family
        The family's id, and until when its end has to be remembered.
    now
        The present moment by the clock that tokens live by.
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
    """Refuse every token of some families from now on, and remember it until a moment."""
    with database.write() as connection:
        for family in families:
            users.revoke(connection, family, expires_at=until, now=now)


def sign_out_everywhere(database: Database, *, clock: Clock, user_id: int, actor: Actor) -> None:
    """End every session of one person; keys go on."""
    now = iso(clock())
    with database.write() as connection:
        users.change(connection, user_id, now=now, end_sessions=True)
        action, subject = "user.signed_out_everywhere", f"user:{user_id}"
        audit.record(connection, action, at=now, actor=actor, subject=subject)
