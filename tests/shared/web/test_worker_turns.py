"""Nobody gets round the turns of requests that take long, and no client ends the server or holds it up alone."""

from __future__ import annotations

import random
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.serving import slow_clients
from tests.serving.server import THREADS, busy, cpu_s_of, process_of, raw, read_all, serving
from tests.serving.slow_clients import holding, seconds_to_answer

pytestmark = pytest.mark.xdist_group("worker")
LATER_S = 0.6


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as number:
        yield number


def test_requests_that_take_long_leave_a_thread_to_the_others(port: int) -> None:
    assert raw(port, busy(0.6, number=7)).endswith(b"7")
    with holding(slow_clients.sending(busy(0.3)), port, 2 * THREADS) as held:
        waited = [seconds_to_answer(port, "/health") for _ in range(3)]
        assert max(waited) < 0.6, "with all threads taken the first of these waits for a turn to end"
        assert [read_all(client)[-1:] for client in held] == [b"1"] * len(held)


def brief(seconds: float, *, caller: str = "ann") -> bytes:
    """A request of another kind that computes for a while."""
    return busy(seconds, caller=caller).replace(b"/busy/1", b"/brief/1")


def test_requests_of_a_second_do_not_wait_behind_those_of_several() -> None:
    with serving() as port:
        raw(port, brief(LATER_S))
        raw(port, busy(2.1))
        with holding(slow_clients.sending(busy(1.0)), port, THREADS) as held:
            began = time.monotonic()
            assert raw(port, brief(0.1, caller="bob"), seconds=20).endswith(b"1")
            assert time.monotonic() - began < 1.0
            assert [read_all(client)[-1:] for client in held] == [b"1"] * len(held)


def test_turns_go_round_among_callers(port: int) -> None:
    raw(port, busy(0.6))
    with holding(slow_clients.sending(busy(0.2)), port, 3 * THREADS) as held:
        began = time.monotonic()
        assert raw(port, busy(0.1, number=2, caller="bob"), seconds=20).endswith(b"2")
        waited = time.monotonic() - began
        answers = [read_all(client)[-1:] for client in held]
    assert answers == [b"1"] * len(held)
    assert waited < (time.monotonic() - began) / 2


ROUND = {
    "another scheme": busy(0.3).replace(b"GET /busy/1?", b"GET x%d:/busy/1?y=://&"),
    "an empty line before": b"\r\n" + busy(0.3),
    "no more than the head": busy(0.3).replace(b"Authorization", b"Content-Length: 1\r\nAuthorization"),
    "a key for each": busy(0.3).replace(b"Host: x", b"Host: x\r\nX-API-Key: %d"),
}


@pytest.mark.parametrize("how", ROUND)
def test_no_way_of_asking_gets_round_the_turns(port: int, how: str) -> None:
    assert raw(port, busy(LATER_S)).endswith(b"1")
    held = []
    for number in range(2 * THREADS):
        client = socket.create_connection(("127.0.0.1", port), timeout=30)
        client.sendall(ROUND[how].replace(b"%d", b"%d" % number))
        if how == "no more than the head":
            client.shutdown(socket.SHUT_WR)
        held.append(client)
    waited = max(seconds_to_answer(port, "/health") for _ in range(3))
    answers = [read_all(client)[:12] for client in held]
    for client in held:
        client.close()
    assert answers == [b"HTTP/1.1 200"] * len(held)
    assert waited < LATER_S


def test_one_callers_quick_requests_leave_threads_to_the_others(port: int) -> None:
    other = brief(0.01, caller="bob")
    with holding(slow_clients.sending(brief(0.25)), port, 4 * THREADS) as held:
        began = time.monotonic()
        assert raw(port, other, seconds=20).endswith(b"1")
        assert time.monotonic() - began < 1.0
        assert [read_all(client)[:12] for client in held] == [b"HTTP/1.1 200"] * len(held)


def test_a_long_line_takes_no_time(port: int) -> None:
    raw(port, busy(LATER_S))
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /" + b"a" * 30_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert seconds_to_answer(port, "/health", patience_s=60) < LATER_S


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_a_body_of_tiny_chunks_costs_as_much_as_its_bytes(port: int) -> None:
    process = process_of(port)
    for chunks, status in ((9_000, b"200"), (80_000, b"400")):
        before = cpu_s_of(process)
        head = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        answer = raw(port, head + b"1\r\na\r\n" * chunks + b"0\r\n\r\n", seconds=20)
        assert answer.split()[1] == status
        assert cpu_s_of(process) - before < 0.5, "quadratic: 80,000 take half a minute"


def test_a_line_of_a_chunk_without_end_is_refused(port: int) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    began = time.monotonic()
    assert b" 400 " in raw(port, head + b"5;" + b"x" * 300, seconds=10).partition(b"\r\n")[0]
    assert time.monotonic() - began < 5


def test_an_answer_that_breaks_off_ends_its_connection_alone(port: int) -> None:
    before = process_of(port)
    raw(port, b"GET /breaks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    time.sleep(0.3)
    assert process_of(port) == before


def test_a_client_that_goes_while_it_is_asked_for_its_body_ends_nothing_else(port: int) -> None:
    before, chance = process_of(port), random.Random(1)
    head = b"POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    until = time.monotonic() + 3
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            # Closing resets the connection.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(head)
            goes_at = time.perf_counter() + chance.uniform(0, 0.0006)
            while time.perf_counter() < goes_at:
                pass
    assert process_of(port) == before
