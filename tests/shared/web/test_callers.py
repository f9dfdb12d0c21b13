"""Whom a request counts for: the credential that the gateway goes by, and one caller for all sessions of a person."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from gateway.services.accounts.api_keys import BEGINNING
from shared.web.callers import KEY_PREFIX, caller_of

KEY = b"rs_0011aabb_Secret-Of_A_Key"


def token(user: int, session: str = "one") -> bytes:
    """A token of flask-jwt-extended, without a valid signature."""
    payload = f'{{"fresh":false,"jti":"{session}","sub":"{user}","type":"access"}}'.encode()
    return b".".join([b"eyJhbGciOiJIUzI1NiJ9", urlsafe_b64encode(payload).rstrip(b"="), b"c2lnbmF0dXJl"])


def caller(*lines: bytes) -> bytes | None:
    return caller_of(b"\r\n".join([b"GET /Bearer HTTP/1.1", b"Host: x", *lines, b"", b""]))


@pytest.mark.parametrize(
    "lines",
    [
        [b"Authorization: Bearer " + token(7)],
        [b"authorization:   bearer  " + token(7, "another session") + b"  "],
        [b"X-API-Key: made-up", b"Authorization: Bearer " + token(7)],
        [b"Cookie: a=b; access_token_cookie=" + token(7) + b"; c=d"],
        [b"Cookie: __Host-access_token_cookie=" + token(7)],
        [b"Authorization: Basic abc", b"Cookie: access_token_cookie=" + token(7)],
    ],
)
def test_a_person_is_one_caller_however_they_sign_their_requests(lines: list[bytes]) -> None:
    assert caller(*lines) == b"user 7"
    assert caller(b"Authorization: Bearer " + token(8)) != b"user 7"


@pytest.mark.parametrize(
    "lines",
    [
        [b"Authorization: Bearer " + KEY],
        [b"X-API-Key: " + KEY],
        [b"X-API-Key: " + KEY, b"Cookie: access_token_cookie=" + token(7)],
    ],
)
def test_a_key_is_a_caller(lines: list[bytes]) -> None:
    assert caller(*lines) == KEY


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"Authorization: Bearer"],
        [b"Authorization: Bearer 0123456789abcdef"],
        [b"Authorization: Bearer a.b.c"],
        [b"Authorization: Bearer ...."],
        [b"Authorization: Bearer \xff.\xff.\xff"],
        [b"Cookie: access_token_cookie=; x=y"],
        [b"Cookie: refresh_token=" + token(7)],
    ],
)
def test_others_are_nobody(lines: list[bytes]) -> None:
    assert caller(*lines) is None


def test_keys_begin_as_the_gateway_makes_them() -> None:
    assert BEGINNING.encode() == KEY_PREFIX
