"""Limits how many jobs wait: per user and kind, per user, and in total.

Law: jobs are counted in the transaction that queues one, so that two requests never take the last place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from database.engine.session import Connection
from database.jobs import job_lists
from gateway.settings import Settings
from shared.errors import QueueFull, TooManyQueued

TOO_MANY = "{count} of your jobs of this kind are waiting, the most that one user may have: try again when one is done."
TOO_MANY_OF_ALL = "{count} of your jobs are waiting, the most that one user may have: try again when one is done."
FULL = "{count} jobs are waiting, the most that this system queues: try again when some are done."
RETRY_S = 10
#: One user takes at most this part of the queue, so that others can still ask.
PART = 4


@dataclass(frozen=True)
class QueueLimits:
    """The most jobs that may wait, per user and kind, and in total; a user has a quarter of the total."""

    each: int
    total: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the limits from the settings."""
        return cls(settings.max_queued, settings.max_queue)

    def admit(self, connection: Connection, kind: str, user_id: int | None) -> None:
        """Let one more job be queued, or raise TooManyQueued or QueueFull."""
        theirs = job_lists.queued_by(connection, kind, user_id)
        if theirs >= self.each:
            raise TooManyQueued(TOO_MANY.format(count=theirs), retry_after_s=RETRY_S)
        of_all = job_lists.queued(connection, user_id) if user_id is not None else 0
        if of_all >= max(1, self.total // PART):
            raise TooManyQueued(TOO_MANY_OF_ALL.format(count=of_all), retry_after_s=RETRY_S)
        waiting = job_lists.queued(connection)
        if waiting >= self.total:
            raise QueueFull(FULL.format(count=waiting), retry_after_s=RETRY_S)
