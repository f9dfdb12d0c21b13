"""Accounts: registration, passwords, roles.

Law: a password is hashed and compared outside of any write transaction, and never appears in a message, a log or an
error. Every function here takes a database and owns its transaction.
"""

from __future__ import annotations

from typing import TypedDict, Unpack

from database.accounts import api_keys, audit, users
from database.accounts.audit import COMMAND_LINE, Actor
from database.accounts.users import User
from database.engine.session import Connection, Database
from database.jobs import job_lists, jobs
from gateway.services.accounts.credentials import (
    Recheck,
    accepted_email,
    accepted_name,
    accepted_password,
    hash_of,
    matches,
    no_session,
    refuse,
)
from gateway.services.accounts.demo_account import create_demo_account, remove_demo_account
from gateway.services.accounts.guesses import Guesses
from gateway.settings import Role
from shared.clock import Clock, iso
from shared.errors import Conflict, Detail, Forbidden, NotFound

__all__ = [
    "COMMAND_LINE",
    "Actor",
    "change_password",
    "change_user",
    "create_demo_account",
    "create_user",
    "register",
    "remove_demo_account",
]
ENDS_ACCESS = frozenset({"disabled_at", "password_hash"})
NOT_PRESENT: Detail = {"field": "current_password", "message": "This is not your present password."}
LAST_ADMIN = "This is the last administrator who can sign in. Make another one first."


# --- creating accounts ----------------------------------------------------------------------------------------------


class NewUser(TypedDict):
    """An account to be made, the clock, and the cost of hashing its password."""

    clock: Clock
    cost: int
    email: str
    password: str
    name: str
    role: Role


def register(database: Database, *, is_open: bool, request_id: str | None = None, **new: Unpack[NewUser]) -> User:
    """Create an account at the request of its owner, if registration is open.

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
    database: Database,
    *,
    actor: Actor = COMMAND_LINE,
    action: str = "user.created",
    recheck: Recheck = no_session,
    **new: Unpack[NewUser],
) -> User:
    """Create an account; `recheck` checks the actor's session again, in the transaction that adds it.

    Raises
    ------
    InvalidInput
        The address, name or password is not accepted; `details` gives the fields and reasons.
    Conflict
        The address already has an account.
    """
    faults: list[Detail] = []
    address, called = accepted_email(new["email"], faults), accepted_name(new["name"], faults)
    accepted_password(new["password"], "password", faults, about=(address, called))
    refuse(faults)
    hashed, role = hash_of(new["password"], new["cost"]), new["role"]
    now = iso(new["clock"]())
    with database.write() as connection:
        recheck(connection)
        user_id = users.add(connection, email=address, password_hash=hashed, name=called, role=role, now=now)
        if user_id is None:
            raise Conflict("An account with this e-mail address exists already.")
        subject = f"user:{user_id} {role}"
        audit.record(connection, action, at=now, actor=actor, subject=subject)
        return _require(users.by_id(connection, user_id))


# --- changing accounts ----------------------------------------------------------------------------------------------


def change_password(
    database: Database,
    *,
    clock: Clock,
    cost: int,
    user_id: int,
    current_password: str,
    new_password: str,
    actor: Actor,
    guesses: Guesses,
) -> User:
    """Set a new password, given the present one. Every session and every key ends.

    Raises
    ------
    InvalidInput
        The present password is wrong, or was replaced while it was compared; the new one is not accepted.
    RateLimited
        Too many wrong passwords were given.
    """
    with database.read() as connection:
        user = _require(users.by_id(connection, user_id))
    faults: list[Detail] = []
    _check_current_password(user, current_password, guesses, faults)
    accepted_password(new_password, "new_password", faults, about=(user.email, user.name))
    refuse(faults)
    hashed = hash_of(new_password, cost)
    now = iso(clock())
    with database.write() as connection:
        _require_unchanged(connection, user)
        users.change(connection, user_id, now=now, end_sessions=True, password_hash=hashed)
        action, subject = "user.password_changed", f"user:{user_id}"
        audit.record(connection, action, at=now, actor=actor, subject=subject)
        _end_keys(connection, user_id, now, actor)
        return _require(users.by_id(connection, user_id))


def _check_current_password(user: User, current_password: str, guesses: Guesses, faults: list[Detail]) -> None:
    if guesses.compare(user.email, lambda: matches(current_password, user.password_hash)):
        guesses.was_right(user.email)
    else:
        faults.append(NOT_PRESENT)


def _require_unchanged(connection: Connection, compared: User) -> None:
    """Refuse a password that was right when it was compared, if the account's sessions have been ended since.

    Comparing and hashing take half a second, in which an administrator may have set another password.
    """
    if _require(users.by_id(connection, compared.id)).token_version != compared.token_version:
        refuse([NOT_PRESENT])


def _end_keys(connection: Connection, user_id: int, now: str, actor: Actor) -> None:
    # Somebody who knew the old password may have made these keys.
    for key_id, owner in api_keys.revoke_of(connection, user_id, now):
        audit.record(connection, "key.revoked", at=now, actor=actor, subject=f"key:{key_id} user:{owner}")


def _cancel_jobs(connection: Connection, user_id: int, now: str, actor: Actor) -> None:
    # A disabled user must not go on changing data by jobs that were queued before.
    for job_id in job_lists.unended_of(connection, user_id):
        jobs.request_cancel(connection, job_id, now, actor)


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
    proof: tuple[str, Guesses] | None = None,
    recheck: Recheck = no_session,
) -> User:
    """Change the given fields of one user, all or none.

    A new password or being disabled ends every session and every key; being disabled cancels the jobs that the user
    asked for, as far as jobs can be cancelled; a new role applies from the next request.

    Parameters
    ----------
    proof
        The present password, and the count of its guesses: for a new password of the actor's own.
    recheck
        Checks the actor's session again, in the transaction of the change.

    Raises
    ------
    NotFound, InvalidInput
        There is no such user; the name or password is not accepted.
    Conflict
        It would leave no administrator who can sign in.
    """
    with database.read() as connection:
        user = _require(users.by_id(connection, user_id))
    called = _accepted(user, name, new_password, proof, is_own=actor.user_id == user_id)
    hashed = None if new_password is None else hash_of(new_password, cost)
    now = iso(clock())
    with database.write() as connection:
        recheck(connection)
        if hashed is not None and proof is not None:
            _require_unchanged(connection, user)
        user = _require(users.by_id(connection, user_id))
        if _removes_admin(user, role, disabled) and users.enabled_admins(connection) == 1:
            raise Conflict(LAST_ADMIN)
        columns, entries = _changes(user, called, role, disabled, hashed, now)
        ends_access = not ENDS_ACCESS.isdisjoint(columns)
        if columns:
            users.change(connection, user_id, now=now, end_sessions=ends_access, **columns)
        for action, subject in entries:
            audit.record(connection, action, at=now, actor=actor, subject=subject)
        if ends_access:
            _end_keys(connection, user_id, now, actor)
        if columns.get("disabled_at") is not None:
            _cancel_jobs(connection, user_id, now, actor)
        return _require(users.by_id(connection, user_id))


def _accepted(
    user: User, name: str | None, password: str | None, proof: tuple[str, Guesses] | None, *, is_own: bool
) -> str | None:
    faults: list[Detail] = []
    if password is not None:
        if is_own and proof is not None:
            _check_current_password(user, *proof, faults)
        elif is_own:
            faults.append({"field": "current_password", "message": "Give your present password to change your own."})
        accepted_password(password, "new_password", faults, about=(user.email, name or user.name))
    called = None if name is None else accepted_name(name, faults)
    refuse(faults)
    return called


def _removes_admin(user: User, role: Role | None, disabled: bool | None) -> bool:
    can_administer = user.role == "admin" and not user.is_disabled
    return can_administer and (role not in (None, "admin") or disabled is True)


def _changes(
    user: User, name: str | None, role: Role | None, disabled: bool | None, hashed: str | None, now: str
) -> tuple[dict[str, str | None], list[tuple[str, str]]]:
    columns: dict[str, str | None] = {}
    entries: list[tuple[str, str]] = []
    subject = f"user:{user.id}"
    if name is not None and name != user.name:
        columns["name"] = name
        entries.append(("user.renamed", subject))
    if role is not None and role != user.role:
        columns["role"] = role
        entries.append(("user.role_changed", f"{subject} {user.role} -> {role}"))
    if disabled is not None and disabled != user.is_disabled:
        columns["disabled_at"] = now if disabled else None
        entries.append(("user.disabled" if disabled else "user.enabled", subject))
    if hashed is not None:
        columns["password_hash"] = hashed
        entries.append(("user.password_reset", subject))
    return columns, entries


def _require(user: User | None) -> User:
    if user is None:
        raise NotFound("User not found")
    return user
