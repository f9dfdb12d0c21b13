"""API keys for machines: made, listed, revoked by people.

Law: a secret appears in one answer only, that of the POST which made the key.
"""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, Field

from database.accounts import api_keys as queries
from database.accounts.api_keys import Key
from gateway.openapi import Body, Keyset, answers, blueprint, ok
from gateway.routes.accounts.fields import PersonName
from gateway.security.authentication import check_again, current_user
from gateway.services.accounts import api_keys
from gateway.services.accounts.api_keys import MAX_DAYS, Scope
from gateway.web_environment import environment
from shared.parsing_limits import MAX_INT64

bp = blueprint("keys", __name__, prefix="/api/auth/keys")


class KeysQuery(Keyset):
    after: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="`next` of the previous page")
    user_id: int | None = Field(None, ge=1, le=MAX_INT64, description="One person's keys; for administrators")


class KeyPath(BaseModel):
    key_id: int = Field(ge=1, le=MAX_INT64)


class NewKey(Body):
    name: PersonName = Field(description="The machine this key is for: 1 to 100 characters, as for a person's name")
    scopes: list[Scope] = Field(min_length=1, max_length=3)
    expires_in_days: int | None = Field(None, ge=1, le=MAX_DAYS, description="365 if absent")
    user_id: int | None = Field(None, ge=1, le=MAX_INT64, description="The owner; the caller if absent")


class KeyOut(BaseModel):
    id: int
    user_id: int
    made_by: int | None
    name: str
    prefix: str = Field(description="First characters of the key, to recognise it by")
    scopes: list[Scope]
    created_at: str
    expires_at: str | None
    last_used_at: str | None = Field(description="To the minute")
    revoked_at: str | None


class MadeKey(KeyOut):
    key: str = Field(description="The secret; shown this once")


class Keys(BaseModel):
    keys: list[KeyOut]
    next: str | None


def _key_out(key: Key) -> KeyOut:
    return KeyOut.model_validate(key, from_attributes=True)


@bp.get("", summary="My keys, or everybody's for an administrator", responses=answers(Keys))
def list_keys(query: KeysQuery) -> Response:
    """In order of id, including revoked and expired keys."""
    me = current_user()
    owner_id = query.user_id if me.role == "admin" else me.id
    with environment().database.read() as connection:
        found = queries.page(connection, limit=query.limit + 1, after_id=int(query.after or 0), user_id=owner_id)
    page = found[: query.limit]
    more = str(page[-1].id) if len(found) > query.limit else None
    return ok(Keys(keys=[_key_out(key) for key in page], next=more))


@bp.post("", summary="Make a key", responses=answers(MadeKey, status=201, also=(404, 409)))
def create_key(body: NewKey) -> Response:
    """For oneself; an administrator for anybody. A key can't do what the role of its owner or maker can't."""
    env, me = environment(), current_user()
    key, secret = api_keys.create(
        env.database,
        clock=env.clock,
        user_id=body.user_id or me.id,
        name=body.name,
        scopes=body.scopes,
        expires_in_days=body.expires_in_days,
        actor=me.actor,
        recheck=check_again,
    )
    made = MadeKey(**_key_out(key).model_dump(), key=secret)
    return ok(made, message="Keep the key now: it is not shown again.", status=201)


@bp.delete("/<int:key_id>", summary="Revoke a key", responses=answers(KeyOut, also=(404,)))
def revoke_key(path: KeyPath) -> Response:
    """Immediate and final; one's own key, or anybody's for an administrator."""
    env, me = environment(), current_user()
    return ok(
        _key_out(
            api_keys.revoke(env.database, path.key_id, clock=env.clock, actor=me.actor, any_owner=me.role == "admin")
        )
    )
