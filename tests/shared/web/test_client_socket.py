"""Clients that read or send too little are given up, and say so to whoever serves them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from shared.web import client_socket
from shared.web.client_socket import ClientSocket, StalledClients

Pair = tuple[ClientSocket, socket.socket]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Our side of a connection, with a second of patience, and the client's."""
    monkeypatch.setattr(client_socket, "STALL_S", 1)
    ours, theirs = socket.socketpair()
    made = ClientSocket(ours, StalledClients(4))
    with made, theirs:
        yield made, theirs


def send_pieces(ours: ClientSocket, times: int) -> None:
    for _ in range(times):
        ours.sendall(b"x" * client_socket.PIECE)


def test_a_stream_that_nobody_reads_breaks(pair: Pair) -> None:
    ours, _ = pair
    with pytest.raises(BrokenPipeError):
        send_pieces(ours, 200)


def test_a_stream_that_is_read_too_slowly_breaks(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_socket, "LOWEST_RATE", 10**9)
    ours, theirs = pair
    ends = threading.Event()

    def read() -> None:
        while not ends.is_set():
            theirs.recv(client_socket.PIECE)
            time.sleep(0.02)

    reader = threading.Thread(target=read)
    reader.start()
    with pytest.raises(BrokenPipeError):
        send_pieces(ours, 1000)
    ends.set()
    ours.close()
    reader.join(5)


def test_a_body_that_stops_coming_ends_and_stays_ended(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"half")
    assert ours.recv(100) == b"half"
    assert ours.recv(100) == b""
    theirs.sendall(b"the rest, too late")
    assert ours.recv(100) == b"" and ours.gave_up


def test_what_is_kept_is_sent_before_what_comes_after(pair: Pair) -> None:
    ours, theirs = pair
    theirs.settimeout(5)
    pieces = [bytes([k]) * 300_000 for k in range(6)]
    for piece in pieces:
        ours.sendall(piece)
    assert ours.unsent
    got = b""
    while len(got) < 1_800_000:
        got += theirs.recv(1_000_000)
        if ours.unsent:
            ours.flush()
    assert got == b"".join(pieces)


def test_what_came_fast_is_no_credit_for_a_trickle(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"x" * 100_000)
    came = 0
    while came < 100_000:
        came += len(ours.recv(65_536))
    ends = threading.Event()

    def trickle() -> None:
        with suppress(OSError):
            while not ends.wait(0.3):
                theirs.send(b"x")

    sender = threading.Thread(target=trickle)
    sender.start()
    began = time.monotonic()
    while ours.recv(65_536):
        assert time.monotonic() - began < 5, "100,000 bytes at the lowest rate are 24 s"
    ends.set()
    sender.join(5)


def test_what_was_received_before_comes_first_and_in_pieces(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"later")
    ours.received += b"before"
    assert [ours.recv(4), ours.recv(4), ours.recv(8)] == [b"befo", b"re", b"later"]
