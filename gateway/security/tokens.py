"""Tokens: issued, read from header or cookie, and checked against the user's row.

Law: a token is valid only while its user exists, is not disabled and has the same token version, and neither the token
nor its family is revoked (a family is all tokens that follow from one sign-in). A family ends REFRESH_TOKEN_DAYS after
its sign-in, however often it was refreshed. A valid token is looked up again after any commit (`gateway.query_cache`).
Tokens expire by the wall clock, not the app's clock, because the library uses no other; expiry is checked on every
request.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from flask import Flask, Response, current_app, g, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    decode_token,
    set_access_cookies,
    set_refresh_cookies,
    unset_jwt_cookies,
)
from flask_jwt_extended.exceptions import CSRFError, JWTExtendedException
from jwt.exceptions import PyJWTError

from database.accounts import users
from database.accounts.users import User
from database.engine.session import Connection
from gateway.settings import Settings
from gateway.web_environment import environment
from shared.clock import iso
from shared.errors import ServiceError, TokenRejected, Unauthenticated
from shared.parsing_limits import MAX_INT64

Kind = Literal["access", "refresh"]
MISSING = "Access token required"
REJECTED = "Invalid or expired token"
#: Told to callers whose session is by cookie: their token may be good.
NO_CSRF = "A session by cookies sends the header {header} with the value of its cookie {cookie}; {fault}."
CSRF_HEADER = "X-CSRF-TOKEN"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,19}")
_LAST_SECOND = 253_402_300_799  # of the year 9999, the last that a datetime can hold
#: Added so that a revocation outlives every token of the family.
_FAMILY_MARGIN = timedelta(days=1)


@dataclass(frozen=True)
class Claims:
    """The claims of a token with a right signature."""

    user_id: int
    token_version: int
    jti: str
    expires_at: str
    family: str


@dataclass(frozen=True)
class Session:
    """A valid token and its user."""

    user: User
    claims: Claims
    by_cookie: bool


@dataclass(frozen=True)
class Tokens:
    """The tokens of a new or renewed session."""

    access: str
    refresh: str
    access_life: timedelta
    refresh_life: timedelta


def install(app: Flask, settings: Settings) -> None:
    """Configure the JWT library for our tokens and cookies."""
    # A browser accepts a cookie with this prefix only from this host over TLS: no other host can set one.
    prefix, refresh_path = ("__Host-", "/") if settings.behind_tls else ("", "/api/auth")
    app.config.update(
        JWT_SECRET_KEY=settings.signing_secret,
        JWT_ALGORITHM="HS256",
        JWT_TOKEN_LOCATION=["headers", "cookies"],
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(hours=settings.access_token_hours),
        JWT_REFRESH_TOKEN_EXPIRES=timedelta(days=settings.refresh_token_days),
        JWT_COOKIE_SECURE=settings.behind_tls,
        JWT_COOKIE_SAMESITE="Strict",
        JWT_REFRESH_COOKIE_PATH=refresh_path,
        JWT_ACCESS_COOKIE_NAME=f"{prefix}access_token_cookie",
        JWT_REFRESH_COOKIE_NAME=f"{prefix}refresh_token_cookie",
        JWT_ACCESS_CSRF_COOKIE_NAME=f"{prefix}csrf_access_token",
        JWT_REFRESH_CSRF_COOKIE_NAME=f"{prefix}csrf_refresh_token",
    )
    JWTManager(app)


def issue(user: User, renewed: Claims | None = None) -> Tokens:
    """Issue tokens to an authenticated user: in a new family, or in a refresh token's, which ends with that token."""
    settings = environment().settings
    family, left = secrets.token_hex(16), timedelta(days=settings.refresh_token_days)
    if renewed is not None:
        # At least a second: the library reads zero as "never expires".
        left = max(datetime.fromisoformat(renewed.expires_at) - datetime.now(UTC), timedelta(seconds=1))
        family = renewed.family
    access_life = min(timedelta(hours=settings.access_token_hours), left)
    claims = {"role": user.role, "token_version": user.token_version, "family": family}
    identity = str(user.id)
    return Tokens(
        access=create_access_token(identity, expires_delta=access_life, additional_claims=claims),
        refresh=create_refresh_token(identity, expires_delta=left, additional_claims=claims),
        access_life=access_life,
        refresh_life=left,
    )


def set_cookies(response: Response, tokens: Tokens) -> None:
    """Set the cookies of our page's session: two httpOnly ones, and two with CSRF values that the page sends back."""
    set_access_cookies(response, tokens.access, max_age=int(tokens.access_life.total_seconds()))
    set_refresh_cookies(response, tokens.refresh, max_age=int(tokens.refresh_life.total_seconds()))


def unset_cookies(response: Response) -> None:
    """End the page's session in the browser."""
    unset_jwt_cookies(response)


def session() -> Session:
    """Return the present request's access token, checked; the database is read once, however often this is called.

    Raises
    ------
    Unauthenticated
        There is no token.
    TokenRejected
        The token is malformed, expired, revoked, from another server or without a user, or the header with its CSRF
        value is missing or wrong.
    """
    if "session" not in g:
        try:
            g.session = _session()
        except ServiceError as error:
            g.session = error
    found: Session | ServiceError = g.session
    if isinstance(found, ServiceError):
        raise found
    return found


def refresh_claims() -> tuple[Claims, bool]:
    """Return the claims of the present request's refresh token, and whether it came by cookie.

    Revocation is not checked here: `sessions.renew` has to recognise a token that was used before.

    Raises
    ------
    Unauthenticated, TokenRejected
    """
    token, csrf, by_cookie = _presented("refresh")
    return read(token, "refresh", csrf), by_cookie


def family_end() -> str:
    """Return until when the revocation of a family that ends now has to be kept."""
    return iso(datetime.now(UTC) + timedelta(days=environment().settings.refresh_token_days) + _FAMILY_MARGIN)


def refresh_token_of(user: User, given: str | None) -> Claims | None:
    """Return the refresh token to revoke with a session: the given one or the cookie; None unless it is this user's."""
    token = given or _cookie("refresh")
    if not token:
        return None
    try:
        claims = read(token, "refresh")
    except TokenRejected:
        return None  # expired or foreign: nothing to revoke
    return claims if claims.user_id == user.id else None


def family_of_cookies() -> str | None:
    """Return the token family in this browser's cookies, which new cookies would replace."""
    token = _cookie("refresh")
    try:
        return read(token, "refresh").family if token else None
    except TokenRejected:
        return None  # expired or invalid


def read(token: str, kind: Kind, csrf: str | None = None) -> Claims:
    """Return the claims of a token that this server signed and that has not expired.

    Raises
    ------
    TokenRejected
    """
    try:
        payload: dict[str, Any] = decode_token(token, csrf)
        claims = _claims(payload) if payload.get("type") == kind else None
    except CSRFError:
        raise TokenRejected(_csrf_fault(kind, "it has another value")) from None
    # The last three: values that only a holder of the secret can write, and that make the library fail.
    except (PyJWTError, JWTExtendedException, ValueError, OverflowError, TypeError):
        claims = None
    if claims is None:
        raise TokenRejected(REJECTED)
    return claims


def _claims(payload: dict[str, Any]) -> Claims | None:
    sub, version, jti, expires = (payload.get(name) for name in ("sub", "token_version", "jti", "exp"))
    family = payload.get("family", jti)
    # A token of the old backend can have a valid signature, but lacks these claims.
    if not (isinstance(sub, str) and isinstance(version, int) and isinstance(jti, str) and isinstance(expires, int)):
        return None
    if not (isinstance(family, str) and _ID.fullmatch(jti) and _ID.fullmatch(family) and _NUMBER.fullmatch(sub)):
        return None
    if int(sub) > MAX_INT64 or not 0 <= version <= MAX_INT64 or expires > _LAST_SECOND:
        return None
    return Claims(int(sub), version, jti, iso(datetime.fromtimestamp(expires, UTC)), family)


def _session() -> Session:
    token, csrf, by_cookie = _presented("access")
    if csrf is not None:
        return _checked(token, csrf, by_cookie)
    key = ("session", by_cookie, token)
    found = environment().query_cache.get_or_read(key, lambda: _checked(token, None, by_cookie))
    # A cached session is up to date in everything but its expiry.
    if found.claims.expires_at <= iso(datetime.now(UTC)):
        raise TokenRejected(REJECTED)
    return found


def _checked(token: str, csrf: str | None, by_cookie: bool) -> Session:
    claims = read(token, "access", csrf)
    with environment().database.connect() as connection:
        return Session(user_of(connection, claims), claims, by_cookie)


def user_of(connection: Connection, claims: Claims) -> User:
    """Return the user of a token's claims. Raises TokenRejected if its session has ended."""
    user = users.signed_in(
        connection, claims.user_id, token_version=claims.token_version, jti=claims.jti, family=claims.family
    )
    if user is None:
        raise TokenRejected(REJECTED)
    return user


def _presented(kind: Kind) -> tuple[str, str | None, bool]:
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip(), None, False
    cookie = _cookie(kind)
    if not cookie:
        raise Unauthenticated(MISSING)
    if request.method in SAFE_METHODS:
        return cookie, None, True
    csrf = request.headers.get(CSRF_HEADER, "")
    # An empty value would skip the comparison; a non-ASCII one can't be compared.
    if not csrf or not csrf.isascii():
        raise TokenRejected(_csrf_fault(kind, "it is missing" if not csrf else "it has another value"))
    return cookie, csrf, True


def _csrf_fault(kind: Kind, fault: str) -> str:
    cookie = current_app.config[f"JWT_{kind.upper()}_CSRF_COOKIE_NAME"]
    return NO_CSRF.format(header=CSRF_HEADER, cookie=cookie, fault=fault)


def _cookie(kind: Kind) -> str | None:
    return request.cookies.get(current_app.config[f"JWT_{kind.upper()}_COOKIE_NAME"])
