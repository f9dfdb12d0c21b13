"""Buffers the received bytes of a request until a thread serves it.

Law: this only finds how much to wait for; gunicorn decides whether a request is valid.
"""

from __future__ import annotations

import re
from enum import Enum

from shared.parsing_limits import MAX_JSON_BYTES
from shared.web.callers import caller_of

MAX_HEAD_BYTES = 64 * 1024
#: A body up to this size is received before a thread serves it; a larger one, only once the application accepts it.
MAX_BODY_BYTES = MAX_JSON_BYTES
#: Digits of a length that are read; Python converts a few thousand at most.
MAX_DIGITS = 18
#: Chunks of a body that is buffered, and bytes of the line that begins one. gunicorn takes long over tiny chunks.
MAX_CHUNKS, MAX_CHUNK_LINE_BYTES = 10_000, 256
_END = b"\r\n\r\n"
#: For a head in lower case: these patterns are ten times as fast as case-insensitive ones.
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*+(\d++)[ \t]*+\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked")
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)")
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")


class State(Enum):
    """How much of a request has been received."""

    HEAD = "its head is incomplete"
    BODY = "its body is incomplete"
    READY = "a thread can serve it"
    HEAD_TOO_LONG = "its head is too long"
    MALFORMED = "its body can't be read"


class Incoming:
    """The received bytes of a request.

    Attributes
    ----------
    expects_continue
        Whether the client waits for `100 Continue` before it sends its body.
    is_large
        Whether a thread has to read the rest of the body.
    """

    def __init__(self) -> None:
        self._received = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._ends_at: int | None = None
        self.is_chunked, self._chunks = False, 0
        self.expects_continue = self.is_large = False
        self.state = State.HEAD

    def __len__(self) -> int:
        return len(self._received)

    def line(self) -> bytes:
        """Return the request line."""
        begin = 2 if self._received.startswith(b"\r\n") else 0  # gunicorn skips one empty line
        return bytes(self._received[begin : self._received.find(b"\r\n", begin)])

    def caller(self) -> bytes | None:
        """Return whom the credential names."""
        return caller_of(bytes(self._received[: self._received.find(_END) + len(_END)]))

    def end(self) -> bool:
        """Tell that nothing more comes; return whether there is a request to answer, with what has come of its body."""
        if self.state is State.BODY:
            self.state = State.READY
        return self.state is State.READY

    def take(self) -> bytes:
        """Return all bytes for the thread that serves the request, and start the next request."""
        whole = bytes(self._received)
        self._received.clear()
        self._begin()
        return whole

    def add(self, piece: bytes) -> State:
        """Add received bytes; return what to wait for."""
        searched = max(0, len(self._received) - len(_END))
        self._received += piece
        if self.state is State.HEAD:
            self._parse_head(searched)
        if self.state is State.BODY:
            self.state = self._state_of_body()
        return self.state

    def _parse_head(self, searched: int) -> None:
        end = self._received.find(_END, searched)
        if end < 0 or end > MAX_HEAD_BYTES:
            self.state = State.HEAD_TOO_LONG if len(self._received) > MAX_HEAD_BYTES else State.HEAD
            return
        head = bytes(self._received[: end + len(_END)]).lower()
        length = _LENGTH.search(head)
        self.is_chunked = _CHUNKED.search(head) is not None
        self._ends_at = end + len(_END)
        if not self.is_chunked:
            size = int(length[1].lstrip(b"0")[:MAX_DIGITS] or 0) if length else 0
            self.is_large = size > MAX_BODY_BYTES
            self._ends_at += 0 if self.is_large else size
        self.state = State.BODY
        self._remove_expectation(head, has_body=self.is_chunked or self._ends_at > end + len(_END))

    def _remove_expectation(self, head: bytes, *, has_body: bool) -> None:
        # gunicorn must not see `Expect` if the body is buffered here: it would send `100 Continue` again.
        expects = _EXPECTS.search(head) if has_body else None
        if expects is not None and self._ends_at is not None:
            del self._received[expects.start() : expects.end()]
            self._ends_at -= expects.end() - expects.start()
            self.expects_continue = True

    def _state_of_body(self) -> State:
        assert self._ends_at is not None
        if not self.is_chunked:
            return State.READY if len(self._received) >= self._ends_at else State.BODY
        if len(self._received) > MAX_BODY_BYTES + MAX_HEAD_BYTES:
            self.is_large = True
            return State.READY
        while (line_end := self._received.find(b"\r\n", self._ends_at, self._ends_at + MAX_CHUNK_LINE_BYTES)) > 0:
            size = _CHUNK_SIZE.match(self._received, self._ends_at)
            self._chunks += 1
            if size is None or self._chunks > MAX_CHUNKS:
                return State.MALFORMED
            n = int(size[0], 16)
            if n == 0:
                return State.READY if self._received.find(_END, line_end) >= 0 else State.BODY
            if len(self._received) < line_end + 4 + n:
                self._chunks -= 1  # looked at again once more has come
                return State.BODY
            self._ends_at = line_end + 4 + n
        return State.BODY if len(self._received) < self._ends_at + MAX_CHUNK_LINE_BYTES else State.MALFORMED
