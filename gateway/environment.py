"""What an app is made of, so that a route can reach it.

Law: `create_app` joins the parts once; nobody changes them afterwards.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from flask import current_app

from database.engine.session import Database
from gateway.clients.ml_client import MLClient
from gateway.query_cache import Memory
from gateway.settings import Settings
from shared.clock import Clock

EXPORTS_AT_ONCE = 4


@dataclass(frozen=True)
class Parts:
    """The gateway's parts."""

    settings: Settings
    database: Database
    ml: MLClient
    clock: Clock
    memory: Memory
    waiting: threading.BoundedSemaphore | None = field(default=None)
    #: Each export holds a thread and a moment of the database for as long as its reader takes.
    exporting: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(EXPORTS_AT_ONCE))


def parts() -> Parts:
    """The parts of the app that serves the present request."""
    found: Parts = current_app.extensions["retainstream"]
    return found
