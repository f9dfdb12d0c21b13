"""Small requests to the ML service over connections that are kept: for the one call that every single score makes.

Law: nothing is known here of what is asked and answered; whatever goes wrong is an OSError or an HTTPException.

The general client takes as long for such a request as the ML service does to answer it.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPResponse, IncompleteRead
from io import BufferedReader
from urllib.parse import urlsplit

#: Tries to connect, and the rest before each: as the general client's.
RESTS_S = (0.0, 0.0, 0.2)
#: 1xx announce an answer, 204 and 304 have no body.
_STATUS = re.compile(rb"http/1\.1 (?!204|304)([2-5]\d\d) ")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n")


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
            with connection.makefile("rb") as reader:
                status, content, is_last = _plain_answer(reader) or _any_answer(reader)
        except BaseException:
            connection.close()
            raise
        if is_last or len(self._idle) >= self._most:
            connection.close()
        else:
            self._idle.append(connection)
        return status, content

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


def _plain_answer(reader: BufferedReader) -> tuple[int, bytes, bool] | None:
    """Status, body, and whether the connection ends; None, and nothing read, where the answer is not of the usual kind.

    The library's reader of headers is one for e-mail, and takes a fifteenth of the gateway's whole request.
    """
    begun = reader.peek()
    end = begun.find(b"\r\n\r\n") + 4
    head = begun[:end].lower()
    status, length = _STATUS.match(head), _LENGTH.findall(head)
    if status is None or len(length) != 1 or b"\r\ntransfer-encoding:" in head:
        return None
    reader.read(end)
    content = reader.read(int(length[0]))
    if len(content) < int(length[0]):
        raise IncompleteRead(content)
    return int(status[1]), content, b"\r\nconnection: close\r\n" in head


def _any_answer(reader: BufferedReader) -> tuple[int, bytes, bool]:
    """The same of any answer, as the library reads it."""
    with HTTPResponse(_Held(reader), method="POST") as answer:  # type: ignore[arg-type]
        answer.begin()
        return answer.status, answer.read(), answer.will_close


@dataclass(frozen=True)
class _Held:
    """As much of a socket as the library asks for."""

    reader: BufferedReader

    def makefile(self, _: str) -> BufferedReader:
        return self.reader


def _lines(headers: Mapping[str, str]) -> str:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\r") + lines.count("\n") != 2 * len(headers):
        raise ValueError("a header of one line was expected")
    return lines
