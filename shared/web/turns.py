"""How many threads requests of a kind, and of one caller, may occupy, and whose turn it is.

Law: large bodies have half of the threads at most, requests that compute for long a quarter, and those that compute for
very long another; one caller has half of each at most, and three quarters of the threads. The others wait without a
thread; the caller whose last turn is longest ago comes next.
"""

from __future__ import annotations

import itertools
import math
import re
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from gunicorn.util import split_request_uri

from shared.web.connection import Connection, Load, Turn

#: The least processor time before the answer begins, the longest first. Waiting, for the ML service or a client, has
#: limits of its own, and so have exports.
LEAST_CPU_S = {Load.VERY_LONG: 2.0, Load.LONG: 0.5}
#: How long a kind of request counts as long after the last one that was.
REMEMBERED_S = 3600.0
MOST_KINDS, MOST_CALLERS = 256, 1_000
#: gunicorn refuses longer request lines.
MAX_LINE_BYTES = 4_096
_DIGIT = re.compile(rb"\d")
#: Parameters that say which part of a list, and not what is in it; an empty query has no other either.
PAGING = frozenset({b"limit", b"after", b"page", b""})


def kind_of(request_line: bytes) -> bytes:
    """Return the method and the path of a request line, and whether it asks for more than a page of a list.

    Parts of the path with a digit, such as ids, are all alike.
    """
    method, _, rest = request_line[:MAX_LINE_BYTES].partition(b" ")
    try:
        uri = split_request_uri(rest.partition(b" ")[0].decode("latin-1"))
        path, query = uri.path.encode("latin-1"), uri.query.encode("latin-1")
    except ValueError:
        path = query = b""
    parts = unquote_to_bytes(path).split(b"/")
    names = {each.partition(b"=")[0] for each in query.split(b"&")}
    named = b"/".join(b"*" if _DIGIT.search(part) else part for part in parts)
    return (b"GET" if method == b"HEAD" else method) + b" " + named + (b"" if names <= PAGING else b"?")


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
        self._until_s: OrderedDict[tuple[Load, bytes], float] = OrderedDict()

    def took(self, request_line: bytes, cpu_s: float) -> None:
        """Learn from a request how long its kind computes before it answers."""
        load = next((load for load, least_s in LEAST_CPU_S.items() if cpu_s >= least_s), None)
        if load is None:
            return
        known = load, kind_of(request_line)
        with self._lock:
            self._until_s[known] = self._now() + REMEMBERED_S
            self._until_s.move_to_end(known)
            if len(self._until_s) > MOST_KINDS:
                self._until_s.popitem(last=False)

    def load_of(self, request_line: bytes) -> Load:
        """Return how long the longest request of this kind computed within the last hour."""
        if not self._until_s:  # nothing is parsed while nothing takes long
            return Load.QUICK
        kind, now_s = kind_of(request_line), self._now()
        return next((load for load in LEAST_CPU_S if self._until_s.get((load, kind), -math.inf) > now_s), Load.QUICK)


class Turns:
    """The requests that threads serve, and those that wait for their turn.

    Parameters
    ----------
    threads
        Threads of the server.
    """

    def __init__(self, threads: int) -> None:
        # Lists of a second do not wait behind summaries of several.
        shares = {Load.LARGE: threads // 2, Load.LONG: threads // 4, Load.VERY_LONG: threads // 4}
        self._most = {Load.QUICK: threads} | {load: max(1, most) for load, most in shares.items()}
        self._most_each = {load: max(1, most // 2) for load, most in self._most.items()}
        # More than half: that many threads may wait for the ML service, for one person who reads beside it.
        self._most_each[Load.QUICK] = max(1, threads - threads // 4)
        self._lock = threading.Lock()
        self._taken: Counter[Load] = Counter()
        self._taken_by: Counter[Turn] = Counter()
        self._numbers = itertools.count()
        self._last_of: OrderedDict[bytes | None, int] = OrderedDict()
        self.waiting: dict[Connection, None] = {}

    def take(self, conn: Connection, turn: Turn) -> bool:
        """Give a connection its turn if one is free; threads and the event loop call this."""
        with self._lock:
            if self._taken[turn.load] >= self._most[turn.load]:
                return False
            if turn.caller is not None and self._taken_by[turn] >= self._most_each[turn.load]:
                return False
            self._taken[turn.load] += 1
            self._taken_by[turn] += 1
            self._last_of[turn.caller] = next(self._numbers)
            self._last_of.move_to_end(turn.caller)
            if len(self._last_of) > MOST_CALLERS:
                self._last_of.popitem(last=False)
        conn.turn = turn
        return True

    def give_back(self, conn: Connection) -> None:
        """End the turn of a connection, if it has one."""
        turn, conn.turn = conn.turn, None
        if turn is not None:
            with self._lock:
                self._taken[turn.load] -= 1
                self._taken_by[turn] -= 1
                if not self._taken_by[turn]:
                    del self._taken_by[turn]

    def take_next(self) -> Connection | None:
        """Give one of those that wait its turn if one is free, and return it; it still counts as waiting."""
        in_order = sorted(self.waiting, key=lambda conn: self._last_of.get(conn.wanted.caller, -1))
        return next((conn for conn in in_order if self.take(conn, conn.wanted)), None)
