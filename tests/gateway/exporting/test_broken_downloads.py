"""A download that breaks off leaves nothing behind: what is ended is ended, and everybody reads and writes on."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from tests.stack import DEMO_EMAIL, DEMO_PASSWORD, PASSWORD, Api, Stack, wait_until

pytestmark = pytest.mark.xdist_group("broken-downloads")
LARGE = 5_000_000
AT_ONCE = 2
READS = 200
RUNS = 10


@pytest.fixture(scope="module")
def scored_often(new_stack: Callable[..., Stack]) -> Stack:
    """A stack with a ledger whose export is larger than what a connection buffers."""
    stack: Stack = new_stack().start("ml", "gateway")
    for _ in range(RUNS):
        assert stack.command("score").returncode == 0
    return stack


def break_off(stack: Stack, path: str) -> None:
    """Read the first part of a stream, as somebody whose connection is slow and then gone."""
    with socket.socket() as client:
        # A small window, so that the gateway is still in the middle of it.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        client.connect(("127.0.0.1", stack.port))
        token = stack.analyst().token
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        begin = b""
        while len(begin) < 60_000:
            part = client.recv(16_384)
            assert part, begin[:500]
            begin += part
        assert begin.startswith(b"HTTP/1.1 200"), begin[:500]


def is_read_by_nobody(stack: Stack) -> bool:
    """Whether the log can be written back to its end: a reader of an old snapshot would prevent it."""
    with closing(sqlite3.connect(stack.database_path, timeout=15)) as raw:
        busy, _, _ = raw.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    return not busy


def somebody(stack: Stack, admin: Api) -> tuple[int, Api]:
    """An administrator made for this test alone, signed in."""
    email = f"ended-{time.monotonic_ns()}@example.com"
    done = stack.command("user", "create", email, "--name", "E", "--role", "admin", RETAINSTREAM_PASSWORD=PASSWORD)
    assert done.returncode == 0, done.stderr
    answer = stack.anonymous().post("/api/auth/login", {"email": email, "password": PASSWORD}).json()["data"]
    person = Api(stack.url, answer["token"])
    assert person.get("/api/audit").status_code == 200
    return int(stack.value("SELECT id FROM users WHERE email = ?", email)), person


@pytest.mark.parametrize("path", ["/api/predictions/export?format=ndjson", "/api/predictions/export?format=csv"])
def test_who_is_disabled_after_a_download_broke_off_reads_nothing_and_others_sign_in_at_once(
    scored_often: Stack, path: str
) -> None:
    stack = scored_often
    admin = stack.person("admin")
    size: Any = admin.data(path.replace("export?", "export/manifest?"))["bytes"]
    assert size > LARGE or "csv" in path
    number, person = somebody(stack, admin)
    for _ in range(AT_ONCE):
        break_off(stack, path)
    began = time.monotonic()
    ended = admin.ask("PATCH", f"/api/users/{number}", json={"disabled": True})
    assert (ended.status_code, time.monotonic() - began < 1) == (200, True)
    assert [person.get("/api/audit").status_code for _ in range(READS)] == [403] * READS
    began = time.monotonic()
    signed_in = stack.anonymous().post("/api/auth/login", {"email": DEMO_EMAIL, "password": DEMO_PASSWORD})
    assert (signed_in.status_code, time.monotonic() - began < 1) == (200, True)
    wait_until(lambda: is_read_by_nobody(stack), "the log can be written back", 5)
