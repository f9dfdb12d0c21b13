"""The environment of the web process: what every process has, and what requests share.

Law: `create_app` makes it; a route reaches it by `environment()`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from flask import Flask, current_app

from gateway.clients.recent_answers import RecentAnswers
from gateway.environment import Environment
from gateway.export_slots import ExportSlots
from gateway.query_cache import QueryCache
from shared.errors import ServiceUnavailable

ML_STATE_LIFE_S = 1.0
_NAME = "retainstream"


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
