"""A client's socket with limits: neither a slow sender nor a slow reader occupies a thread for long.

Law: a piece may take 30 s, and a client may fall 30 s behind the lowest rate; what a client does not receive
immediately is kept for the event loop to send, up to a limit; at most half of the threads may wait for stalled clients.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

STALL_S = 30
#: Bytes per second that a client has to send or receive; it may fall STALL_S behind.
LOWEST_RATE = 4096
#: Bytes of an answer that are kept until the client receives them.
MAX_KEPT = 2 * 1024 * 1024
PIECE = 64 * 1024
#: Time after which a stalled client is cut off if too many are stalled.
PATIENCE_S = 1.0


class StalledClients:
    """Clients that threads wait for; if too many of them stall, they are cut off.

    Parameters
    ----------
    most
        Threads that may wait for clients for longer than a second.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._since: dict[ClientSocket, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def waiting_for(self, client: ClientSocket) -> Iterator[None]:
        """Count a client while a thread waits for it.

        Raises
        ------
        BrokenPipeError
            Too many clients are stalled already.
        """
        with self._lock:
            if len(self._since) >= self._most and len(self._stalled()) >= self._most:
                raise _too_slow()
            self._since[client] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._since.pop(client, None)

    def cut_off_excess(self) -> None:
        """Cut off the clients that have stalled longest, if there are too many."""
        with self._lock:
            stalled = self._stalled()
            for client in stalled[: max(0, len(stalled) - self._most)]:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits

    def _stalled(self) -> list[ClientSocket]:
        now = time.monotonic()
        return [client for client, since in self._since.items() if now - since > PATIENCE_S]


class ClientSocket(socket.socket):
    """A client's socket with limits.

    Attributes
    ----------
    received
        What was received before a thread serves it. `recv` gives it in pieces, because gunicorn copies all that it was
        given for each chunk of a body.
    unsent
        The part of answers that the client has not received yet; sent after the request ends.
    gave_up
        Whether reading has stopped: the start of the next request is unknown.
    answered_at_cpu_s
        The thread's processor time when it began to send the present answer; None before.
    """

    def __init__(self, accepted: socket.socket, stalled: StalledClients) -> None:
        super().__init__(fileno=accepted.detach())
        self.unsent = bytearray()
        self.received = bytearray()
        self.answered_at_cpu_s: float | None = None
        self._stalled = stalled
        self._behind_s, self.gave_up = 0.0, False
        # The kernel's limit costs nothing for requests that do not wait.
        limit = struct.pack("ll", STALL_S, 0)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def setblocking(self, flag: bool) -> None:
        """Set the mode if it is another one; gunicorn calls this before every request."""
        if flag != self.getblocking():
            super().setblocking(flag)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return the next piece of a body; empty, as if the client had disconnected, if it stalls."""
        if self.received:
            known = bytes(self.received[:size])
            del self.received[:size]
            return known
        started = time.monotonic()
        if self.gave_up:
            return b""
        try:
            with self._stalled.waiting_for(self):
                piece = super().recv(size, flags)
        except (BlockingIOError, BrokenPipeError):
            piece = b""
        self.gave_up = not piece or self._is_too_slow(started, len(piece))
        return b"" if self.gave_up else piece

    def sendall(self, data: Any, _flags: int = 0) -> None:
        """Send what the client receives immediately and keep the rest, up to a limit; above it, wait."""
        if self.answered_at_cpu_s is None:
            self.answered_at_cpu_s = time.thread_time()
        if self.unsent:
            self.unsent += data
            self.flush()
        else:
            try:
                sent = self.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                self.unsent += memoryview(data)[sent:]
        while len(self.unsent) > MAX_KEPT:
            self._send_waiting()

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file in the way of `sendall`."""
        file.seek(offset)
        left = count if count is not None else 2**63
        while left > 0 and (piece := file.read(min(PIECE, left))):
            self.sendall(piece)
            left -= len(piece)
        return file.tell() - offset

    def flush(self) -> None:
        """Send as many of the kept bytes as the client receives immediately.

        Raises
        ------
        BrokenPipeError
            The client receives too slowly.
        """
        with suppress(BlockingIOError):
            started = time.monotonic()
            self._count_sent(started, self.send(memoryview(self.unsent)[:PIECE], socket.MSG_DONTWAIT))

    def add_wait(self, seconds: float) -> None:
        """Add the event loop's wait for this client."""
        self._behind_s += seconds

    def _send_waiting(self) -> None:
        started = time.monotonic()
        try:
            with self._stalled.waiting_for(self):
                sent = self.send(memoryview(self.unsent)[:PIECE])
        except BlockingIOError:
            sent = 0
        self._count_sent(started, sent)
        if not sent:
            raise _too_slow()

    def _count_sent(self, started: float, sent: int) -> None:
        del self.unsent[:sent]
        if self._is_too_slow(started, sent):
            raise _too_slow()

    def _is_too_slow(self, started: float, moved: int) -> bool:
        # A client that was fast earns no time for later: it could then send one byte at a time for hours.
        self._behind_s = max(0.0, self._behind_s + time.monotonic() - started - moved / LOWEST_RATE)
        return self._behind_s > STALL_S


def _too_slow() -> BrokenPipeError:
    return BrokenPipeError(errno.EPIPE, "the client does not read")
