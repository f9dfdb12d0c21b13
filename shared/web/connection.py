"""A client's connection: the received part of its request, and the sending of its answer."""

from __future__ import annotations

import socket
from enum import Enum
from typing import Any, NamedTuple

from gunicorn.http import wsgi
from gunicorn.workers.gthread import TConn

from shared.web.client_socket import PIECE, ClientSocket
from shared.web.incoming import Incoming, State


class Response(wsgi.Response):  # type: ignore[misc]
    """An answer that does not name the server, and whose head is sent with the first part of its body."""

    headers_sent: bool
    _head = b""

    def send_headers(self) -> None:
        if not self.headers_sent:
            lines = [line for line in self.default_headers() if not line.startswith("Server:")]
            lines += [f"{name}: {value}\r\n" for name, value in self.headers]
            self._head = "".join([*lines, "\r\n"]).encode("latin-1")
            self.headers_sent = True

    def _send(self, data: bytes) -> None:
        whole, self._head = self._head + data, b""
        if whole:
            self.sock.sendall(whole)

    def _emit_body(self, data: bytes) -> None:
        self._send(b"%X\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def sendfile(self, respiter: Any) -> bool:
        self.send_headers()
        self._send(b"")
        return bool(super().sendfile(respiter))

    def close(self) -> None:
        self.send_headers()
        self._send(b"0\r\n\r\n" if self.chunked else b"")


class Load(Enum):
    """How a request occupies its thread."""

    QUICK = "not for long"
    LARGE = "as long as its body takes to come"
    LONG = "for about a second, while it computes"
    VERY_LONG = "for seconds, while it computes"


class Turn(NamedTuple):
    """A thread for one request: how it is occupied, and by which caller; None has no limit of its own."""

    load: Load
    caller: bytes | None


class Connection(TConn):  # type: ignore[misc]
    """A client, the received part of its request, and how long the event loop waits for it."""

    sock: ClientSocket

    def __init__(self, cfg: Any, sock: ClientSocket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.address = str(client[0] if isinstance(client, tuple) else client)
        self.incoming = Incoming()
        self.held = self.discarded = 0
        self.keep = False
        self.wanted = Turn(Load.QUICK, None)
        #: While a thread serves the request.
        self.turn: Turn | None = None
        self.stage: State | None = None
        self.stage_since = 0.0
        self.since = self.until = 0.0

    def read(self) -> bool:
        """Read the received bytes without waiting; return whether the client has finished sending."""
        try:
            while self.incoming.state in (State.HEAD, State.BODY):
                piece = socket.socket.recv(self.sock, PIECE, socket.MSG_DONTWAIT)
                if not piece:
                    return True
                self.incoming.add(piece)
        except BlockingIOError:
            pass
        return False
