"""Renewing the figures that follow from the facts, once facts have changed.

Law: they are computed from the facts alone, so renewing them twice changes nothing.
"""

from __future__ import annotations

from database.customers import churn_history
from database.scoring.run_writer import refresh_roll_up
from gateway.services.jobs.work import Work
from gateway.services.scoring import outcomes


def bring_up_to_date(work: Work) -> None:
    """Recompute what follows from the facts: churn by period, outcomes, the roll-up of present scores."""
    with work.database.read() as connection:
        periods = churn_history.measure(connection)
    with work.database.write() as connection:
        churn_history.store(connection, periods)
    outcomes.settle(work)
    refresh_roll_up(work.database)
