"""Accounts of other people, for administrators.

Law: `accounts` decides what may be changed; the last administrator can't be lost here.
"""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, Field, StrictBool

from database.accounts import users
from database.accounts.users import User
from gateway.openapi import Body, Keyset, answers, blueprint, ok
from gateway.routes.accounts.fields import NewEmail, NewPassword, PersonName
from gateway.security import limits
from gateway.security.authentication import check_again, current_user
from gateway.services.accounts import accounts
from gateway.settings import Role
from gateway.web_environment import environment
from shared.parsing_limits import MAX_INT64

bp = blueprint("users", __name__, prefix="/api/users")


class Page(Keyset):
    after: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="`next` of the previous page")


class UserPath(BaseModel):
    user_id: int = Field(ge=1, le=MAX_INT64)


class NewUser(Body):
    email: NewEmail
    password: NewPassword
    name: PersonName
    role: Role


class Change(Body):
    """Fields to change; either all of them are changed or none."""

    role: Role | None = None
    disabled: StrictBool | None = None
    name: PersonName | None = None
    new_password: NewPassword | None = Field(None, description="Ends the account's sessions and keys")
    current_password: str | None = Field(None, description="The present password; needed to set one's own new password")


class Account(BaseModel):
    id: int
    email: str
    name: str
    role: Role
    disabled: bool
    is_demo: bool
    created_at: str
    updated_at: str


class Accounts(BaseModel):
    users: list[Account]
    next: str | None


def _account(user: User) -> Account:
    return Account(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        disabled=user.is_disabled,
        is_demo=user.is_demo,
        created_at=user.created_at,
        updated_at=user.updated_at,
    )


@bp.get("", summary="Every account", responses=answers(Accounts))
def list_users(query: Page) -> Response:
    """In order of id."""
    with environment().database.read() as connection:
        found = users.page(connection, limit=query.limit + 1, after_id=int(query.after or 0))
    shown = found[: query.limit]
    more = str(shown[-1].id) if len(found) > query.limit else None
    return ok(Accounts(users=[_account(user) for user in shown], next=more))


@bp.post("", summary="Make an account", responses=answers(Account, status=201, also=(409,)))
def create_user(body: NewUser) -> Response:
    """The first password is given here; its owner changes it by auth/password."""
    env = environment()
    user = accounts.create_user(
        env.database,
        clock=env.clock,
        cost=env.settings.bcrypt_cost,
        email=body.email,
        password=body.password,
        name=body.name,
        role=body.role,
        actor=current_user().actor,
        recheck=check_again,
    )
    return ok(_account(user), message="User created", status=201)


@bp.patch("/<int:user_id>", summary="Change an account", responses=answers(Account, also=(404, 409)))
def change_user(path: UserPath, body: Change) -> Response:
    """The last administrator who can sign in keeps that role and stays enabled."""
    env = environment()
    proof = None if body.current_password is None else (body.current_password, limits.guesses())
    user = accounts.change_user(
        env.database,
        path.user_id,
        clock=env.clock,
        cost=env.settings.bcrypt_cost,
        actor=current_user().actor,
        role=body.role,
        disabled=body.disabled,
        name=body.name,
        new_password=body.new_password,
        proof=proof,
        recheck=check_again,
    )
    return ok(_account(user))
