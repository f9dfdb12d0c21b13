"""Measures the figures that take a pass over all customers, once the present state has changed.

Law: only the worker stores them, while it runs no job; until it has, or without one, a reader measures for itself by
the same queries (`kept_figures.get_or_measure`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from database.customers import customer_base, listing
from database.engine import kept_figures
from database.engine.interruption import interruptible
from database.engine.session import Connection, Database
from database.scoring import movers
from database.segments import group_totals, movement
from shared.errors import Cancelled

log = structlog.get_logger()
#: Seconds between two looks at the present state, which is measured when it is the same at both.
LOOK_S = 1.0
#: A measurement is followed by a pause of so many times its length, so that it takes a fifteenth of the time at most: a
#: small base is measured at once, a million customers (14 s of a core) every four minutes. A reader who comes before
#: measures for itself, which takes 1 to 3 s then.
PAUSE_SHARE = 14.0


def keep_renewed(
    database: Database,
    cut: float,
    *,
    stops: threading.Event,
    is_busy: Callable[[], bool],
    pause_share: float = PAUSE_SHARE,
) -> None:
    """Measure the present state whenever it has changed, until `stops` is set.

    Parameters
    ----------
    cut
        Probability above which a customer is on the list of those at risk.
    is_busy
        Returns whether a job runs: none is measured beside it, and a job that begins ends the measurement.
    pause_share
        Length of the pause after a measurement, in lengths of the measurement.
    """
    next_at, before, is_own = float("-inf"), None, False
    while not stops.wait(LOOK_S):
        try:
            if not is_own:
                with database.write() as connection:
                    kept_figures.forget(connection)
                is_own = True
            with database.read() as connection:
                found = kept_figures.version_to_measure(connection)
            is_settled, before = found is not None and found == before, found
            if is_settled and not is_busy() and time.monotonic() >= next_at:
                began = time.monotonic()
                renew(database, cut, lambda: stops.is_set() or is_busy())
                ended = time.monotonic()
                next_at = ended + pause_share * (ended - began)
        except Exception:  # a failure is logged and tried again: readers measure for themselves meanwhile
            log.exception("figures_not_kept")


def renew(database: Database, cut: float, is_stopped: Callable[[], bool] = lambda: False) -> bool:
    """Measure the present state and keep its figures, unless they are kept or it is stopped; return whether it did."""
    try:
        with interruptible(is_stopped), database.read() as connection:
            version = kept_figures.version_to_measure(connection)
            if version is None:
                return False
            figures = dict(_measured(connection, cut))
    except Cancelled:
        return False
    with database.write() as connection:
        return kept_figures.store(connection, version, figures)


def _measured(connection: Connection, cut: float) -> Iterator[tuple[str, Any]]:
    present = customer_base.get(connection)
    if present is None:
        return
    yield from group_totals.to_keep(connection, present.schema)
    yield from movement.to_keep(connection)
    yield from listing.to_keep(connection, present.schema)
    yield from movers.to_keep(connection, present.schema, cut)
