"""Outcomes: each prediction in the ledger gets its outcome once its date has matured.

Law: an outcome is appended when its date has matured, never before; a prediction without one is unknown, not 0.
"""

from __future__ import annotations

from database.customers import facts
from database.engine.batch_sizing import AdaptiveBatchSize
from database.scoring import runs
from gateway.services.jobs.work import Work
from shared.clock import days_later, iso
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS

#: Rows of the first transaction of a run.
CHUNK = 5_000


def settle(work: Work) -> int:
    """Append the outcomes of all runs matured by the data's last date; return their number."""
    with work.database.read() as connection:
        last = facts.last_date(connection)
        if last is None or not facts.has_subscriptions(connection):
            return 0
        due = runs.without_outcomes(connection, days_later(last, -(HORIZON_DAYS + GRACE_DAYS)))
    written = 0
    for run in due:
        with work.database.read() as connection:
            labels = facts.outcomes_at(connection, run.as_of)
            known = [
                (customer_id, labels[customer_id])
                for customer_id in runs.without_outcome(connection, run.id)
                if customer_id in labels
            ]
        at, pace = 0, AdaptiveBatchSize(CHUNK)
        while at < len(known):
            part = known[at : at + pace.size]
            at += len(part)
            with pace.timed(work.database.write()) as connection:
                runs.add_outcomes(connection, run.id, part, iso(work.clock()))
        written += len(known)
    return written
