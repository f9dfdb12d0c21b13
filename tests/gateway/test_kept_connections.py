"""Kept connections: as sturdy as the general client, only leaner."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException

import pytest

from gateway.kept_connections import KeptConnections
from tests.gateway.conftest import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def listening(answer: Callable[[socket.socket, bytes], object]) -> Iterator[tuple[str, list[bytes]]]:
    """A server of plain sockets that hands over each whole request; its URL, and what came on which connection."""
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while request := _whole(connection):
                heard.append(request)
                if answer(connection, request) is False:
                    return

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        server.shutdown(socket.SHUT_RDWR)


def _whole(connection: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got:
        more = connection.recv(65_536)
        if not more:
            return b""
        got += more
    return got


def client(url: str) -> KeptConnections:
    return KeptConnections(url, {"Authorization": "Bearer t"}, connect_timeout_s=2.0, most=4)


def post(kept: KeptConnections, body: bytes = b"{}", **headers: str) -> tuple[int, bytes]:
    return kept.post("/api/predict", body, headers, timeout_s=1.0)


def test_one_connection_serves_one_request_after_the_other() -> None:
    ports = set()
    with listening(lambda c, _: (ports.add(c.getpeername()), c.sendall(OK))) as (url, heard):
        kept = client(url)
        assert [post(kept, b"{}"), post(kept, b"[1]")] == [(200, b"ok")] * 2
    assert len(ports) == 1
    assert [each.partition(b"\r\n\r\n")[2] for each in heard] == [b"{}", b"[1]"]


def test_what_is_sent_says_who_asks_where_and_how_much() -> None:
    with listening(lambda c, _: c.sendall(OK)) as (url, heard):
        post(client(f"{url}/inner"), b"{}", **{"X-Request-ID": "r-1"})
    first, *lines = heard[0].decode().splitlines()
    assert first == "POST /inner/api/predict HTTP/1.1"
    assert {f"Host: {url[7:]}", "Authorization: Bearer t", "X-Request-ID: r-1", "Content-Length: 2"} <= set(lines)


def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    with listening(lambda c, _: c.sendall(OK) or False) as (url, heard):
        kept = client(url)
        for _ in range(5):
            assert post(kept) == (200, b"ok")
            time.sleep(0.05)
    assert len(heard) == 5


def test_words_that_nobody_asked_for_are_never_taken_for_an_answer() -> None:
    with listening(lambda c, r: c.sendall(OK if b"again" in r else OK * 2)) as (url, _):
        kept = client(url)
        assert post(kept) == (200, b"ok")
        time.sleep(0.05)
        assert post(kept, b"again") == (200, b"ok")
        assert len(kept._idle) == 1


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
     b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"HTTP/1.0 200 OK\r\n\r\nok"],
)  # fmt: skip
def test_other_ways_of_answering_are_understood_too(answer: bytes) -> None:
    with listening(lambda c, _: c.sendall(answer) or False) as (url, _):
        assert post(client(url)) == (200, b"ok")


@pytest.mark.parametrize("answer", [b"", b"hello", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", b"\xff" * 100])
def test_an_answer_that_breaks_off_or_is_none_is_a_failure(answer: bytes) -> None:
    with listening(lambda c, _: c.sendall(answer) or False) as (url, _):
        kept = client(url)
        with pytest.raises((OSError, HTTPException)):
            post(kept)
        assert not kept._idle


def test_silence_ends_after_the_time_given() -> None:
    with listening(lambda c, _: time.sleep(0.5)) as (url, _), pytest.raises(TimeoutError):
        client(url).post("/", b"", {}, timeout_s=0.05)


def test_a_server_that_is_about_to_listen_is_waited_for() -> None:
    port = free_port()

    def late() -> None:
        time.sleep(0.1)
        with socket.create_server(("127.0.0.1", port)) as server:
            connection = server.accept()[0]
            with connection:
                _whole(connection)
                connection.sendall(OK)

    threading.Thread(target=late, daemon=True).start()
    assert post(client(f"http://127.0.0.1:{port}")) == (200, b"ok")


def test_nobody_there_is_a_failure_soon() -> None:
    began = time.monotonic()
    with pytest.raises(OSError):
        post(client(f"http://127.0.0.1:{free_port()}"))
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb"])
def test_a_header_of_two_lines_is_refused(value: str) -> None:
    with listening(lambda c, _: c.sendall(OK)) as (url, heard), pytest.raises(ValueError, match="one line"):
        post(client(url), **{"X-Request-ID": value})
    assert heard == []
