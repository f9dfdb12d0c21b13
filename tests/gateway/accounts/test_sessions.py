"""Refreshing, signing out, new passwords, and sessions by cookie."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from flask_jwt_extended import create_access_token, create_refresh_token, decode_token
from sqlalchemy import func, select

from database.tables import tables
from tests.gateway.auth_conftest import METRICS, NO_TOKEN, PREDICT, REJECTED, build, refused
from tests.stack import wait_until
from tests.world import PASSWORD, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    built = build(tmp_path)
    yield built
    built.database.close()


# --- refreshing, signing out, passwords -----------------------------------------------------------------------------


def test_a_refresh_token_works_once(world: World) -> None:
    world.person()
    first = world.login().get_json()["data"]["refresh_token"]
    headers = {"Authorization": f"Bearer {first}"}
    again = world.client.post("/api/auth/refresh", headers=headers).get_json()["data"]
    assert again["user"]["email"] == "ann@example.com"
    assert refused(world.client.post("/api/auth/refresh", headers=headers)) == REJECTED


def test_a_token_that_was_good_a_moment_ago_ends_when_it_expires(world: World) -> None:
    user = world.person()
    with world.app.app_context():
        token = create_access_token(
            str(user.id), expires_delta=timedelta(seconds=2), additional_claims={"token_version": user.token_version}
        )
    headers = {"Authorization": f"Bearer {token}"}
    assert world.client.get(METRICS, headers=headers).status_code == 200
    wait_until(lambda: world.client.get(METRICS, headers=headers).status_code != 200, "the token ends", 10)
    assert refused(world.client.get(METRICS, headers=headers)) == REJECTED


def test_a_session_ends_so_many_days_after_its_sign_in_however_often_it_is_refreshed(world: World) -> None:
    user, day = world.person(), timedelta(days=1)
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
    claims = {"token_version": user.token_version, "family": "f" * 32}
    with world.app.app_context():
        late = create_refresh_token(str(user.id), expires_delta=ends - datetime.now(UTC), additional_claims=claims)
        headers = {"Authorization": f"Bearer {late}"}
        pair = world.client.post("/api/auth/refresh", headers=headers).get_json()["data"]
        lives = [decode_token(pair[name])["exp"] for name in ("token", "refresh_token")]
        assert all(abs(each - ends.timestamp()) <= 1 for each in lives)
        whole = decode_token(world.login().get_json()["data"]["refresh_token"])
        assert abs(whole["exp"] - whole["iat"] - 30 * day.total_seconds()) <= 1


def test_refreshing_needs_a_refresh_token(world: World) -> None:
    assert refused(world.client.post("/api/auth/refresh")) == NO_TOKEN
    assert refused(world.client.post("/api/auth/refresh", headers=world.bearer())) == REJECTED


def test_signing_out_ends_both_tokens_and_no_other_session(world: World) -> None:
    world.person()
    here, there = (world.login().get_json()["data"] for _ in range(2))
    headers = {"Authorization": f"Bearer {here['token']}"}
    response = world.client.post("/api/auth/logout", headers=headers, json={"refresh_token": here["refresh_token"]})
    assert response.status_code == 200
    assert refused(world.client.get(METRICS, headers=headers)) == REJECTED
    refresh = {"Authorization": f"Bearer {here['refresh_token']}"}
    assert refused(world.client.post("/api/auth/refresh", headers=refresh)) == REJECTED
    assert world.client.get(METRICS, headers={"Authorization": f"Bearer {there['token']}"}).status_code == 200


@pytest.mark.parametrize("given", ["rubbish", "a.b.c", ""])
def test_signing_out_with_a_worthless_refresh_token_still_signs_out(world: World, given: str) -> None:
    headers = world.bearer()
    assert world.client.post("/api/auth/logout", headers=headers, json={"refresh_token": given}).status_code == 200
    assert refused(world.client.get(METRICS, headers=headers)) == REJECTED


def test_nobody_gives_back_anothers_refresh_token(world: World) -> None:
    world.person(email="bob@example.com")
    bobs = world.login("bob@example.com").get_json()["data"]["refresh_token"]
    world.client.post("/api/auth/logout", headers=world.bearer(), json={"refresh_token": bobs})
    assert world.client.post("/api/auth/refresh", headers={"Authorization": f"Bearer {bobs}"}).status_code == 200


def test_signing_out_everywhere_ends_every_session(world: World) -> None:
    world.person()
    here, there = ({"Authorization": f"Bearer {world.login().get_json()['data']['token']}"} for _ in range(2))
    assert world.client.post("/api/auth/logout", headers=here, json={"everywhere": True}).status_code == 200
    assert refused(world.client.get(METRICS, headers=there)) == REJECTED


def test_an_empty_body_signs_out(world: World) -> None:
    assert world.client.post("/api/auth/logout", headers=world.bearer()).status_code == 200


def test_expired_marks_are_forgotten_when_one_is_added(world: World) -> None:
    with world.database.write() as connection:
        connection.execute(tables.revoked_tokens.insert().values(jti="old", expires_at="2020-01-01T00:00:00.000Z"))
    world.client.post("/api/auth/logout", headers=world.bearer())
    with world.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.revoked_tokens)).scalar_one() == 1


def test_a_new_password_needs_the_present_one_and_ends_every_session(world: World) -> None:
    headers = world.bearer("viewer")
    wrong = {"current_password": "not this one", "new_password": "another long one"}
    assert world.client.post("/api/auth/password", headers=headers, json=wrong).status_code == 422
    right = {"current_password": PASSWORD, "new_password": "another long one"}
    response = world.client.post("/api/auth/password", headers=headers, json=right)
    assert response.status_code == 200
    assert refused(world.client.get(METRICS, headers=headers)) == REJECTED
    fresh = {"Authorization": f"Bearer {response.get_json()['data']['token']}"}
    assert world.client.get(METRICS, headers=fresh).status_code == 200
    assert world.login("viewer@example.com").status_code == 401
    assert world.login("viewer@example.com", "another long one").status_code == 200


def test_me_tells_who_one_is(world: World) -> None:
    data = world.client.get("/api/auth/me", headers=world.bearer("viewer")).get_json()["data"]
    assert {k: data[k] for k in ("email", "name", "role")} == {
        "email": "viewer@example.com",
        "name": "Ann",
        "role": "viewer",
    }


# --- cookies --------------------------------------------------------------------------------------------------------


def browser(world: World) -> tuple[FlaskClient, str]:
    client = world.client
    client.post("/api/auth/login", json={"email": "ann@example.com", "password": PASSWORD, "cookie": True})
    found = client.get_cookie("csrf_access_token")
    assert found is not None
    return client, found.value


def test_a_cookie_session_reads_without_and_writes_with_the_csrf_value(world: World) -> None:
    world.person()
    client, csrf = browser(world)
    assert client.get(METRICS).status_code == 200
    assert refused(client.post(PREDICT, json={}))[:2] == REJECTED[:2]
    for wrong in ("", "wrong", "é"):
        assert refused(client.post(PREDICT, json={}, headers={"X-CSRF-TOKEN": wrong}))[:2] == REJECTED[:2]
    assert client.post(PREDICT, json={}, headers={"X-CSRF-TOKEN": csrf}).status_code == 200


@pytest.mark.parametrize("tls", [False, True])
def test_a_missing_or_wrong_csrf_value_is_told_by_header_and_cookie(tmp_path: Path, tls: bool) -> None:
    world, base = build(tmp_path, BEHIND_TLS=tls), "https://localhost" if tls else "http://localhost"
    world.person()
    client = world.client
    client.post(
        "/api/auth/login", json={"email": "ann@example.com", "password": PASSWORD, "cookie": True}, base_url=base
    )
    cookie = "__Host-csrf_access_token" if tls else "csrf_access_token"
    expected = f"sends the header X-CSRF-TOKEN with the value of its cookie {cookie}; it "
    for given, fault in (
        (None, "is missing."),
        ("", "is missing."),
        ("wrong", "has another value."),
        ("é", "has another value."),
    ):
        headers = {} if given is None else {"X-CSRF-TOKEN": given}
        message = refused(client.post(PREDICT, json={}, headers=headers, base_url=base))[2]
        assert expected + fault in message, given
    client.set_cookie(cookie.replace("csrf_access_token", "access_token_cookie"), "rubbish", secure=tls)
    assert refused(client.post(PREDICT, json={}, headers={"X-CSRF-TOKEN": "x"}, base_url=base)) == REJECTED


@pytest.mark.parametrize("tls", [False, True])
def test_cookies_are_strict_httponly_and_secure_behind_tls(tmp_path: Path, tls: bool) -> None:
    world = build(tmp_path, BEHIND_TLS=tls)
    world.person()
    cookies = {line.split("=")[0]: line for line in world.login(cookie=True).headers.getlist("Set-Cookie")}
    plain = ("access_token_cookie", "refresh_token_cookie", "csrf_access_token", "csrf_refresh_token")
    assert set(cookies) == {f"__Host-{name}" if tls else name for name in plain}
    for name, line in cookies.items():
        assert "SameSite=Strict" in line
        assert ("HttpOnly" in line) == name.endswith("_cookie")
        assert ("Secure" in line) == tls
        assert "Domain=" not in line
        # A browser takes a name with this prefix for the path / alone.
        assert "Path=/;" in line or not tls
    assert tls or "Path=/api/auth" in cookies["refresh_token_cookie"]


def test_a_session_by_prefixed_cookies_reads_refreshes_and_signs_out(tmp_path: Path) -> None:
    world = build(tmp_path, BEHIND_TLS=True)
    world.person()
    client, base = world.client, "https://localhost"
    login = {"email": "ann@example.com", "password": PASSWORD, "cookie": True}
    client.post("/api/auth/login", json=login, base_url=base)
    assert client.get(METRICS, base_url=base).status_code == 200

    def post(path: str, csrf: str) -> int:
        found = client.get_cookie(f"__Host-csrf_{csrf}_token")
        assert found is not None
        return client.post(path, headers={"X-CSRF-TOKEN": found.value}, base_url=base).status_code

    assert post("/api/auth/refresh", "refresh") == 200
    assert post("/api/auth/logout", "access") == 200
    assert refused(client.get(METRICS, base_url=base)) == NO_TOKEN


def test_signing_in_again_in_one_browser_ends_the_session_before(world: World) -> None:
    world.person()
    client, _ = browser(world)
    before = client.get_cookie("access_token_cookie")
    assert before is not None
    elsewhere = world.login().get_json()["data"]["token"]
    login = {"email": "ann@example.com", "password": PASSWORD, "cookie": True}
    assert client.post("/api/auth/login", json=login | {"password": "wrong"}).status_code == 401
    assert client.get(METRICS).status_code == 200
    assert client.post("/api/auth/login", json=login).status_code == 200
    assert client.get(METRICS).status_code == 200
    assert refused(world.client.get(METRICS, headers={"Authorization": f"Bearer {before.value}"})) == REJECTED
    assert world.client.get(METRICS, headers={"Authorization": f"Bearer {elsewhere}"}).status_code == 200


def test_tokens_of_a_cookie_session_stand_in_its_cookies_alone(world: World) -> None:
    world.person()
    answers, client = [world.login(cookie=True)], browser(world)[0]
    spare = client.get_cookie("csrf_refresh_token")
    assert spare is not None
    answers.append(client.post("/api/auth/refresh", headers={"X-CSRF-TOKEN": spare.value}))
    csrf = client.get_cookie("csrf_access_token")
    assert csrf is not None
    change = {"current_password": PASSWORD, "new_password": PASSWORD + " and more"}
    answers.append(client.post("/api/auth/password", json=change, headers={"X-CSRF-TOKEN": csrf.value}))
    for answer in answers:
        assert answer.status_code == 200
        data = answer.get_json()["data"]
        assert (data["token"], data["refresh_token"], data["user"]["email"]) == ("", "", "ann@example.com")


def test_an_answer_with_tokens_is_not_kept_by_caches(world: World) -> None:
    world.person()
    assert world.login().headers["Cache-Control"] == "no-store"


def test_login_sets_no_cookie_unless_asked(world: World) -> None:
    world.person()
    assert world.login().headers.getlist("Set-Cookie") == []


def test_a_cookie_session_refreshes_and_signs_out(world: World) -> None:
    world.person()
    client, _ = browser(world)
    refresh_csrf = client.get_cookie("csrf_refresh_token")
    assert refresh_csrf is not None
    assert "its cookie csrf_refresh_token; it is missing." in refused(client.post("/api/auth/refresh"))[2]
    assert client.post("/api/auth/refresh", headers={"X-CSRF-TOKEN": refresh_csrf.value}).status_code == 200
    csrf, spare = client.get_cookie("csrf_access_token"), client.get_cookie("refresh_token_cookie", path="/api/auth")
    assert csrf is not None
    assert spare is not None
    assert client.post("/api/auth/logout", headers={"X-CSRF-TOKEN": csrf.value}).status_code == 200
    assert refused(client.get(METRICS)) == NO_TOKEN
    spent = {"Authorization": f"Bearer {spare.value}"}
    assert refused(world.client.post("/api/auth/refresh", headers=spent)) == REJECTED
