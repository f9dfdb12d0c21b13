"""Checks before every route, and their order: CORS, unknown paths, bodies, proxies."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.routes import pages
from gateway.routes.models.model import REPORT_POLICY
from tests.gateway.auth_conftest import METRICS, NO_TOKEN, PREDICT, build, refused
from tests.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    built = build(tmp_path)
    yield built
    built.database.close()


# --- CORS -----------------------------------------------------------------------------------------------------------


def preflight(world: World, origin: str, path: str = PREDICT) -> Any:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, prefer"}
    return world.client.options(path, headers={"Origin": origin, **asked})


def test_a_preflight_is_answered_without_a_token(world: World) -> None:
    response = preflight(world, "https://board.example.com")
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "https://board.example.com"
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert "authorization" in response.headers["Access-Control-Allow-Headers"].lower()


@pytest.mark.parametrize("header", ["X-API-Key", "If-None-Match", "Idempotency-Key"])
def test_a_preflight_allows_the_headers_that_routes_read(world: World, header: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": header.lower()}
    response = world.client.options(PREDICT, headers={"Origin": "https://board.example.com", **asked})
    assert header.lower() in response.headers["Access-Control-Allow-Headers"].lower()


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "http://localhost:3001", "null", "https://boardXexample.com"]
)
def test_another_origin_gets_no_leave(world: World, origin: str) -> None:
    assert "Access-Control-Allow-Origin" not in preflight(world, origin).headers


def test_failures_can_be_read_by_the_page_too(world: World) -> None:
    response = world.client.get(METRICS, headers={"Origin": "http://localhost:3000"})
    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    exposed = response.headers["Access-Control-Expose-Headers"]
    for name in ("Location", "Retry-After", "X-Request-ID", "X-RateLimit-Remaining", "ETag"):
        assert name in exposed


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost:3000"}, {"Origin": "https://board.example.com"}])
def test_a_cache_learns_that_answers_differ_by_origin_whoever_asks(world: World, headers: dict[str, str]) -> None:
    answers = [world.client.get(path, headers=headers) for path in (METRICS, "/api/health", "/api/no/such/route")]
    assert all("Origin" in answer.headers["Vary"] for answer in answers)
    assert all(answer.headers.getlist("Access-Control-Expose-Headers") for answer in answers)


@pytest.mark.parametrize(
    ("allowed", "asks", "is_let_in"),
    [
        ("https://board.example.com", "https://board-example.com", False),
        ("https://board.example.com", "https://xboard.example.com", False),
        ("https://board.example.com", "https://board.example.com.evil.test", False),
        ("http://[::1]:3000", "http://[::1]:3000", True),
        ("http://[::1]:3000", "http://:", False),
        ("http://[::1]:3000", "http://[::1]:30001", False),
    ],
)
def test_an_origin_is_allowed_as_it_stands_and_as_no_pattern(
    tmp_path: Path, allowed: str, asks: str, is_let_in: bool
) -> None:
    headers = preflight(build(tmp_path, ALLOWED_ORIGINS=allowed), asks).headers
    assert ("Access-Control-Allow-Origin" in headers) == is_let_in
    assert ("Access-Control-Allow-Credentials" in headers) == is_let_in


# --- caches and redirects -------------------------------------------------------------------------------------------


def test_no_cache_keeps_what_has_no_rule_of_its_own(world: World) -> None:
    headers = world.bearer("admin")
    for path in (
        "/api/users",
        "/api/audit",
        "/api/auth/me",
        "/api/auth/keys",
        METRICS,
        "/api/no/such/route",
        "/api/health",
    ):
        assert world.client.get(path, headers=headers).headers.getlist("Cache-Control") == ["no-store"], path
    for path in ("/api/users", "/api/auth/me"):
        assert world.client.get(path).headers["Cache-Control"] == "no-store"


def test_two_slashes_lead_nowhere_and_least_of_all_elsewhere(world: World) -> None:
    sent = world.client.get("/api//health", headers={"Host": "evil.example.com"})
    assert refused(sent) == (404, "not_found", "Route not found")
    assert "Location" not in sent.headers


# --- what is asked, in which order ----------------------------------------------------------------------------------


def test_an_unknown_path_is_404_and_an_unknown_method_405_without_a_token(world: World) -> None:
    assert refused(world.client.get("/api/nothing")) == (404, "not_found", "Route not found")
    response = world.client.put(METRICS, data="rubbish")
    assert refused(response)[:2] == (405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]


def test_a_browser_at_an_unknown_address_gets_a_page_and_a_program_or_the_api_json(world: World) -> None:
    world.blueprints = [*world.blueprints, pages.bp]
    by_browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    page = world.client.get("/nonsense", headers=by_browser)
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert '<a href="/">' in page.get_data(as_text=True)
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    for path, headers in (("/nonsense", {}), ("/nonsense", {"Accept": "*/*"}), ("/api/nonsense", by_browser)):
        assert refused(world.client.get(path, headers=headers)) == (404, "not_found", "Route not found")


def test_the_icon_is_where_browsers_look_for_it_first(world: World) -> None:
    world.blueprints = [*world.blueprints, pages.bp]
    answer = world.client.get("/favicon.ico")
    assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")


def test_who_asks_comes_before_what_is_sent(world: World) -> None:
    for data in (b"{", b"[]", b'{"sample_size": "x"}'):
        sent = world.client.post(PREDICT, data=data, content_type="application/json")
        assert refused(sent) == NO_TOKEN


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"", None, 200),
        (b"", "application/json", 200),
        (b"  ", "text/plain", 200),
        (b"{}", None, 200),
        (b'{"sample_size": 5}', None, 200),
        (b'{"sample_size": 5}', "application/json; charset=utf-8", 200),
        (b'{"sample_size": 5}', "application/merge-patch+json", 200),
        (b"sample_size=5", None, 415),
        (b"{}", "text/plain", 415),
        (b"sample_size=5", "application/x-www-form-urlencoded", 415),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"sample_size": NaN}', "application/json", 400),
        (b'{"sample_size": Infinity}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b'"{}"', "application/json", 422),
        (b"5", None, 422),
        (b'{"sample_size": "x"}', "application/json", 422),
        (b'{"a": "' + b"x" * 1_100_000 + b'"}', "application/json", 413),
    ],
)
def test_bodies(world: World, data: bytes, content_type: str | None, status: int) -> None:
    response = world.client.post(PREDICT, data=data, content_type=content_type, headers=world.bearer())
    assert response.status_code == status
    if status == 200 and b"5" in data:
        assert response.get_json()["data"] == {"sample_size": 5}


def test_files_are_taken_where_they_belong_and_nowhere_else(world: World) -> None:
    headers = world.bearer()
    for path, status in (("/api/customers/import", 200), (PREDICT, 415)):
        files = {"file": (io.BytesIO(b"a,b\n1,2\n"), "customers.csv")}
        assert world.client.post(path, data=files, headers=headers).status_code == status


def test_no_failure_repeats_a_password(world: World) -> None:
    headers = world.bearer("admin")
    secret = "Pa55-that-must-not-come-back"
    tries: list[tuple[str, str, Any]] = [
        ("POST", "/api/auth/login", {"email": "ann@example.com", "password": secret}),
        ("POST", "/api/auth/login", {"email": {"a": secret}, "password": [secret]}),
        ("POST", "/api/auth/register", {"email": "bad", "password": secret, "name": ""}),
        ("POST", "/api/auth/register", {"email": secret, "password": {"value": secret}}),
        ("POST", "/api/auth/register", {"email": "e@example.com", "password": secret * 20, "name": "E"}),
        ("POST", "/api/auth/password", {"current_password": secret, "new_password": secret[:5]}),
        ("POST", "/api/auth/password", {"current_password": [secret], "new_password": 5, secret: 1}),
        ("POST", "/api/users", {"email": "e", "password": [secret], "name": 3, "role": "king"}),
        ("PATCH", "/api/users/1", {"new_password": [secret], "role": secret}),
    ]
    for method, path, body in tries:
        response = world.client.open(path, method=method, json=body, headers=headers)
        assert 400 <= response.status_code < 500
        # An unknown field's name is told, so that it can be put right; the sender chose it, it is no password.
        told = json.dumps(response.get_json()).replace(f'"field": "{secret}"', "").replace(f'"{secret}: ', '"')
        assert secret[:12] not in told


# --- proxies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hops", "address"), [(0, "127.0.0.1"), (1, "203.0.113.9"), (2, "198.51.100.7")])
def test_a_forwarded_address_is_believed_as_far_as_told(tmp_path: Path, hops: int, address: str) -> None:
    world = build(tmp_path, TRUSTED_PROXIES=hops)
    forwarded = {"X-Forwarded-For": "192.0.2.66, 198.51.100.7, 203.0.113.9"}
    assert world.client.get("/api/health", headers=forwarded).get_json()["data"] == {"address": address}


@pytest.mark.parametrize(
    ("named", "connects", "address"),
    [
        ("", "198.51.100.1", "198.51.100.1"),
        ("", "127.0.0.1", "203.0.113.9"),
        ("10.0.0.0/8, 172.16.0.9", "172.16.0.9", "203.0.113.9"),
        ("10.0.0.0/8, 172.16.0.9", "172.16.0.8", "172.16.0.8"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "203.0.113.9"),
        ("10.0.0.0/8", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_forwarded_address_is_believed_of_named_proxies_only(
    tmp_path: Path, named: str, connects: str, address: str
) -> None:
    world = build(tmp_path, TRUSTED_PROXIES=1, **({"PROXY_ADDRESSES": named} if named else {}))
    answer = world.client.get(
        "/api/health", headers={"X-Forwarded-For": "203.0.113.9"}, environ_overrides={"REMOTE_ADDR": connects}
    )
    assert answer.get_json()["data"] == {"address": address}


def test_every_page_keeps_out_plug_ins_frames_and_another_base(world: World) -> None:
    policies = [world.client.get(path).headers["Content-Security-Policy"] for path in ("/api/docs", "/api/health")]
    for policy in (*policies, REPORT_POLICY):
        assert "object-src 'none'" in policy or "default-src 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "frame-ancestors" in policy


# --- the log --------------------------------------------------------------------------------------------------------


def test_the_line_of_a_request_says_by_number_who_asked_also_where_they_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = build(tmp_path, LOG_LEVEL="info")
    headers = world.bearer("viewer")
    viewer = world.client.get("/api/auth/me", headers=headers).get_json()["data"]["id"]
    capsys.readouterr()
    world.login("viewer@example.com")
    world.login("viewer@example.com", password="not the password")
    world.client.get(METRICS, headers=headers)
    world.client.get("/api/audit", headers=headers)
    world.client.get(METRICS)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lines = [(each["path"], each["status"], each.get("user")) for each in told if each["event"] == "request"]
    assert lines[:2] == [("/api/auth/login", 200, viewer), ("/api/auth/login", 401, None)]
    assert lines[-3:] == [(METRICS, 200, viewer), ("/api/audit", 403, viewer), (METRICS, 401, None)]
    world.database.close()
