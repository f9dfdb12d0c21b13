"""How many jobs may wait: of one person and kind, and in all.

Law: counted in the transaction that queues, so that no two requests take the last place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from database.engine.session import Connection
from database.jobs import job_lists
from gateway.settings import Settings
from shared.errors import QueueFull, TooManyQueued

TOO_MANY = (
    "{count} of your jobs of this kind wait already, as many as anybody may have waiting: try again when one is done."
)
FULL = "{count} jobs wait, as many as this system takes: try again when some are done."
RETRY_S = 10


@dataclass(frozen=True)
class QueueLimits:
    """The most jobs that wait, of one person and kind, and in all."""

    each: int
    total: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As they are set."""
        return cls(settings.max_queued, settings.max_queue)

    def admit(self, connection: Connection, kind: str, user_id: int | None) -> None:
        """Let one more job be queued, or raise TooManyQueued or QueueFull."""
        theirs = job_lists.queued_by(connection, kind, user_id)
        if theirs >= self.each:
            raise TooManyQueued(TOO_MANY.format(count=theirs), retry_after_s=RETRY_S)
        waiting = job_lists.queued(connection)
        if waiting >= self.total:
            raise QueueFull(FULL.format(count=waiting), retry_after_s=RETRY_S)
