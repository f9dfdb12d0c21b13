"""The work beside the users: a file is imported, everybody is scored, everybody is exported, again and again."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests import journey
from tests.stack import Stack

JOB_S = 1800.0
#: Seconds between the beginnings of two rounds, at least.
PACE_S = 20.0
#: Each file holds the facts of the next day.
FIRST_DAY = date(2026, 8, 31)


def sleep_until(moment: float) -> None:
    """Sleep until a moment of the monotonic clock, if it has not passed."""
    time.sleep(max(0.0, moment - time.monotonic()))


class Beside:
    """Imports, scores and exports a base while users ask, until it is told to stop."""

    def __init__(self, stack: Stack, table: Path) -> None:
        self._stack, self._table = stack, table
        self.took_s: dict[str, list[float]] = {"import": [], "scoring run": [], "export": []}
        self.faults: list[str] = []
        self._day = FIRST_DAY

    def round(self) -> None:
        """Each of them once."""
        self._day += timedelta(days=1)
        api, as_of = self._stack.person("analyst"), self._day.isoformat()
        acts: dict[str, Any] = {
            "import": lambda: journey.by_rest(
                self._stack, self._table, schema="retainstream", as_of=as_of, seconds=JOB_S
            ),
            "scoring run": lambda: journey.scored_by_rest(self._stack, JOB_S),
            "export": lambda: journey.streamed(
                api, "/api/customers/export", self._table.with_suffix(".out"), seconds=JOB_S
            ),
        }
        for name, act in acts.items():
            began = time.monotonic()
            act()
            self.took_s[name].append(time.monotonic() - began)

    def until(self, end: float) -> None:
        """Work for one round, and for as many more as will have ended by this time if each takes as long as the longest."""
        try:
            longest_s = 0.0
            while (began := time.monotonic()) + longest_s < end and self._day < datetime.now(UTC).date():
                self.round()
                longest_s = max(longest_s, time.monotonic() - began)
                sleep_until(min(began + PACE_S, end))
        except Exception as error:  # noqa: BLE001  # users go on: whoever reads the table is told
            self.faults.append(f"beside: {error!r}")
