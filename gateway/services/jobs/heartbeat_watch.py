"""Finds the running jobs whose heartbeats have stopped, by a clock that never jumps.

Law: a job's heartbeats have stopped if their count does not grow between checks; timestamps, written by other processes
or before a clock change, are not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from database.jobs.lost_jobs import Claim

STOPPED_S = 15.0
#: After a longer gap between checks (sleep, a locked database) counting restarts: the jobs sent no heartbeats either.
LONGEST_GAP_S = 10.0


class HeartbeatWatch:
    """Compares the heartbeats of running jobs from check to check.

    Parameters
    ----------
    now_s
        Seconds of a clock that never jumps.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._checked_at_s = float("-inf")
        self._since: dict[Claim, tuple[int, float]] = {}

    def find_stopped(self, heartbeats: Mapping[Claim, int]) -> dict[Claim, int]:
        """Return the jobs without a heartbeat for `STOPPED_S`, with their heartbeat counts."""
        now = self._now_s()
        known = self._since if now - self._checked_at_s <= LONGEST_GAP_S else {}
        self._checked_at_s = now
        self._since = {
            claim: known[claim] if claim in known and known[claim][0] == count else (count, now)
            for claim, count in heartbeats.items()
        }
        return {claim: count for claim, (count, since) in self._since.items() if now - since >= STOPPED_S}
