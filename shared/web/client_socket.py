"""The socket of a client as a thread sees it: neither a slow sender nor a slow reader holds the thread for long.

Law: a piece may take 30 s and the whole has a lowest rate; what a client does not take at once is kept for the event
loop to send, up to a limit; of the threads that wait for clients all the same, at most half may stall.
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
#: Bytes a second, over the whole of a body or an answer, after the first 30 s of waiting.
LOWEST_RATE = 4096
#: Bytes of an answer that are kept when the client does not take them.
MAX_KEPT = 2 * 1024 * 1024
PIECE = 64 * 1024
#: Time after which a stalled client is cut off if too many are stalled.
PATIENCE_S = 1.0


class StalledClients:
    """Clients that threads wait for; above a number of them, those that stall are cut off.

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
            As many as may stall do so already.
        """
        with self._lock:
            if len(self._since) >= self._most and len(self._stalled()) >= self._most:
                raise _gave_up()
            self._since[client] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._since.pop(client, None)

    def relieve(self) -> None:
        """Cut off those that have stalled longest, where there are too many."""
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
    unsent
        Of answers, what the client has not taken yet; whoever ends the request sends it.
    gave_up
        Nothing more is read: where the next request would begin is unknown.
    """

    def __init__(self, accepted: socket.socket, stalled: StalledClients) -> None:
        super().__init__(fileno=accepted.detach())
        self.unsent = bytearray()
        self._stalled = stalled
        self._waited_s, self._moved, self.gave_up = 0.0, 0, False
        # The kernel's own limit costs nothing on the way of requests that do not wait.
        limit = struct.pack("ll", STALL_S, 0)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return the next piece of a body; nothing, as if the client had gone, where it stalls."""
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
        """Send what the client takes at once and keep the rest, up to a limit; above it, wait."""
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
            self._push()

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file as `sendall` sends."""
        file.seek(offset)
        left = count if count is not None else 2**63
        while left > 0 and (piece := file.read(min(PIECE, left))):
            self.sendall(piece)
            left -= len(piece)
        return file.tell() - offset

    def flush(self) -> None:
        """Send of what is kept as much as the client takes at once.

        Raises
        ------
        BrokenPipeError
            The client takes too little.
        """
        with suppress(BlockingIOError):
            started = time.monotonic()
            self._took(started, self.send(memoryview(self.unsent)[:PIECE], socket.MSG_DONTWAIT))

    def waited(self, seconds: float) -> None:
        """Count a wait for this client that the event loop has had."""
        self._waited_s += seconds

    def _push(self) -> None:
        started = time.monotonic()
        try:
            with self._stalled.waiting_for(self):
                sent = self.send(memoryview(self.unsent)[:PIECE])
        except BlockingIOError:
            sent = 0
        self._took(started, sent)
        if not sent:
            raise _gave_up()

    def _took(self, started: float, sent: int) -> None:
        del self.unsent[:sent]
        if self._is_too_slow(started, sent):
            raise _gave_up()

    def _is_too_slow(self, started: float, moved: int) -> bool:
        self._waited_s += time.monotonic() - started
        self._moved += moved
        return self._waited_s > STALL_S + self._moved / LOWEST_RATE


def _gave_up() -> BrokenPipeError:
    return BrokenPipeError(errno.EPIPE, "the client does not read")
