"""The environment of the web process: what every process has, and what requests share.

Law: `create_app` makes it; a route reaches it by `environment()`.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from flask import Flask, current_app

from gateway.clients.recent_answers import RecentAnswers
from gateway.environment import Environment
from gateway.query_cache import QueryCache
from shared.errors import ServiceUnavailable

MAX_EXPORTS, OWN_EXPORTS = 4, 2
BUSY = "This server is already running as many exports as it allows; try again."
TOO_MANY = (
    f"{OWN_EXPORTS} of your exports are being sent, the most that one person may have: try again when one is done."
)
RETRY_S = 5
ML_STATE_LIFE_S = 1.0
_NAME = "retainstream"


class ExportSlots:
    """Slots of the exports that are sent at the same time, by the id of the person who reads.

    An export holds a thread and a read transaction until its client has read it. One person, with all keys and
    sessions, has half of the slots at most, so that slow readers leave room for others.
    """

    def __init__(self) -> None:
        # Re-entrant: Python may drop an export, which gives its slot back, while this thread holds the lock.
        self._lock = threading.RLock()
        self._taken: Counter[int] = Counter()

    def take(self, person: int) -> None:
        """Take a slot. Raises ServiceUnavailable if none is free for this person."""
        with self._lock:
            if self._taken[person] >= OWN_EXPORTS:
                raise ServiceUnavailable(TOO_MANY, retry_after_s=RETRY_S)
            if self._taken.total() >= MAX_EXPORTS:
                raise ServiceUnavailable(BUSY, retry_after_s=RETRY_S)
            self._taken[person] += 1

    def give_back(self, person: int) -> None:
        """Give back a slot that was taken."""
        with self._lock:
            self._taken[person] -= 1
            if not self._taken[person]:
                del self._taken[person]


@dataclass(frozen=True)
class WebEnvironment(Environment):
    """The environment of requests.

    Attributes
    ----------
    query_cache
        Results of reads, kept until the database changes.
    wait_slots
        One slot for each request that may wait for a job; None where none may.
    export_slots
        Slots of the exports that may be sent at the same time.
    ml_states
        The newest check of the ML service, and of each version: its failure, or None.
    """

    query_cache: QueryCache
    wait_slots: threading.BoundedSemaphore | None
    export_slots: ExportSlots
    ml_states: RecentAnswers[ServiceUnavailable | None]


def install(app: Flask, base: Environment) -> WebEnvironment:
    """Give an app its environment."""
    max_waiting = base.settings.max_waiting
    made = WebEnvironment(
        base.settings,
        base.database,
        base.ml,
        base.clock,
        query_cache=QueryCache(base.database),
        wait_slots=threading.BoundedSemaphore(max_waiting) if max_waiting else None,
        export_slots=ExportSlots(),
        ml_states=RecentAnswers(ML_STATE_LIFE_S),
    )
    app.extensions[_NAME] = made
    return made


def environment() -> WebEnvironment:
    """Return the environment of the app that serves the present request."""
    found: WebEnvironment = current_app.extensions[_NAME]
    return found
