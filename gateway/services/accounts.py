"""Accounts: who may sign in, with which password, in which role.

Law: a password is hashed and compared outside of any write transaction, and never stands in a message, a log or an
error. It is hashed by SHA-256 and base64 first, because bcrypt reads 72 bytes at most; never keyed with a secret of
the server, or changing that secret would lock everyone out.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import bcrypt
from email_validator import EmailNotValidError, validate_email

from database import users
from database.session import Database
from database.users import User
from gateway.settings import Role
from shared.clock import Clock, iso
from shared.errors import Conflict, Detail, Forbidden, InvalidInput, NotFound, Unauthenticated

MAX_EMAIL_LENGTH = 254
MAX_NAME_LENGTH = 100
MIN_PASSWORD_LENGTH, MAX_PASSWORD_LENGTH = 8, 200
DEMO_EMAIL, DEMO_PASSWORD, DEMO_NAME = "alex.chen@netflix.com", "password", "Alex Chen"
WRONG_CREDENTIALS = "Invalid email or password"
LAST_ADMIN = "This is the last administrator who can sign in. Make another one first."


@dataclass(frozen=True)
class Doer:
    """Who asked for a change, for the audit log; nobody signed in for the command line and for registration."""

    user_id: int | None = None
    request_id: str | None = None


COMMAND_LINE = Doer()
# The fifty most common ones among those long enough to be let in otherwise.
COMMON_PASSWORDS = frozenset(
    """
    password password1 password12 password123 passw0rd p@ssw0rd p@ssword 12345678 123456789 1234567890 0123456789
    987654321 9876543210 11111111 111111111 00000000 88888888 12341234 11223344 12344321 87654321 123123123 147258369
    789456123 1q2w3e4r 1q2w3e4r5t 1qaz2wsx qwertyui qwertyuiop qwerty12 qwerty123 qwer1234 asdfghjk asdfghjkl zxcvbnm1
    abcd1234 abc12345 a1234567 a12345678 aa123456 iloveyou sunshine princess football baseball superman welcome1
    trustno1 changeme letmein1
    """.split()
)


# --- signing in -----------------------------------------------------------------------------------------------------


def authenticate(database: Database, *, email: str, password: str, cost: int, demo_allowed: bool) -> User:
    """Who this is.

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
    address = _email(email, faults)
    user = None
    if not faults:
        with database.read() as connection:
            user = users.by_email(connection, address)
    is_right = _matches(password, user.password_hash if user else _hash_of_nobody(cost))
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
        return all([users.revoke(connection, jti, expires_at=expires_at, now=now) for jti, expires_at in tokens])


def sign_out_everywhere(database: Database, *, clock: Clock, user_id: int, by: Doer) -> None:
    """End every session of one person."""
    now = iso(clock())
    with database.write() as connection:
        users.end_sessions(connection, user_id, now=now)
        _record(connection, "user.signed_out_everywhere", user_id, now, by)


# --- accounts are made ----------------------------------------------------------------------------------------------


def register(
    database: Database,
    *,
    clock: Clock,
    cost: int,
    email: str,
    password: str,
    name: str,
    role: Role,
    is_open: bool,
    request_id: str | None = None,
) -> User:
    """Open an account for whoever asks.

    Raises
    ------
    Forbidden
        Registration is closed.
    InvalidInput, Conflict
        See `create_user`.
    """
    if not is_open:
        raise Forbidden("Registration is closed here. Ask an administrator for an account.")
    by = Doer(request_id=request_id)
    return create_user(
        database, clock=clock, cost=cost, email=email, password=password, name=name, role=role, by=by, action="user.registered"
    )


def create_user(
    database: Database,
    *,
    clock: Clock,
    cost: int,
    email: str,
    password: str,
    name: str,
    role: Role,
    by: Doer = COMMAND_LINE,
    action: str = "user.created",
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
    address, called = _email(email, faults), _name(name, faults)
    _password(password, address, "password", faults)
    _refuse(faults)
    hashed = _hash(password, cost)
    now = iso(clock())
    with database.write() as connection:
        user_id = users.add(connection, email=address, password_hash=hashed, name=called, role=role, now=now)
        if user_id is None:
            raise Conflict("An account with this e-mail address exists already.")
        _record(connection, action, user_id, now, by, f" {role}")
        return _there(users.by_id(connection, user_id))


def create_demo_account(database: Database, *, clock: Clock, cost: int, app_env: str) -> User:
    """Make the documented demo account, or return the one that is there.

    Raises
    ------
    Forbidden
        In production: its password is public.
    """
    if app_env == "production":
        raise Forbidden("The demo account has a public password and is never made in production.")
    hashed = _hash(DEMO_PASSWORD, cost)
    now = iso(clock())
    with database.write() as connection:
        users.add(
            connection, email=DEMO_EMAIL, password_hash=hashed, name=DEMO_NAME, role="analyst", now=now, is_demo=True
        )
        return _there(users.by_email(connection, DEMO_EMAIL))


def remove_demo_account(database: Database) -> bool:
    """Delete the demo account; whether there was one."""
    with database.write() as connection:
        return users.remove_demo(connection) > 0


# --- accounts are changed -------------------------------------------------------------------------------------------


def change_password(
    database: Database, *, clock: Clock, cost: int, user_id: int, current_password: str, new_password: str, by: Doer
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
    if not _matches(current_password, user.password_hash):
        faults.append({"field": "current_password", "message": "This is not your present password."})
    _password(new_password, user.email, "new_password", faults)
    _refuse(faults)
    hashed = _hash(new_password, cost)
    now = iso(clock())
    with database.write() as connection:
        _set_password(connection, user_id, hashed, "user.password_changed", now, by)
        return _there(users.by_id(connection, user_id))


def change_user(
    database: Database,
    user_id: int,
    *,
    clock: Clock,
    cost: int,
    by: Doer = COMMAND_LINE,
    role: Role | None = None,
    disabled: bool | None = None,
    name: str | None = None,
    new_password: str | None = None,
) -> User:
    """Change what is given of one person, all of it or nothing.

    A new password, and being disabled, end every session; a new role holds from the next request.

    Raises
    ------
    NotFound
        Nobody has this number.
    InvalidInput
        The name or password won't do.
    Conflict
        It would leave nobody who can administer.
    """
    with database.read() as connection:
        email = _there(users.by_id(connection, user_id)).email
    faults: list[Detail] = []
    called = None if name is None else _name(name, faults)
    if new_password is not None:
        _password(new_password, email, "new_password", faults)
    _refuse(faults)
    hashed = None if new_password is None else _hash(new_password, cost)
    now = iso(clock())
    with database.write() as connection:
        user = _there(users.by_id(connection, user_id))
        if role not in (None, "admin") or disabled:
            _keep_an_admin(connection, user)
        if called is not None and called != user.name:
            users.change(connection, user_id, now=now, name=called)
            _record(connection, "user.renamed", user_id, now, by)
        if role is not None and role != user.role:
            users.change(connection, user_id, now=now, role=role)
            _record(connection, "user.role_changed", user_id, now, by, f" {user.role} -> {role}")
        if disabled is not None and disabled != user.is_disabled:
            _set_disabled(connection, user_id, disabled, now, by)
        if hashed is not None:
            _set_password(connection, user_id, hashed, "user.password_reset", now, by)
        return _there(users.by_id(connection, user_id))


def _keep_an_admin(connection: Connection, user: User) -> None:
    if user.role == "admin" and not user.is_disabled and users.enabled_admins(connection) == 1:
        raise Conflict(LAST_ADMIN)


def _set_disabled(connection: Connection, user_id: int, disabled: bool, now: str, by: Doer) -> None:
    users.change(connection, user_id, now=now, disabled_at=now if disabled else None)
    users.end_sessions(connection, user_id, now=now)
    _record(connection, "user.disabled" if disabled else "user.enabled", user_id, now, by)


def _set_password(connection: Connection, user_id: int, hashed: str, action: str, now: str, by: Doer) -> None:
    users.change(connection, user_id, now=now, password_hash=hashed)
    users.end_sessions(connection, user_id, now=now)
    _record(connection, action, user_id, now, by)


def _record(connection: Connection, action: str, user_id: int, now: str, by: Doer, more: str = "") -> None:
    users.record(
        connection, action, at=now, by=by.user_id, subject=f"user:{user_id}{more}", request_id=by.request_id
    )


def _there(user: User | None) -> User:
    if user is None:
        raise NotFound("User not found")
    return user


# --- what is accepted -----------------------------------------------------------------------------------------------


def _refuse(faults: list[Detail]) -> None:
    if faults:
        raise InvalidInput(f"{faults[0]['field']}: {faults[0]['message']}", details=faults)


def _email(text: str, faults: list[Detail]) -> str:
    try:
        # `test_environment` lets addresses under .test in, as trials and tests use them.
        address = validate_email(text.strip(), check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError:
        address = ""
    if not address or len(address) > MAX_EMAIL_LENGTH:
        faults.append({"field": "email", "message": "Give an e-mail address, such as name@example.com."})
    return address


def _name(text: str, faults: list[Detail]) -> str:
    name = text.strip()
    # Control characters, lone surrogates and line separators.
    is_odd = any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name)
    if is_odd or not 1 <= len(name) <= MAX_NAME_LENGTH:
        message = f"Give a name of 1 to {MAX_NAME_LENGTH} characters, without control characters."
        faults.append({"field": "name", "message": message})
    return name


def _password(password: str, address: str, where: str, faults: list[Detail]) -> None:
    folded = password.casefold().strip()
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        message = f"Choose a password of {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters."
    elif address and folded == address.casefold():
        message = "Choose a password that is not your e-mail address."
    elif folded in COMMON_PASSWORDS:
        message = "This is one of the most common passwords. Choose another one."
    else:
        return
    faults.append({"field": where, "message": message})


# --- hashes ---------------------------------------------------------------------------------------------------------


def _digest(password: str) -> bytes:
    return base64.b64encode(hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest())


def _hash(password: str, cost: int) -> str:
    return bcrypt.hashpw(_digest(password), bcrypt.gensalt(cost)).decode()


def _matches(password: str, hashed: str) -> bool:
    return bcrypt.checkpw(_digest(password), hashed.encode())


def _hash_of_nobody(cost: int) -> str:
    # Well formed, so that comparing costs what it always does; the hash of no known password.
    return f"$2b${cost:02d}$" + "." * 53
