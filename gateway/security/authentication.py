"""Identifies the caller of a request: a person by a token, or a machine by a key.

Law: a key can't do what its owner's or its maker's present role can't, and disabling either invalidates it. An invalid
key is answered like any other bad token, whatever is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from flask import g, request

from database.accounts.api_keys import Key
from database.accounts.audit import Actor
from database.accounts.users import User
from database.engine.session import Connection
from gateway.security import tokens
from gateway.services.accounts import api_keys
from gateway.services.accounts.api_keys import RANK
from gateway.web_environment import environment
from shared.errors import Forbidden, ServiceError, TokenRejected
from shared.web.request_ids import request_id

KEY_HEADER = "X-API-Key"


@dataclass(frozen=True)
class CurrentUser:
    """The caller as routes see it; `role` is the role that the request is checked against."""

    id: int
    email: str
    name: str
    role: str
    key_id: int | None = None

    @property
    def actor(self) -> Actor:
        """Return this caller for the audit log."""
        return Actor(self.id, request_id(), self.key_id)


@dataclass(frozen=True)
class Caller:
    """A person, and the key they act by, if any."""

    user: User
    role: str
    key: Key | None = None


def caller() -> Caller:
    """Return the caller of the present request; the database is read once, however often this is called.

    Raises
    ------
    Unauthenticated
        Neither token nor key was sent.
    TokenRejected
        The token or key is not valid.
    """
    if "caller" not in g:
        try:
            g.caller = _find()
            name_in_log(g.caller)
        except ServiceError as error:
            g.caller = error
    found: Caller | ServiceError = g.caller
    if isinstance(found, ServiceError):
        raise found
    return found


def current_user() -> CurrentUser:
    """Return the caller of the present request as routes see it; raises as `caller` does."""
    found = caller()
    user, key_id = found.user, found.key.id if found.key else None
    return CurrentUser(id=user.id, email=user.email, name=user.name, role=found.role, key_id=key_id)


def check_again(connection: Connection) -> None:
    """Check the session of the present request once more, in the transaction that changes who gets in.

    A request may wait for seconds between its admission and its write, and a new password may end its session
    meanwhile: a key or an account that it made then would outlive what ended the session.

    Raises
    ------
    TokenRejected
        The session has ended.
    Forbidden
        The account has a lower role now.
    """
    admitted = tokens.session()
    user = tokens.user_of(connection, admitted.claims)
    if RANK[user.role] < RANK[admitted.user.role]:
        raise Forbidden(f"Your role was changed to {user.role} while this request waited; nothing was changed.")


def name_in_log(found: Caller) -> None:
    """Add the ids of the caller and of their key to this request's further log lines."""
    key = {"key": found.key.id} if found.key else {}
    structlog.contextvars.bind_contextvars(user=found.user.id, **key)


def _find() -> Caller:
    secret = _presented()
    if secret is None:
        user = tokens.session().user
        return Caller(user, user.role)
    env = environment()
    found = api_keys.authenticate_key(
        env.database, secret, clock=env.clock, demo_allowed=env.settings.app_env != "production"
    )
    if found is None:
        raise TokenRejected(tokens.REJECTED)
    return Caller(found.user, found.role, found.key)


def _presented() -> str | None:
    scheme, _, given = request.headers.get("Authorization", "").strip().partition(" ")
    given = given.strip()
    if scheme.lower() == "bearer" and given:
        return given if given.startswith(api_keys.BEGINNING) else None
    return request.headers.get(KEY_HEADER, "").strip() or None
