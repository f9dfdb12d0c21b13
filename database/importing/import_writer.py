"""Writes an accepted import: staged rows become facts, which count once the import is published.

Law: every transaction is short and records the import's progress, so that an interrupted import continues from there;
repeating the last transaction changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from database.customers import customer_base, facts
from database.engine import kept_figures
from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.session import Database
from database.importing import apply_import, imports, known_ends
from database.importing.apply_rows import ChunkStatements
from database.importing.chunks import change_by_customers, change_by_rows
from database.importing.import_plan import Plan
from database.importing.imports import Pending
from database.importing.staging import Staging
from database.jobs import jobs
from database.scoring import runs
from shared.errors import Conflict
from shared.schema.features import schema_from_dict

LOST = "The staged rows of an interrupted import ({file}) are missing, so it was given up: import that file again."
Report = Callable[[int, int], None]


class ImportWriter:
    """Writes an accepted import; made by `open_import`.

    Attributes
    ----------
    plan
        The plan that was accepted.
    declared_gone
        Number of customers that `apply` ended because the file does not have them.
    """

    def __init__(self, database: Database, pending: Pending, plan: Plan, staging: Staging) -> None:
        self._database, self._pending, self._staging = database, pending, staging
        self._pace = AdaptiveBatchSize()
        self.plan, self.declared_gone = plan, 0

    @property
    def longest_write_s(self) -> float:
        """Seconds of the longest transaction so far."""
        return self._pace.longest_s

    def apply(self, report: Report = lambda done, total: None) -> None:
        """Write the remaining rows, then the resulting changes to customers. Raises DiskFull.

        Parameters
        ----------
        report
            Called with the number of rows written by this process, and the number of rows of the import.
        """
        self._apply_rows(report)
        own = [] if self.plan.absent_on is None else [self.plan.absent_on]
        for day in sorted({*own, *self.plan.later_fulls}):
            self._declare_gone(day)
        hide_gone(self._database, self._pace)

    def _apply_rows(self, report: Report) -> None:
        statements = ChunkStatements(self.plan, self._staging, self._pending.id)
        total, done = max(self.plan.result["rows"], 1), 0
        chunks = change_by_rows(
            self._database, self._staging, self._pace, statements.apply,
            after=self._pending.written, one_date=self.plan.several,
        )  # fmt: skip
        with closing(chunks):
            for size, _ in chunks:
                done = min(done + size, total)
                report(done, total)

    def _declare_gone(self, day: str) -> None:
        open_lifetimes(self._database, self.plan.now, also=day)
        gone = change_by_customers(
            self._database, self._pace, lambda c, a, b: apply_import.declare_gone(c, day, self.plan.now, a, b)
        )
        self.declared_gone += sum(gone)

    def publish(self) -> Mapping[str, Any]:
        """Publish the whole import in one transaction; store its result in its job and return it.

        Raises
        ------
        DiskFull
        """
        longest_ms = round(self.longest_write_s * 1000)
        result = {**self.plan.result, "declared_gone": self.declared_gone, "longest_write_ms": longest_ms}
        plan, known = self.plan, known_ends.measure(self._database, self._pending.id)
        with self._database.write() as connection:
            imports.publish(connection, self._pending.id)
            customer_base.mark_ready(connection)
            kept_figures.changed(connection)
            ends = known_ends.record(connection, known, full=plan.absent_on, told=plan.complete_to, now=plan.now)
            result |= {**ends, "notes": [*result["notes"], *ends["notes"]]}
            if self._pending.job_id is not None:
                jobs.note_result_of_import(connection, self._pending.job_id, result)
        return result


def settle(database: Database, pending: Pending) -> None:
    """Record that the figures derived from an import are up to date, and remove its staged rows."""
    with database.write() as connection:
        imports.settle(connection, pending.id)
    _staged(Plan(**pending.plan)).discard()


def _staged(plan: Plan) -> Staging:
    return Staging(Path(plan.staging), schema_from_dict(plan.given), plan.roles)


@contextmanager
def open_import(database: Database, pending: Pending) -> Iterator[ImportWriter]:
    """Give a writer of an accepted import, whichever process accepted it.

    Raises
    ------
    Conflict
        Its staged rows are missing; the import was given up.
    """
    plan = Plan(**pending.plan)
    staging = _staged(plan)
    if not staging.exists():
        with database.write() as connection:
            imports.fail(connection, pending.id)
        raise Conflict(LOST.format(file=plan.result.get("file_name", "a file")))
    yield ImportWriter(database, pending, plan, staging)


def open_lifetimes(database: Database, now: str, *, also: str | None = None) -> None:
    """In a base without lifetimes, give every active customer a lifetime that starts with their first facts.

    `also` is a date whose facts are written but not published yet.
    """
    with database.read() as connection:
        known = facts.has_subscriptions(connection)
        days = facts.snapshot_dates(connection)
    if known:
        return
    pace = AdaptiveBatchSize()
    for day in sorted({*days, *((also,) if also else ())}):
        _open_lifetimes_from(database, pace, day, now)


def _open_lifetimes_from(database: Database, pace: AdaptiveBatchSize, day: str, now: str) -> None:
    changed = change_by_customers(database, pace, lambda c, a, b: apply_import.open_lifetimes(c, day, now, a, b))
    deque(changed, maxlen=0)


def hide_gone(database: Database, pace: AdaptiveBatchSize) -> None:
    """Hide the present scores of customers who have left or have a known end."""
    with database.read() as connection:
        shown = runs.published(connection)
    if shown is not None:
        hidden = change_by_customers(database, pace, lambda c, a, b: apply_import.hide_gone(c, shown.run_id, a, b))
        deque(hidden, maxlen=0)
