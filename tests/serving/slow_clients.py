"""Clients that hold on to a server: half requests, idle connections, slow bodies, answers that nobody reads."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

Sockets = list[socket.socket]


def _connected(port: int, *, receive_buffer: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(5)
    client.connect(("127.0.0.1", port))
    return client


def sending(first: bytes) -> Callable[[int, int], Sockets]:
    """Clients that send something, and then nothing."""

    def attack(port: int, n: int) -> Sockets:
        held = []
        for _ in range(n):
            client = _connected(port)
            if first:
                client.sendall(first)
            held.append(client)
        return held

    return attack


def reading_nothing(path: str, *, times: int = 8) -> Callable[[int, int], Sockets]:
    """Clients that ask for much, in one go, and read nothing of it."""
    ask = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * times

    def attack(port: int, n: int) -> Sockets:
        held = []
        for _ in range(n):
            client = _connected(port, receive_buffer=4096)
            client.sendall(ask)
            held.append(client)
        return held

    return attack


def idle(path: str) -> Callable[[int, int], Sockets]:
    """Clients that have had one answer and keep the connection."""

    def attack(port: int, n: int) -> Sockets:
        held = []
        for _ in range(n):
            client = _connected(port)
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert client.recv(65536)
            held.append(client)
        return held

    return attack


def half_requests(post_to: str) -> dict[str, Callable[[int, int], Sockets]]:
    """Every way to begin a request and not end it."""
    head = f"POST {post_to} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    return {
        "nothing": sending(b""),
        "one byte": sending(b"G"),
        "half a head": sending(b"GET / HTTP/1.1\r\nHost: x\r\nX: "),
        "a long head without an end": sending(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 60_000),
        "one byte of a body": sending(head + b"Content-Length: 1000\r\n\r\n{"),
        "half a chunk": sending(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"),
        "a chunk that looks like the last": sending(head + b"Transfer-Encoding: chunked\r\n\r\n9\r\n0\r\n\r\n"),
        "a body that waits to be asked for": sending(head + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"),
        "a large body": sending(head + b"Content-Length: 9000000\r\n\r\n{"),
    }


@contextlib.contextmanager
def holding(attack: Callable[[int, int], Sockets], port: int, n: int) -> Iterator[Sockets]:
    """Hold a number of clients on to a port."""
    held = attack(port, n)
    try:
        yield held
    finally:
        for client in held:
            client.close()


def seconds_to_answer(port: int, path: str, *, patience_s: float = 20.0) -> float:
    """How long a new client waits for an answer of 200."""
    started = time.monotonic()
    with _connected(port) as client:
        client.settimeout(patience_s)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    return time.monotonic() - started


def is_closed_within(client: socket.socket, seconds: float) -> bool:
    """Whether the server ends a connection, with an answer or without."""
    client.settimeout(seconds)
    try:
        while client.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True
