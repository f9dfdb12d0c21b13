"""Buffers the received bytes of a request until a thread serves it.

Law: this only tells how much to wait for; whether a request is valid is gunicorn's to say.
"""

from __future__ import annotations

import re
from enum import Enum

from shared.parsing_limits import MAX_JSON_BYTES

MAX_HEAD_BYTES = 64 * 1024
#: A body up to this size is waited for without a thread; whether it wants a larger one, the application says first.
MAX_BODY_BYTES = MAX_JSON_BYTES
_END = b"\r\n\r\n"
#: Of a head in small letters: a pattern that begins with plain text is found ten times as fast as one without case.
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked")
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)")
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")


class State(Enum):
    """How far a request has come."""

    HEAD = "its head is not whole"
    BODY = "its body is not whole"
    READY = "a thread can serve it"
    HEAD_TOO_LONG = "its head does not end"


class Incoming:
    """The bytes of a request, as they come.

    Attributes
    ----------
    wants_to_be_asked
        The client sends its body only after `100 Continue`.
    is_large
        A thread will have to read on.
    """

    def __init__(self) -> None:
        self._received = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._ends_at: int | None = None
        self._is_chunked = False
        self.wants_to_be_asked = self.is_large = False
        self.state = State.HEAD

    def __len__(self) -> int:
        return len(self._received)

    def take(self) -> bytes:
        """Return all bytes, for the thread that serves the request; begin the next."""
        whole = bytes(self._received)
        self._received.clear()
        self._begin()
        return whole

    def add(self, piece: bytes) -> State:
        """Add what has come; say what to wait for."""
        searched = max(0, len(self._received) - len(_END))
        self._received += piece
        if self.state is State.HEAD:
            self._look_for_head(searched)
        if self.state is State.BODY and self._is_body_whole():
            self.state = State.READY
        return self.state

    def _look_for_head(self, searched: int) -> None:
        end = self._received.find(_END, searched)
        if end < 0 or end > MAX_HEAD_BYTES:
            self.state = State.HEAD_TOO_LONG if len(self._received) > MAX_HEAD_BYTES else State.HEAD
            return
        head = bytes(self._received[: end + len(_END)]).lower()
        length = _LENGTH.search(head)
        self._is_chunked = _CHUNKED.search(head) is not None
        self._ends_at = end + len(_END)
        if not self._is_chunked:
            size = int(length[1]) if length else 0
            self.is_large = size > MAX_BODY_BYTES
            self._ends_at += 0 if self.is_large else size
        self.state = State.BODY
        self._heed_expectation(head, has_body=self._is_chunked or self._ends_at > end + len(_END))

    def _heed_expectation(self, head: bytes, *, has_body: bool) -> None:
        # gunicorn must not see `Expect` when the body is buffered here: it would ask for the body a second time.
        expects = _EXPECTS.search(head) if has_body else None
        if expects is not None and self._ends_at is not None:
            del self._received[expects.start() : expects.end()]
            self._ends_at -= expects.end() - expects.start()
            self.wants_to_be_asked = True

    def _is_body_whole(self) -> bool:
        assert self._ends_at is not None
        if not self._is_chunked:
            return len(self._received) >= self._ends_at
        if len(self._received) > MAX_BODY_BYTES + MAX_HEAD_BYTES:
            self.is_large = True
            return True
        while (line_end := self._received.find(b"\r\n", self._ends_at, self._ends_at + 64)) > 0:
            size = _CHUNK_SIZE.match(self._received, self._ends_at)
            if size is None:
                return True  # no chunk: gunicorn refuses it without reading on
            n = int(size[0], 16)
            if n == 0:
                return self._received.find(_END, line_end) >= 0
            if len(self._received) < line_end + 4 + n:
                return False
            self._ends_at = line_end + 4 + n
        # Beside its size a chunk's line may say more; a thread reads such a line.
        self.is_large = len(self._received) > self._ends_at + 64
        return self.is_large
