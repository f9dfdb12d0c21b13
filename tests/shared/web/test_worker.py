"""The server of both services: no client holds it up, whatever it sends or does not read."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.serving import slow_clients
from tests.serving.served_app import HOLE_BYTES, HOLES, LARGE
from tests.serving.server import THREADS, raw, read_all, serving
from tests.serving.slow_clients import Sockets, holding, is_closed_within, reading_nothing, seconds_to_answer
from tests.stack import wait_until

#: One process of pytest runs them all, over one server.
pytestmark = pytest.mark.xdist_group("worker")
IN_TIME_S = 2.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as number:
        yield number


ATTACKS = {
    **slow_clients.half_requests("/body"),
    "a page that nobody reads": reading_nothing("/large"),
    "a file that nobody reads": reading_nothing("/file"),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_64_slow_clients_leave_room_for_the_others(port: int, attack: Callable[[int, int], Sockets]) -> None:
    with holding(attack, port, 64):
        assert max(seconds_to_answer(port, "/health") for _ in range(4)) < IN_TIME_S


def test_a_thousand_idle_connections_leave_room_for_others(port: int) -> None:
    with holding(slow_clients.idle("/health"), port, 1_010):
        assert seconds_to_answer(port, "/health") < IN_TIME_S


def test_all_at_once_leave_room_for_the_others(port: int) -> None:
    held: Sockets = []
    try:
        for attack in ATTACKS.values():
            held += attack(port, 32)
        assert seconds_to_answer(port, "/health") < IN_TIME_S
    finally:
        for client in held:
            client.close()


def test_clients_who_do_not_close_after_an_answer_hold_up_nobody(port: int) -> None:
    with holding(slow_clients.sending(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), port, 32):
        assert seconds_to_answer(port, "/health") < 1


def test_streams_that_nobody_reads_are_cut_off_where_half_of_the_threads_wait_for_them(port: int) -> None:
    with holding(reading_nothing("/stream", times=1), port, THREADS * 2):
        time.sleep(0.1)
        assert seconds_to_answer(port, "/health") < 3


def test_what_comes_in_pieces_is_served_whole(port: int) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    for request in (
        head + b"Content-Length: 5\r\n\r\nabcde",
        head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX-Sum: x\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            for at in range(len(request)):
                client.sendall(request[at : at + 1])
            assert read_all(client).endswith(b"\r\n\r\n5")


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    one = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
    last = b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
    answer = raw(port, one % (1, b"a") + one % (2, b"ab") + last)
    assert [part.rpartition(b"\r\n\r\n")[2][:1] for part in answer.split(b"HTTP/1.1 200")[1:]] == [b"1", b"2", b"3"]


def test_a_body_is_asked_for_once_where_its_sender_waits_for_that(port: int) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(head)
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abcde")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"5")


@pytest.mark.parametrize("path", ["/large", "/file", "/stream"])
def test_whoever_reads_slowly_gets_everything(port: int, path: str) -> None:
    with slow_clients._connected(port, receive_buffer=65536) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        time.sleep(0.3)
        size = 0
        while piece := client.recv(65536):
            size += len(piece)
    assert size > (LARGE if path != "/stream" else 200 * 64 * 1024)


def test_a_large_body_that_is_not_wanted_is_not_waited_for(port: int) -> None:
    started = time.monotonic()
    answer = raw(port, b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\nx", seconds=10)
    assert answer.startswith(b"HTTP/1.1 401") and time.monotonic() - started < 4


def test_a_large_body_arrives(port: int) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for body in (b"x" * 9_000_000, iter([b"x" * 500_000] * 18)):
        client.request("POST", "/body", body)
        assert client.getresponse().read() == b"9000000"
    client.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 90_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
        (b"G\xc3\xa4T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        # Where a body ends must not be a matter of who reads.
        (b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
def test_what_is_refused_before_the_application_has_the_same_body(port: int, request_: bytes, status: int) -> None:
    head, _, body = raw(port, request_).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    answer = json.loads(body)
    assert answer["success"] is False and answer["error"]["code"]
    assert f"X-Request-ID: {answer['error']['request_id']}".encode() in head
    for line in (b"X-Content-Type-Options: nosniff", b"frame-ancestors 'none'", b"Cache-Control: no-store"):
        assert line in head


def test_no_header_of_a_client_says_where_the_application_is_mounted(port: int) -> None:
    for name in (b"SCRIPT_NAME", b"SCRIPT-NAME", b"Script-Name", b"PATH_INFO"):
        request = b"GET /x/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s: /x\r\n\r\n" % name
        assert raw(port, request).startswith(b"HTTP/1.1 404")


def test_no_answer_tells_which_server_this_is(port: int) -> None:
    for path in (b"/health", b"/nowhere", b"/" + b"a" * 5000):
        head = raw(port, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path).partition(b"\r\n\r\n")[0]
        assert b"gunicorn" not in head and b"\nServer:" not in head


@pytest.mark.slow
def test_slow_clients_are_gone_after_a_while(port: int) -> None:
    held = {name: attack(port, 1)[0] for name, attack in ATTACKS.items()}
    time.sleep(45)  # to look at those who do not read would be to read
    assert [name for name, client in held.items() if not is_closed_within(client, 1)] == []


def pages(port: int, path: str) -> int:
    """Resident pages of the server once it has answered."""
    return int(raw(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()).split()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_what_requests_freed_goes_back_to_the_system() -> None:
    with serving(GIVE_BACK_S="0.5") as port:
        before, full = pages(port, "/memory"), pages(port, "/holes")
        held = HOLES * HOLE_BYTES // resource.getpagesize()
        assert full - before > 0.8 * held
        wait_until(lambda: pages(port, "/memory") - before < 0.3 * held, "the memory's return", 10)
