"""Requests that occupy a thread for long: which ones do, and whose turn it is.

Law: a quarter of the threads never serves them, so that nobody's long requests keep quick ones waiting; they wait
without a thread, and of those that wait, one of the caller who has the fewest turns comes next.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from shared.web.connection import Connection

#: Processor time after which a thread has been occupied for long. Waiting, for the ML service or a client, has limits
#: of its own.
LONG_S = 0.5
#: How long a kind of request counts as long after the last one that was.
REMEMBERED_S = 3600.0
MOST_KINDS = 256
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
        """Learn from a request how long its kind takes."""
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
        Threads of the server. Long requests have three quarters of them at most, large bodies half of them.
    """

    def __init__(self, threads: int) -> None:
        self._most = max(1, threads - max(1, threads // 4))
        self._most_large = max(1, threads // 2)
        self._large = 0
        self._by_caller: Counter[bytes] = Counter()
        self.waiting: dict[Connection, None] = {}

    def take(self, conn: Connection) -> bool:
        """Give a connection its turn if one is free."""
        is_large = conn.incoming.is_large
        if self._by_caller.total() >= self._most or (is_large and self._large >= self._most_large):
            return False
        conn.has_turn, conn.is_large = True, is_large
        self._by_caller[conn.caller] += 1
        self._large += is_large
        return True

    def give_back(self, conn: Connection) -> None:
        """End the turn of a connection."""
        self._by_caller[conn.caller] -= 1
        if not self._by_caller[conn.caller]:
            del self._by_caller[conn.caller]
        self._large -= conn.is_large
        conn.has_turn = conn.is_large = False

    def take_next(self) -> Connection | None:
        """Give one of those that wait its turn if one is free, and return it; it still counts as waiting."""
        in_order = sorted(self.waiting, key=lambda conn: self._by_caller[conn.caller])
        return next((conn for conn in in_order if self.take(conn)), None)
