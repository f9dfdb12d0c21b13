"""Requests that occupy a thread for long: which ones do, and whose turn it is.

Law: large bodies have half of the threads at most, requests that compute for long a quarter, so that quick ones find a
thread. The others wait without one; the caller whose last turn is longest ago comes next.
"""

from __future__ import annotations

import itertools
import math
import re
import threading
import time
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from shared.web.connection import Connection

#: Processor time before the answer begins. Waiting, for the ML service or a client, has limits of its own, and so have
#: exports.
LONG_S = 0.5
#: How long a kind of request counts as long after the last one that was.
REMEMBERED_S = 3600.0
MOST_KINDS, MOST_CALLERS = 256, 1_000
_HOST = re.compile(rb"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*")
_WITH_DIGIT = re.compile(rb"[^/]*\d[^/]*")


def kind_of(request_line: bytes) -> bytes:
    """Return the method and the path of a request line; parts of the path with a digit, such as ids, are all alike."""
    method, _, target = request_line.partition(b" ")
    path = re.split(rb"[ ?#]", _HOST.sub(b"", target), maxsplit=1)[0]
    return method + b" " + _WITH_DIGIT.sub(b"*", unquote_to_bytes(path))


class LongKinds:
    """The kinds of request that were seen to take long.

    Parameters
    ----------
    now
        A clock that never goes back, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._until_s: dict[bytes, float] = {}

    def took(self, request_line: bytes, cpu_s: float) -> None:
        """Learn from a request how long its kind computes before it answers."""
        if cpu_s < LONG_S:
            return
        kind = kind_of(request_line)
        with self._lock:
            self._until_s.pop(kind, None)
            self._until_s[kind] = self._now() + REMEMBERED_S
            if len(self._until_s) > MOST_KINDS:
                del self._until_s[next(iter(self._until_s))]

    def has(self, request_line: bytes) -> bool:
        """Return whether a request is of a kind that took long within the last hour."""
        # Nothing is parsed while nothing takes long.
        return bool(self._until_s) and self._until_s.get(kind_of(request_line), -math.inf) > self._now()


class Turns:
    """The long requests that threads serve, and those that wait for it; only the event loop calls this.

    Parameters
    ----------
    threads
        Threads of the server.
    """

    def __init__(self, threads: int) -> None:
        self._most = {True: max(1, threads // 2), False: max(1, threads // 4)}
        self._taken = {True: 0, False: 0}
        self._numbers = itertools.count()
        self._last_of: dict[bytes, int] = {}
        self.waiting: dict[Connection, None] = {}

    def take(self, conn: Connection) -> bool:
        """Give a connection its turn if one is free."""
        is_large = conn.incoming.is_large
        if self._taken[is_large] >= self._most[is_large]:
            return False
        conn.has_turn, conn.is_large = True, is_large
        self._taken[is_large] += 1
        self._last_of.pop(conn.caller, None)
        self._last_of[conn.caller] = next(self._numbers)
        if len(self._last_of) > MOST_CALLERS:
            del self._last_of[next(iter(self._last_of))]
        return True

    def give_back(self, conn: Connection) -> None:
        """End the turn of a connection."""
        self._taken[conn.is_large] -= 1
        conn.has_turn = conn.is_large = False

    def take_next(self) -> Connection | None:
        """Give one of those that wait its turn if one is free, and return it; it still counts as waiting."""
        in_order = sorted(self.waiting, key=lambda conn: self._last_of.get(conn.caller, -1))
        return next((conn for conn in in_order if self.take(conn)), None)
