"""The events of a scoring run: that it is complete, and how many customers came above the list's cut.

Law: counts and a cursor, never a customer: a receiver reads who they are at `predictions/changes`, by its own key.
"""

from __future__ import annotations

from typing import Any

from database.engine.session import Connection
from database.scoring import changes, runs
from database.scoring.run_writer import RunWriter
from database.webhooks import events
from gateway.services.jobs.work import Work
from gateway.services.scoring.changes import cursor_at


def completed(
    connection: Connection, work: Work, run: RunWriter, kind: runs.Kind, model_version: str, as_of: str
) -> None:
    """Record `prediction.completed`, in the transaction that ends the run."""
    data = {
        "run_id": run.run_id,
        "kind": kind,
        "customers": run.customers,
        "average_probability": run.average_probability,
        "model_version": model_version,
        "as_of": as_of,
        "job_id": work.job.id,
    }
    events.record(connection, "prediction.completed", data, now=work.clock())


def alert(connection: Connection, run_id: int, cut: float, secret: str) -> dict[str, Any]:
    """Return the data of `churn.alert` for a ranked run that is about to be published."""
    counted = changes.above(connection, run_id, cut)
    return {
        "run_id": run_id,
        "cut": cut,
        "above_cut": counted.now,
        "above_cut_before": counted.before,
        "newly_above_cut": counted.newly,
        "no_longer_above_cut": counted.no_longer,
        "changes_since": cursor_at(connection, secret),
    }
