"""gunicorn's threaded worker, whose threads stay with a connection for a moment after its answer.

Law: a thread lingers only while nobody waits for one.

The worker as it comes gives a connection back to its main thread after each request: several changes of thread for each
one of a client that asks again at once; its main thread took 30 % of the gateway's samples under load.
"""

from __future__ import annotations

import select
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

#: How long the next request may take to begin.
LINGER_MS = 10


class _Together:
    """A socket that holds back what it is given first, an answer's headers, until the next piece comes."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._held: bytes | None = None

    def sendall(self, data: bytes) -> None:
        if self._held is None:
            self._held = data
        else:
            data, self._held = self._held + data, b""
            self._sock.sendall(data)

    def release(self) -> None:
        """Send what is held."""
        data, self._held = self._held, b""
        if data:
            self._sock.sendall(data)

    def __getattr__(self, name: str) -> Any:
        # Whatever else is asked of it, a file to be sent for one, comes after what it holds.
        self.release()
        return getattr(self._sock, name)


class _Settled:
    """The configuration, each setting looked up once: the way to one is long, and taken dozens of times a request."""

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = getattr(self._configuration, name)
        return value


class LingeringWorker(ThreadWorker):  # type: ignore[misc]
    """Serves the next request of a connection in the thread that served the last one, where it follows at once."""

    cfg: Any

    def init_process(self) -> None:
        """Begin to serve; nothing is configured any more from here on."""
        self.cfg = _Settled(self.cfg)
        super().init_process()

    def handle(self, conn: Any) -> Any:
        """Serve a connection's requests; what to do with it then, as the worker itself says it."""
        kept = super().handle(conn)
        while kept is True and self.alive and not conn.is_http2 and self._follows(conn):
            kept = super().handle(conn)
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Serve one request; headers and body, or its first part, leave in one piece."""
        bare, conn.sock = conn.sock, _Together(conn.sock)
        try:
            kept = super().handle_request(req, conn)
            conn.sock.release()
            return kept
        finally:
            conn.sock = bare

    def _follows(self, conn: Any) -> bool:
        # Bytes read ahead with the last body no longer make the socket readable.
        if conn.parser.unreader.buf.getvalue():
            return True
        if self.tpool._work_queue.qsize():
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(LINGER_MS))
