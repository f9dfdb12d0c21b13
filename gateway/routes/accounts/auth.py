"""Signing in and out, and one's own account.

Law: the fields that old clients send and read at login and register stay as documented; others are only added.
"""

from __future__ import annotations

from typing import Literal

from flask import Response
from pydantic import BaseModel, Field, StrictBool

from database.accounts.users import User
from gateway.openapi import Body, Legacy, answers, blueprint, ok
from gateway.routes.accounts.fields import NewEmail, NewPassword, PersonName
from gateway.security import limits, tokens
from gateway.security.authentication import Caller, current_user, name_in_log
from gateway.services.accounts import accounts, sessions
from gateway.settings import Role
from gateway.web_environment import environment
from shared.clock import iso, utc_now
from shared.errors import TokenRejected
from shared.web.request_ids import request_id

bp = blueprint("auth", __name__, prefix="/api/auth", signed_in=False)
_SIGNED_IN: list[dict[str, list[str]]] = [{"bearer": []}, {"cookie": []}]


class Login(Legacy):
    email: str = Field(examples=["name@example.com"])
    password: str
    cookie: StrictBool = Field(False, description="Also open a session by httpOnly cookies, for a page of this origin")


class Register(Legacy):
    email: NewEmail
    password: NewPassword
    name: PersonName


class Logout(Body):
    refresh_token: str | None = Field(
        None, description="A refresh token of another session of this account: end that session too"
    )
    everywhere: StrictBool = Field(False, description="End every session of this account")


class PasswordChange(Body):
    current_password: str
    new_password: NewPassword


class Person(BaseModel):
    id: int
    email: str
    name: str
    role: Role


class SignedIn(BaseModel):
    token: str = Field(description="Access token: `Authorization: Bearer <token>`; empty where cookies hold it")
    refresh_token: str = Field(description="Gets a new pair from auth/refresh, once; empty where cookies hold it")
    user: Person


class SignedOut(BaseModel):
    signed_out: Literal[True]


@bp.post("/login", summary="Sign in", responses=answers(SignedIn, also=(401,)))
def login(body: Login) -> Response:
    """Wrong credentials get the same answer in the same time, whether or not the account exists."""
    env = environment()
    user = sessions.authenticate(
        env.database,
        email=body.email,
        password=body.password,
        cost=env.settings.bcrypt_cost,
        demo_allowed=env.settings.app_env != "production",
        guesses=limits.guesses(),
    )
    replaced = tokens.family_of_cookies() if body.cookie else None
    if replaced is not None:
        sessions.sign_out(env.database, [replaced], until=tokens.family_end(), now=iso(utc_now()))
    return _signed_in(user, by_cookie=body.cookie, message="Login successful")


@bp.post("/register", summary="Open an account", responses=answers(SignedIn, status=201, also=(403, 409)))
def register(body: Register) -> Response:
    """In production only where OPEN_REGISTRATION is on."""
    env = environment()
    user = accounts.register(
        env.database,
        clock=env.clock,
        cost=env.settings.bcrypt_cost,
        email=body.email,
        password=body.password,
        name=body.name,
        role=env.settings.register_role,
        is_open=env.settings.registration_is_open,
        request_id=request_id(),
    )
    return _signed_in(user, message="User registered successfully", status=201)


@bp.post(
    "/refresh",
    summary="New tokens for a refresh token",
    responses=answers(SignedIn, also=(401, 403)),
    security=_SIGNED_IN,
)
def refresh() -> Response:
    """Send the refresh token as bearer, or by cookie. It works once; used twice, it ends its session."""
    claims, by_cookie = tokens.refresh_claims()
    user = sessions.renew(
        environment().database,
        user_id=claims.user_id,
        token_version=claims.token_version,
        token=(claims.jti, claims.expires_at),
        family=(claims.family, tokens.family_end()),
        now=iso(utc_now()),
        request_id=request_id(),
    )
    if user is None:
        raise TokenRejected(tokens.REJECTED)
    return _signed_in(user, renewed=claims, by_cookie=by_cookie)


@bp.post("/logout", summary="Sign out", responses=answers(SignedOut, also=(401, 403)), security=_SIGNED_IN)
def logout(body: Logout) -> Response:
    """Ends the session with all its tokens, and another session if its refresh token is sent."""
    env, session = environment(), tokens.session()
    also = tokens.refresh_token_of(session.user, body.refresh_token)
    families = {session.claims.family, *([also.family] if also else [])}
    sessions.sign_out(env.database, families, until=tokens.family_end(), now=iso(utc_now()))
    if body.everywhere:
        sessions.sign_out_everywhere(env.database, clock=env.clock, user_id=session.user.id, actor=current_user().actor)
    response = ok(SignedOut(signed_out=True), message="Signed out")
    tokens.unset_cookies(response)
    return response


@bp.get("/me", summary="The signed-in account", responses=answers(Person, also=(401, 403)), security=_SIGNED_IN)
def me() -> Response:
    """The account this token belongs to."""
    return ok(Person.model_validate(current_user(), from_attributes=True))


@bp.post("/password", summary="Change my password", responses=answers(SignedIn, also=(401, 403)), security=_SIGNED_IN)
def password(body: PasswordChange) -> Response:
    """Every session and every API key ends; the answer holds the tokens of a new session."""
    env, session = environment(), tokens.session()
    user = accounts.change_password(
        env.database,
        clock=env.clock,
        cost=env.settings.bcrypt_cost,
        user_id=session.user.id,
        current_password=body.current_password,
        new_password=body.new_password,
        actor=current_user().actor,
        guesses=limits.guesses(),
    )
    return _signed_in(user, by_cookie=session.by_cookie, message="Password changed")


def _signed_in(
    user: User,
    *,
    renewed: tokens.Claims | None = None,
    by_cookie: bool = False,
    message: str | None = None,
    status: int = 200,
) -> Response:
    name_in_log(Caller(user, user.role))
    pair = tokens.issue(user, renewed)
    person = Person.model_validate(user, from_attributes=True)
    # Scripts of the page must not read the tokens, so a cookie session gets none in the body.
    access, spare = ("", "") if by_cookie else (pair.access, pair.refresh)
    signed_in = SignedIn(token=access, refresh_token=spare, user=person)
    response = ok(signed_in, message=message, status=status)
    if by_cookie:
        tokens.set_cookies(response, pair)
    return response
