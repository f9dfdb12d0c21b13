"""Signing in, registering, and the tokens that don't count."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from flask_jwt_extended import create_access_token

from database.accounts.users import User
from database.tables import tables
from gateway.services.accounts import accounts
from shared.clock import utc_now
from tests.gateway.auth_conftest import METRICS, NO_TOKEN, REJECTED, build, refused
from tests.world import PASSWORD, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    built = build(tmp_path)
    yield built
    built.database.close()


# --- signing in -----------------------------------------------------------------------------------------------------


def test_login_answers_token_and_user_as_documented(world: World) -> None:
    user = world.person("analyst")
    response = world.login()
    data = response.get_json()["data"]
    assert response.status_code == 200
    assert data["user"] == {"id": user.id, "email": "ann@example.com", "name": "Ann", "role": "analyst"}
    assert world.client.get(METRICS, headers={"Authorization": f"Bearer {data['token']}"}).status_code == 200


def test_login_reads_the_address_in_any_case_and_ignores_unknown_fields(world: World) -> None:
    world.person()
    assert world.login("  ANN@Example.com ", remember_me=True).status_code == 200


@pytest.mark.parametrize(
    "email", ["ann@example.com", "nobody@example.com", "no e-mail at all", "", "\x00@\x00", "x" * 9000]
)
def test_wrong_credentials_are_answered_alike(world: World, email: str) -> None:
    world.person()
    assert refused(world.login(email, "wrong password")) == (401, "unauthenticated", "Invalid email or password")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": "ann@example.com"}, "password"),
        ({"email": 5, "password": "secret-secret"}, "email"),
        ({"email": "ann@example.com", "password": ["secret-secret"]}, "password"),
        ({"email": None, "password": None}, "email"),
    ],
)
def test_login_without_both_texts_is_422(world: World, body: dict[str, Any], field: str) -> None:
    response = world.client.post("/api/auth/login", json=body)
    assert response.status_code == 422
    assert response.get_json()["error"]["details"][0]["field"] == field


def test_a_disabled_account_can_not_sign_in_and_its_token_is_rejected(world: World) -> None:
    headers = world.bearer("viewer")
    user_id = world.client.get("/api/auth/me", headers=headers).get_json()["data"]["id"]
    accounts.change_user(world.database, user_id, clock=utc_now, cost=4, disabled=True)
    assert refused(world.client.get(METRICS, headers=headers)) == REJECTED
    assert world.login("viewer@example.com").status_code == 401


def test_the_demo_account_signs_in_except_in_production(tmp_path: Path) -> None:
    trial = build(tmp_path)
    accounts.create_demo_account(trial.database, clock=utc_now, cost=4, app_env="test")
    assert trial.login("alex.chen@netflix.com", "password").status_code == 200
    real = build(tmp_path, APP_ENV="production", ML_SERVICE_TOKEN="0123456789abcdef" * 2, BEHIND_TLS=1, BCRYPT_COST=10)
    assert real.login("alex.chen@netflix.com", "password").status_code == 401


def test_a_disabled_row_is_enough_to_reject_a_token(world: World) -> None:
    headers = world.bearer("viewer")
    with world.database.write() as connection:
        connection.execute(tables.users.update().values(disabled_at="2026-01-01T00:00:00.000Z"))
    assert refused(world.client.get(METRICS, headers=headers)) == REJECTED


# --- registering ----------------------------------------------------------------------------------------------------


def register(world: World, **changed: Any) -> Any:
    body = {"email": "new@example.com", "password": PASSWORD, "name": "New Person", **changed}
    return world.client.post("/api/auth/register", json=body)


def test_register_answers_201_with_a_token_that_works(world: World) -> None:
    response = register(world)
    body = response.get_json()
    assert (response.status_code, body["message"]) == (201, "User registered successfully")
    assert body["data"]["user"]["role"] == "analyst"
    headers = {"Authorization": f"Bearer {body['data']['token']}"}
    assert world.client.get(METRICS, headers=headers).get_json()["data"] == {"by": "analyst"}


def test_the_role_of_who_registers_is_a_setting_and_not_the_callers_choice(tmp_path: Path) -> None:
    world = build(tmp_path, REGISTER_ROLE="viewer")
    assert register(world, role="admin").get_json()["data"]["user"]["role"] == "viewer"


def test_a_taken_address_is_409_in_any_case(world: World) -> None:
    register(world)
    assert refused(register(world, email="NEW@example.com"))[:2] == (409, "conflict")


def test_registration_is_closed_in_production_unless_opened(tmp_path: Path) -> None:
    world = build(tmp_path, APP_ENV="production", ML_SERVICE_TOKEN="0123456789abcdef" * 2, BEHIND_TLS=1, BCRYPT_COST=10)
    status, code, message = refused(register(world))
    assert (status, code) == (403, "forbidden")
    assert "closed" in message


# --- tokens that don't count ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YW5uOnB3", "garbage", ", ,", ",", "\t"])
def test_no_token_is_401(world: World, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    assert refused(world.client.get(METRICS, headers=headers)) == NO_TOKEN


def brackets() -> str:
    part = base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")
    return f"{part}.{part}.{part}"


@pytest.mark.parametrize(
    "token", ["undefined", "a.b.c", "a b", "x, Bearer y", "..", "é.é.é", brackets(), "e30.e30.e30"]
)
def test_a_malformed_token_is_403(world: World, token: str) -> None:
    assert refused(world.client.get(METRICS, headers={"Authorization": f"Bearer {token}"})) == REJECTED


def claims(world: World, user: User, **changed: Any) -> dict[str, Any]:
    said = {"token_version": user.token_version, "role": "admin", **changed}
    with world.app.app_context():
        made = create_access_token(str(user.id), additional_claims=said)
    return dict(jwt.decode(made, options={"verify_signature": False}))


def asked_with(world: World, said: dict[str, Any], *, secret: str | None = None, algorithm: str = "HS256") -> Any:
    key = secret if secret is not None else world.settings.signing_secret
    token = jwt.encode(said, key, algorithm=algorithm)
    return world.client.get(METRICS, headers={"Authorization": f"Bearer {token}"})


def test_a_token_made_by_hand_with_our_secret_counts_so_the_next_tests_mean_something(world: World) -> None:
    assert asked_with(world, claims(world, world.person())).status_code == 200


def test_another_servers_token_is_rejected(world: World) -> None:
    said = claims(world, world.person())
    assert refused(asked_with(world, said, secret="the secret of another server, as long")) == REJECTED


def test_an_unsigned_token_is_rejected(world: World) -> None:
    said = claims(world, world.person())
    assert refused(asked_with(world, said, secret="", algorithm="none")) == REJECTED


def test_an_expired_token_is_rejected(world: World) -> None:
    user = world.person()
    with world.app.app_context():
        token = create_access_token(
            str(user.id), expires_delta=timedelta(seconds=-1), additional_claims={"token_version": user.token_version}
        )
    assert refused(world.client.get(METRICS, headers={"Authorization": f"Bearer {token}"})) == REJECTED


@pytest.mark.parametrize(
    "change",
    [
        {"sub": "999"},
        {"sub": "9" * 40},
        {"sub": "-1"},
        {"sub": "ann"},
        {"sub": "²"},
        {"token_version": 7},
        {"token_version": None},
        {"jti": None},
        {"exp": None},
        {"type": "refresh"},
    ],
)
def test_a_token_of_nobody_of_before_or_of_another_kind_is_rejected(world: World, change: dict[str, Any]) -> None:
    said = {k: v for k, v in (claims(world, world.person()) | change).items() if v is not None}
    assert refused(asked_with(world, said)) == REJECTED


def test_a_token_of_the_old_backend_with_the_same_secret_is_rejected(world: World) -> None:
    world.person()
    said = {"userId": 1, "email": "ann@example.com", "role": "analyst", "exp": 9_999_999_999}
    assert refused(asked_with(world, said)) == REJECTED


def test_the_scheme_is_read_in_any_case(world: World) -> None:
    token = world.bearer()["Authorization"].split()[1]
    assert world.client.get(METRICS, headers={"Authorization": f"bearer  {token}"}).status_code == 200


def test_a_token_lives_for_24_hours_unless_set(world: World) -> None:
    user = world.person()
    said = claims(world, user)
    assert said["exp"] - said["iat"] == 24 * 3600
    assert said["sub"] == str(user.id)
