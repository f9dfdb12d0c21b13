"""Which running jobs have said nothing for too long, by a clock that never jumps.

Law: a job is silent while its count of beats stands still before somebody who looks on; moments written by other
processes, or by this one before its clock was put, say nothing about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from database.jobs.lost_jobs import Claim

SILENT_S = 15.0
#: Whoever has not looked for so long (asleep, or kept from the database as the jobs were) begins to look anew.
BLINK_S = 10.0


class Silence:
    """Looks at the beats again and again.

    Parameters
    ----------
    now_s
        Seconds of a clock that never jumps.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._looked_at_s = float("-inf")
        self._since: dict[Claim, tuple[int, float]] = {}

    def look(self, beats: Mapping[Claim, int]) -> dict[Claim, int]:
        """Return the jobs, with their beats, that have said nothing for `SILENT_S` while somebody looked."""
        now = self._now_s()
        known = self._since if now - self._looked_at_s <= BLINK_S else {}
        self._looked_at_s = now
        self._since = {
            claim: known[claim] if claim in known and known[claim][0] == count else (count, now)
            for claim, count in beats.items()
        }
        return {claim: count for claim, (count, since) in self._since.items() if now - since >= SILENT_S}
