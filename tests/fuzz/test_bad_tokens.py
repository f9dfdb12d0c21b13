"""Tokens that do not count are refused before anything else is read, and guesses are slowed down."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from gateway.settings import Role, Settings
from shared.clock import utc_now
from tests.shapes import is_failure
from tests.stack import PASSWORD, SECRET
from tests.world import World, open_world

pytestmark = pytest.mark.xdist_group("bad-input")
JSON = "application/json"
ROLES: tuple[Role, ...] = ("viewer", "analyst", "admin")


def _said(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def _signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> Callable[[str], str]:
    return lambda token: jwt.encode({**_said(token), **changes}, secret, algorithm=algorithm)


def _expired(token: str) -> str:
    then = utc_now() - timedelta(hours=1)
    return _signed(exp=int(then.timestamp()))(token)


BAD_TOKENS: dict[str, Callable[[str], str]] = {
    "another server's": _signed("another secret of another server, as long as ours"),
    "expired": _expired,
    "tampered": lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
    "with another role": lambda token: token.split(".")[0] + "." + _signed("x" * 32, role="admin")(token).split(".")[1]
    + "." + token.split(".")[2],
    "cut": lambda token: token[: len(token) // 2],
    "no signature": lambda token: jwt.encode(_said(token), "", algorithm="none"),
    "of nobody": _signed(sub="999999"),
    "of a number": _signed(sub="-1"),
    "of a huge number": _signed(sub="9" * 40),
    "of text": _signed(sub="admin"),
    "of another version": _signed(token_version=7),
    "for refreshing": _signed(type="refresh"),
    "without a type": _signed(type=None),
    "text": lambda _: "not a token",
    "unicode": lambda _: "é.ü.ß",
    "huge": lambda _: "x." * 3000,
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_token_that_does_not_count_is_403(demo: World, kind: str) -> None:
    token = BAD_TOKENS[kind](demo.signed_in("analyst")["Authorization"].split()[1])
    headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1")}
    said = is_failure(demo.client.get("/api/dashboard/metrics", headers=headers), 403, "token_rejected")
    assert said["message"] == "Invalid or expired token"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x", "bearer"])
def test_a_header_without_a_token_is_401(demo: World, header: str) -> None:
    answer = demo.client.get("/api/dashboard/metrics", headers={"Authorization": header})
    said = is_failure(answer, 401, "unauthenticated")
    assert said["message"] == "Access token required"


def test_a_body_is_not_looked_at_before_the_token(demo: World) -> None:
    answer = demo.client.post("/api/model/train", data=b"x" * 2_000_000, content_type=JSON)
    is_failure(answer, 401, "unauthenticated")


def test_guessing_passwords_is_slowed_down(tmp_path: Path) -> None:
    gateway = open_world(tmp_path / "limits.db", CREDENTIALS_LIMIT="5 per minute", REQUEST_LIMIT="20 per minute")
    for role in ROLES:
        gateway.signed_in(role)
    body = {"email": "viewer@example.com", "password": "a guess"}
    answers = [gateway.client.post("/api/auth/login", json=body) for _ in range(6)]
    # Three people have signed in.
    assert [a.status_code for a in answers] == [401, 401, 429, 429, 429, 429]
    said = is_failure(answers[-1], 429, "rate_limited")
    assert re.search(r"in \d+ s", said["message"])
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].headers["X-RateLimit-Limit"] == "5"
    assert answers[-1].headers["X-RateLimit-Remaining"] == "0"
    right = {"email": "viewer@example.com", "password": PASSWORD}
    is_failure(gateway.client.post("/api/auth/login", json=right), 429)
    statuses = [gateway.ask("GET", "/api/dashboard/metrics").status_code for _ in range(25)]
    assert statuses == [200] * 20 + [429] * 5
    assert gateway.ask("GET", "/api/dashboard/metrics", "admin").status_code == 200, "limits are a client's"
    assert all(gateway.client.get("/api/health").status_code == 200 for _ in range(30))


def test_the_default_limits_are_the_documented_ones() -> None:
    made = Settings(_env_file=None)
    assert (made.credentials_limit, made.request_limit) == ("10 per minute", "600 per minute")
