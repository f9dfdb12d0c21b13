"""Sessions, refresh tokens and keys: for how long they live, and what ends them before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from werkzeug.test import TestResponse

from database.accounts import api_keys as queries
from database.accounts import users
from database.jobs import jobs
from gateway.services import kinds
from gateway.services.accounts import accounts, api_keys, sessions
from gateway.services.accounts.demo_account import DEMO_EMAIL, DEMO_PASSWORD
from gateway.services.jobs import work
from gateway.services.jobs.params import ScoreParams
from shared.clock import iso
from tests.gateway.auth_conftest import METRICS, REJECTED, build, refused
from tests.world import PASSWORD, World

OTHER = "another long one"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    built = build(tmp_path)
    yield built
    built.database.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def sign_in(world: World, email: str = "ann@example.com") -> dict[str, Any]:
    return dict(world.login(email).get_json()["data"])


def sign_in_as_demo(world: World) -> dict[str, Any]:
    return dict(world.login(DEMO_EMAIL, DEMO_PASSWORD).get_json()["data"])


def refresh(world: World, token: str) -> TestResponse:
    return world.client.post("/api/auth/refresh", headers=bearer(token))


def key_of(world: World, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    body = {"name": "nightly", "scopes": ["read"], **more}
    sent = world.client.post("/api/auth/keys", json=body, headers=headers)
    assert sent.status_code == 201, sent.text
    return dict(sent.get_json()["data"])


def reads(world: World, key: dict[str, Any]) -> bool:
    return world.client.get(METRICS, headers={"X-API-Key": key["key"]}).status_code == 200


# --- families of refresh tokens -------------------------------------------------------------------------------------


def test_a_refresh_token_that_is_used_twice_ends_every_token_that_came_of_it(world: World) -> None:
    world.person()
    first, elsewhere = sign_in(world), sign_in(world)
    second = refresh(world, first["refresh_token"]).get_json()["data"]
    third = refresh(world, second["refresh_token"]).get_json()["data"]
    assert refused(refresh(world, first["refresh_token"])) == REJECTED
    for tokens in (first, second, third):
        assert refused(refresh(world, tokens["refresh_token"])) == REJECTED
        assert refused(world.client.get(METRICS, headers=bearer(tokens["token"]))) == REJECTED
    assert world.client.get(METRICS, headers=bearer(elsewhere["token"])).status_code == 200
    assert refresh(world, elsewhere["refresh_token"]).status_code == 200


def test_a_family_that_was_ended_is_told_in_the_audit_log_without_a_name(world: World) -> None:
    user = world.person()
    token = sign_in(world)["refresh_token"]
    refresh(world, token)
    refresh(world, token)
    entries = world.client.get("/api/audit", headers=world.bearer("admin")).get_json()["data"]["entries"]
    assert [e["subject"] for e in entries if e["action"] == "session.refresh_reused"] == [f"user:{user.id}"]


def test_signing_out_by_bearer_alone_ends_the_refresh_token_of_that_session_too(world: World) -> None:
    world.person()
    here, there = sign_in(world), sign_in(world)
    assert world.client.post("/api/auth/logout", headers=bearer(here["token"])).status_code == 200
    assert refused(refresh(world, here["refresh_token"])) == REJECTED
    assert refresh(world, there["refresh_token"]).status_code == 200


def test_signing_out_after_a_refresh_ends_what_the_refresh_gave(world: World) -> None:
    world.person()
    first = sign_in(world)
    second = refresh(world, first["refresh_token"]).get_json()["data"]
    world.client.post("/api/auth/logout", headers=bearer(first["token"]))
    assert refused(refresh(world, second["refresh_token"])) == REJECTED


# --- keys -----------------------------------------------------------------------------------------------------------


def test_a_new_password_of_ones_own_ends_ones_keys(world: World) -> None:
    headers = world.bearer("analyst", "ann@example.com")
    key, others = key_of(world, headers), key_of(world, world.bearer("admin"))
    assert reads(world, key)
    body = {"current_password": PASSWORD, "new_password": OTHER}
    assert world.client.post("/api/auth/password", json=body, headers=headers).status_code == 200
    assert not reads(world, key)
    assert reads(world, others)


@pytest.mark.parametrize("change", [{"new_password": OTHER}, {"disabled": True}])
def test_a_reset_or_disabled_account_has_no_keys_left_also_when_it_is_enabled_again(
    world: World, change: dict[str, Any]
) -> None:
    admin, headers = world.bearer("admin"), world.bearer("analyst", "ann@example.com")
    key = key_of(world, headers)
    user_id = key["user_id"]
    for each in (change, {"disabled": False}):
        assert world.client.patch(f"/api/users/{user_id}", json=each, headers=admin).status_code == 200
    assert not reads(world, key)
    entries = world.client.get("/api/audit?action=key.revoked", headers=admin).get_json()["data"]["entries"]
    assert [entry["subject"] for entry in entries] == [f"key:{key['id']} user:{user_id}"]


def test_what_a_disabled_account_had_queued_is_cancelled_and_nothing_of_others(world: World) -> None:
    ann, bee = world.person(), world.person(email="bee@example.com")
    root = world.signed_in("admin")

    def queued(user: int) -> int:
        return work.submit(world.database, world.clock, kinds.SCORE, ScoreParams(), user_id=user)

    waiting, others, begun = queued(ann.id), queued(bee.id), queued(ann.id)
    with world.database.write() as connection:
        assert jobs.claim_one(connection, begun, worker="w", now=iso(world.clock())) is not None
    answer = world.client.patch(f"/api/users/{ann.id}", json={"disabled": True}, headers=root)
    assert answer.status_code == 200
    found = {each: work.read(world.database, each) for each in (waiting, others, begun)}
    assert (found[waiting].state, found[others].state) == ("cancelled", "queued")
    assert (found[begun].state, found[begun].cancel_requested) == ("running", True)
    told = world.client.get("/api/audit?action=job.cancelled", headers=root).get_json()["data"]["entries"]
    assert {row["subject"] for row in told} == {f"job:{waiting}", f"job:{begun}"}


@pytest.mark.parametrize(
    "change", [{"disabled": True}, {"role": "viewer"}, {"new_password": "another long one 8"}, {"name": "Anna"}]
)
def test_who_was_let_in_is_let_in_as_long_as_nothing_ended_it(world: World, change: dict[str, Any]) -> None:
    """A stream asks this once a second while it is read."""
    user = world.person()
    key, _ = api_keys.create(world.database, clock=world.clock, user_id=user.id, name="k", scopes=["read"])
    now, goes_on = iso(world.clock()), change == {"name": "Anna"}
    for each in (None, key):
        assert sessions.is_let_in(world.database, user, each, now)
    accounts.change_user(world.database, user.id, clock=world.clock, cost=4, **change)
    for each in (None, key):
        assert sessions.is_let_in(world.database, user, each, now) is goes_on


def test_keys_that_somebody_made_for_others_end_with_the_makers_password(world: World) -> None:
    admin, ann = world.bearer("admin"), world.person()
    key = key_of(world, admin, user_id=ann.id)
    body = {"current_password": PASSWORD, "new_password": OTHER}
    assert world.client.post("/api/auth/password", json=body, headers=admin).status_code == 200
    assert not reads(world, key)


def test_another_name_or_role_ends_no_key(world: World) -> None:
    admin, headers = world.bearer("admin"), world.bearer("analyst", "ann@example.com")
    key = key_of(world, headers)
    change = {"name": "Anna", "role": "viewer"}
    assert world.client.patch(f"/api/users/{key['user_id']}", json=change, headers=admin).status_code == 200
    assert reads(world, key)


def test_a_key_lives_a_year_unless_told_otherwise(world: World) -> None:
    headers = world.bearer()
    for made in (key_of(world, headers), key_of(world, headers, expires_in_days=None)):
        assert int(made["expires_at"][:4]) == int(made["created_at"][:4]) + 1
    assert key_of(world, headers, expires_in_days=1)["expires_at"] < made["expires_at"]


def test_all_keys_of_a_person_share_that_persons_limit(tmp_path: Path) -> None:
    world = build(tmp_path, REQUEST_LIMIT="12 per minute")
    headers = world.bearer()
    keys = [key_of(world, headers) for _ in range(3)]
    statuses = [world.client.get(METRICS, headers={"X-API-Key": keys[n % 3]["key"]}).status_code for n in range(12)]
    assert statuses == [200] * 9 + [429] * 3
    assert world.client.get(METRICS, headers=headers).status_code == 429
    assert world.client.get(METRICS, headers=world.bearer("viewer")).status_code == 200


# --- one's own password ---------------------------------------------------------------------------------------------


def test_an_administrator_changes_the_own_password_only_with_the_present_one(world: World) -> None:
    headers = world.bearer("admin")
    for given in ({}, {"current_password": "not this one"}):
        sent = world.client.patch("/api/users/1", json={"new_password": OTHER, **given}, headers=headers)
        assert sent.status_code == 422
        assert [each["field"] for each in sent.get_json()["error"]["details"]] == ["current_password"]
    given = {"new_password": OTHER, "current_password": PASSWORD}
    assert world.client.patch("/api/users/1", json=given, headers=headers).status_code == 200
    assert world.login("admin@example.com", OTHER).status_code == 200


def test_who_knows_the_old_password_does_not_overwrite_the_one_that_is_set_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, made = world.bearer(), accounts.hash_of
    chosen = "chosen by the administrator"

    def slow(password: str, cost: int) -> str:
        monkeypatch.setattr(accounts, "hash_of", made)
        accounts.change_user(world.database, 1, clock=world.clock, cost=4, new_password=chosen)
        return made(password, cost)

    monkeypatch.setattr(accounts, "hash_of", slow)
    change = {"current_password": PASSWORD, "new_password": OTHER}
    sent = world.client.post("/api/auth/password", json=change, headers=ann)
    assert refused(sent)[:2] == (422, "validation_failed")
    assert world.login("analyst@example.com", OTHER).status_code == 401
    assert world.login("analyst@example.com", chosen).status_code == 200


# --- requests that wait while their session ends ----------------------------------------------------------------------


@pytest.mark.parametrize("ended", ["password", "logout", "disabled"])
def test_no_key_is_made_by_a_session_that_ended_while_its_request_waited(
    world: World, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    """Between the check of the session and the write lie up to five seconds while an import is written."""
    user, create = world.person(), api_keys.create
    stolen, own = bearer(sign_in(world)["token"]), bearer(sign_in(world)["token"])

    def waited(*args: Any, **how: Any) -> Any:
        if ended == "password":
            change = {"current_password": PASSWORD, "new_password": OTHER}
            assert world.client.post("/api/auth/password", json=change, headers=own).status_code == 200
        elif ended == "logout":
            assert world.client.post("/api/auth/logout", json={}, headers=stolen).status_code == 200
        else:
            accounts.change_user(world.database, user.id, clock=world.clock, cost=4, disabled=True)
        return create(*args, **how)

    monkeypatch.setattr(api_keys, "create", waited)
    made = world.client.post("/api/auth/keys", json={"name": "n", "scopes": ["read"]}, headers=stolen)
    assert refused(made) == REJECTED
    with world.database.read() as connection:
        assert queries.page(connection, limit=10) == []


@pytest.mark.parametrize(
    ("change", "status"), [({"disabled": True}, 403), ({"role": "analyst"}, 403), ({"name": "B"}, 0)]
)
@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_an_administrator_who_is_shut_out_while_a_request_waits_changes_no_account(
    world: World, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], status: int, method: str
) -> None:
    headers, other = world.bearer("admin"), world.person("analyst", "ann@example.com")
    world.person("admin", "another@example.com")
    change_user, hash_of = accounts.change_user, accounts.hash_of

    def waited(*given: Any) -> Any:
        monkeypatch.setattr(accounts, "hash_of", hash_of)
        change_user(world.database, 1, clock=world.clock, cost=4, **change)
        return hash_of(*given)

    monkeypatch.setattr(accounts, "hash_of", waited)
    if method == "PATCH":
        body: dict[str, Any] = {"role": "admin", "new_password": OTHER}
        told = world.client.patch(f"/api/users/{other.id}", json=body, headers=headers)
    else:
        body = {"email": "new@example.com", "name": "New", "role": "admin", "password": OTHER}
        told = world.client.post("/api/users", json=body, headers=headers)
    assert told.status_code == (status or (200 if method == "PATCH" else 201)), told.text
    with world.database.read() as connection:
        left = users.by_id(connection, other.id), users.by_email(connection, "new@example.com")
    assert left[0] is not None
    assert (left[0].role == "admin" or left[1] is not None) is not bool(status)


# --- an account that is gone ----------------------------------------------------------------------------------------


def test_tokens_of_a_removed_account_do_not_open_the_next_one_that_gets_its_number(world: World) -> None:
    demo = accounts.create_demo_account(world.database, clock=world.clock, cost=4, app_env="test")
    kept = sign_in_as_demo(world)
    assert accounts.remove_demo_account(world.database)
    assert world.person("admin").id == demo.id
    assert refused(world.client.get(METRICS, headers=bearer(kept["token"]))) == REJECTED
    assert refused(world.client.get("/api/users", headers=bearer(kept["token"]))) == REJECTED
    assert refused(refresh(world, kept["refresh_token"])) == REJECTED


# --- tokens that are signed, and odd --------------------------------------------------------------------------------


ODD: tuple[dict[str, Any], ...] = (
    {"exp": 10**18}, {"exp": 10**400}, {"exp": float("inf")}, {"exp": -(10**18)}, {"exp": "soon"}, {"exp": None},
    {"nbf": 10**400}, {"nbf": float("inf")}, {"iat": float("inf")}, {"iat": 10**400},
    {"token_version": 2**63}, {"token_version": 10**400}, {"token_version": -1}, {"token_version": None},
    {"sub": str(2**63)}, {"sub": "9" * 5000}, {"sub": "\u0661"}, {"sub": 1}, {"sub": ["1"]},
    {"jti": "\ud800"}, {"jti": "x" * 10_000}, {"jti": None}, {"family": 1}, {"family": "\ud800"},
    {"type": None}, {"type": []},
)  # fmt: skip


@pytest.mark.parametrize(("path", "which"), [(METRICS, "token"), ("/api/auth/refresh", "refresh_token")])
def test_a_signed_token_with_odd_claims_is_rejected_and_breaks_nothing(world: World, path: str, which: str) -> None:
    world.person()
    said = jwt.decode(sign_in(world)[which], options={"verify_signature": False})
    method = "GET" if path == METRICS else "POST"
    for odd in ({}, *ODD):
        payload = json.dumps({**said, **odd}).encode()
        token = jwt.api_jws.encode(payload, world.app.config["JWT_SECRET_KEY"], "HS256")
        sent = world.client.open(path, method=method, headers=bearer(token))
        assert sent.status_code == 200 if not odd else refused(sent) == REJECTED, str(odd)[:60]
