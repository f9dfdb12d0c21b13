"""Records who fetched a file that a job left: rows about customers leave with it.

Law: recorded before the first byte leaves, with the job's number, and no name or cell of the file.
"""

from __future__ import annotations

from typing import Literal

from database.accounts import audit
from database.accounts.audit import Actor
from database.engine.session import Database

Fetched = Literal["export.fetched", "rejects.fetched"]


def record(database: Database, action: Fetched, job_id: int, *, at: str, actor: Actor) -> None:
    """Record that somebody fetches the file of an export, or the rows that an import rejected."""
    with database.write() as connection:
        audit.record(connection, action, at=at, actor=actor, subject=f"job:{job_id}")
