"""Accounts: sign-in, registration, passwords, roles.

Law: a password is hashed and compared outside of any write transaction, and never stands in a message, a log or an
error. Every function here takes a database and owns its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict, Unpack

from database.accounts import audit, users
from database.accounts.audit import COMMAND_LINE, Actor
from database.accounts.users import User
from database.engine.session import Database
from gateway.services.accounts.credentials import (
    accepted_email,
    accepted_name,
    accepted_password,
    hash_of,
    hash_of_nobody,
    matches,
    refuse,
)
from gateway.services.accounts.demo_account import create_demo_account, remove_demo_account
from gateway.settings import Role
from shared.clock import Clock, iso
from shared.errors import Conflict, Detail, Forbidden, NotFound, Unauthenticated

__all__ = [
    "COMMAND_LINE",
    "Actor",
    "authenticate",
    "change_password",
    "change_user",
    "create_demo_account",
    "create_user",
    "register",
    "remove_demo_account",
    "sign_out",
    "sign_out_everywhere",
]
WRONG_CREDENTIALS = "Invalid email or password"
ENDS_SESSIONS = frozenset({"disabled_at", "password_hash"})
LAST_ADMIN = "This is the last administrator who can sign in. Make another one first."


# --- signing in -----------------------------------------------------------------------------------------------------


def authenticate(database: Database, *, email: str, password: str, cost: int, demo_allowed: bool) -> User:
    """Return the user of an address and a password.

    Takes as long, and says the same, whether the account exists, is disabled or the password is wrong.

    Parameters
    ----------
    cost
        Work factor to spend where there is no hash to compare with.
    demo_allowed
        Whether the demo account, whose password is public, may sign in; never in production.

    Raises
    ------
    Unauthenticated
    """
    faults: list[Detail] = []
    address = accepted_email(email, faults)
    user = None
    if not faults:
        with database.read() as connection:
            user = users.by_email(connection, address)
    is_right = matches(password, user.password_hash if user else hash_of_nobody(cost))
    if user is None or not is_right or user.is_disabled or (user.is_demo and not demo_allowed):
        raise Unauthenticated(WRONG_CREDENTIALS)
    return user


def sign_out(database: Database, tokens: Iterable[tuple[str, str]], *, now: str) -> bool:
    """Refuse tokens from now on.

    Parameters
    ----------
    tokens
        The id (`jti`) of each, and when it expires.
    now
        The present moment by the clock that tokens live by.

    Returns
    -------
    bool
        False where one of them was refused already.
    """
    with database.write() as connection:
        fresh = [users.revoke(connection, jti, expires_at=expires_at, now=now) for jti, expires_at in tokens]
    return all(fresh)


def sign_out_everywhere(database: Database, *, clock: Clock, user_id: int, actor: Actor) -> None:
    """End every session of one person."""
    now = iso(clock())
    with database.write() as connection:
        users.change(connection, user_id, now=now, end_sessions=True)
        action, subject = "user.signed_out_everywhere", f"user:{user_id}"
        audit.record(connection, action, at=now, actor=actor, subject=subject)


# --- accounts are made ----------------------------------------------------------------------------------------------


class NewUser(TypedDict):
    """An account to be made, the clock, and the cost of hashing its password."""

    clock: Clock
    cost: int
    email: str
    password: str
    name: str
    role: Role


def register(database: Database, *, is_open: bool, request_id: str | None = None, **new: Unpack[NewUser]) -> User:
    """Open an account for the person who asks, if registration is open.

    Raises
    ------
    Forbidden
        Registration is closed.
    InvalidInput, Conflict
        See `create_user`.
    """
    if not is_open:
        raise Forbidden("Registration is closed here. Ask an administrator for an account.")
    return create_user(database, actor=Actor(request_id=request_id), action="user.registered", **new)


def create_user(
    database: Database, *, actor: Actor = COMMAND_LINE, action: str = "user.created", **new: Unpack[NewUser]
) -> User:
    """Make an account for somebody.

    Raises
    ------
    InvalidInput
        The address, name or password won't do; `details` says which and why.
    Conflict
        The address has an account.
    """
    faults: list[Detail] = []
    address, called = accepted_email(new["email"], faults), accepted_name(new["name"], faults)
    accepted_password(new["password"], address, "password", faults)
    refuse(faults)
    hashed, role = hash_of(new["password"], new["cost"]), new["role"]
    now = iso(new["clock"]())
    with database.write() as connection:
        user_id = users.add(connection, email=address, password_hash=hashed, name=called, role=role, now=now)
        if user_id is None:
            raise Conflict("An account with this e-mail address exists already.")
        subject = f"user:{user_id} {role}"
        audit.record(connection, action, at=now, actor=actor, subject=subject)
        return _there(users.by_id(connection, user_id))


# --- accounts are changed -------------------------------------------------------------------------------------------


def change_password(
    database: Database, *, clock: Clock, cost: int, user_id: int, current_password: str, new_password: str, actor: Actor
) -> User:
    """Set a new password, knowing the present one. Every session ends.

    Raises
    ------
    InvalidInput
        The present password is wrong, or the new one won't do.
    """
    with database.read() as connection:
        user = _there(users.by_id(connection, user_id))
    faults: list[Detail] = []
    if not matches(current_password, user.password_hash):
        faults.append({"field": "current_password", "message": "This is not your present password."})
    accepted_password(new_password, user.email, "new_password", faults)
    refuse(faults)
    hashed = hash_of(new_password, cost)
    now = iso(clock())
    with database.write() as connection:
        users.change(connection, user_id, now=now, end_sessions=True, password_hash=hashed)
        action, subject = "user.password_changed", f"user:{user_id}"
        audit.record(connection, action, at=now, actor=actor, subject=subject)
        return _there(users.by_id(connection, user_id))


def change_user(
    database: Database,
    user_id: int,
    *,
    clock: Clock,
    cost: int,
    actor: Actor = COMMAND_LINE,
    role: Role | None = None,
    disabled: bool | None = None,
    name: str | None = None,
    new_password: str | None = None,
) -> User:
    """Change what is given of one person, all of it or nothing.

    A new password, and being disabled, end every session; a new role holds from the next request.

    Raises
    ------
    NotFound, InvalidInput
        Nobody has this number; the name or password won't do.
    Conflict
        It would leave nobody who can administer.
    """
    with database.read() as connection:
        email = _there(users.by_id(connection, user_id)).email
    called = _accepted(name, new_password, email)
    hashed = None if new_password is None else hash_of(new_password, cost)
    now = iso(clock())
    with database.write() as connection:
        user = _there(users.by_id(connection, user_id))
        if _gives_up_admin(user, role, disabled) and users.enabled_admins(connection) == 1:
            raise Conflict(LAST_ADMIN)
        columns, said = _changes(user, called, role, disabled, hashed, now)
        if columns:
            users.change(connection, user_id, now=now, end_sessions=not ENDS_SESSIONS.isdisjoint(columns), **columns)
        for action, subject in said:
            audit.record(connection, action, at=now, actor=actor, subject=subject)
        return _there(users.by_id(connection, user_id))


def _accepted(name: str | None, password: str | None, email: str) -> str | None:
    faults: list[Detail] = []
    if password is not None:
        accepted_password(password, email, "new_password", faults)
    called = None if name is None else accepted_name(name, faults)
    refuse(faults)
    return called


def _gives_up_admin(user: User, role: Role | None, disabled: bool | None) -> bool:
    can_administer = user.role == "admin" and not user.is_disabled
    return can_administer and (role not in (None, "admin") or disabled is True)


def _changes(
    user: User, name: str | None, role: Role | None, disabled: bool | None, hashed: str | None, now: str
) -> tuple[dict[str, str | None], list[tuple[str, str]]]:
    columns: dict[str, str | None] = {}
    said: list[tuple[str, str]] = []
    subject = f"user:{user.id}"
    if name is not None and name != user.name:
        columns["name"] = name
        said.append(("user.renamed", subject))
    if role is not None and role != user.role:
        columns["role"] = role
        said.append(("user.role_changed", f"{subject} {user.role} -> {role}"))
    if disabled is not None and disabled != user.is_disabled:
        columns["disabled_at"] = now if disabled else None
        said.append(("user.disabled" if disabled else "user.enabled", subject))
    if hashed is not None:
        columns["password_hash"] = hashed
        said.append(("user.password_reset", subject))
    return columns, said


def _there(user: User | None) -> User:
    if user is None:
        raise NotFound("User not found")
    return user
