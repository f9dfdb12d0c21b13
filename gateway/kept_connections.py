"""Small requests to the ML service over connections that are kept: for the one call that every single score makes.

Law: nothing is known here of what is asked and answered; whatever goes wrong is an OSError or an HTTPException.

The general client takes as long for such a request as the ML service does to answer it.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Mapping
from http.client import HTTPResponse
from urllib.parse import urlsplit

#: Tries to connect, and the rest before each: as the general client's.
RESTS_S = (0.0, 0.0, 0.2)


class KeptConnections:
    """POSTs to one server, by plain HTTP.

    Parameters
    ----------
    url
        Where it is, `http://` only; a path in it stands before every path asked for.
    headers
        Sent with every request.
    most
        Connections kept while nobody uses them.
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, connect_timeout_s: float, most: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._prefix, self._always = parts.path, _lines({"Host": parts.netloc.rpartition("@")[2], **headers})
        self._connect_timeout_s, self._most = connect_timeout_s, most
        self._idle: deque[socket.socket] = deque()

    def post(self, path: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> tuple[int, bytes]:
        """Status and body of the answer.

        Parameters
        ----------
        timeout_s
            How long the server may be silent.

        Raises
        ------
        OSError, http.client.HTTPException
        """
        own = _lines({**headers, "Content-Length": str(len(body))})
        head = f"POST {self._prefix}{path} HTTP/1.1\r\n{self._always}{own}\r\n".encode("latin-1")
        connection = self._idle_one() or self._new()
        try:
            connection.settimeout(timeout_s)
            connection.sendall(head + body)
            with HTTPResponse(connection, method="POST") as answer:
                answer.begin()
                content = answer.read()
        except BaseException:
            connection.close()
            raise
        if answer.will_close or len(self._idle) >= self._most:
            connection.close()
        else:
            self._idle.append(connection)
        return answer.status, content

    def _idle_one(self) -> socket.socket | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            # Nothing is under way on it: what can be read is the server's farewell.
            poll = select.poll()
            poll.register(connection, select.POLLIN)
            if not poll.poll(0):
                return connection
            connection.close()
        return None

    def _new(self) -> socket.socket:
        failure: OSError | None = None
        for rest_s in RESTS_S:
            time.sleep(rest_s)
            try:
                connection = socket.create_connection(self._address, self._connect_timeout_s)
            except OSError as error:
                failure = error
            else:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
        assert failure is not None
        raise failure


def _lines(headers: Mapping[str, str]) -> str:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\r") + lines.count("\n") != 2 * len(headers):
        raise ValueError("a header of one line was expected")
    return lines
