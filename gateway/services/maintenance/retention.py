"""Deletes rows that are older than their limit.

Law: only results of jobs and deliveries of webhooks are deleted unless a limit is set; transactions are short, so that
other writers hardly wait; deletions are audited.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Self

import structlog

from database.accounts import audit
from database.accounts.audit import COMMAND_LINE, Actor
from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.session import Database
from database.jobs import retention as rows
from database.webhooks import deliveries
from gateway.settings import Settings
from shared.clock import Clock, days_later, iso
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS

log = structlog.get_logger()
#: Rows of the first transaction; `AdaptiveBatchSize` sets the number for the others.
CHUNK = 1_000
EVERY_S = 86_400.0
Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Limits:
    """Months for which rows are kept, and days for results of jobs and for deliveries; None keeps them for ever."""

    ledger: int | None
    audit: int | None
    jobs: int | None
    results: int | None = None
    deliveries: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the limits from the settings."""
        return cls(
            settings.ledger_months,
            settings.audit_months,
            settings.jobs_months,
            settings.job_results_days,
            settings.webhook_log_days,
        )

    @property
    def any(self) -> bool:
        return not self.ledger == self.audit == self.jobs == self.results == self.deliveries is None


def months_before(day: date, months: int) -> date:
    """Return the same day some months ago, or the last day of a shorter month.

    >>> months_before(date(2026, 3, 31), 1), months_before(date(2026, 1, 15), 13)
    (datetime.date(2026, 2, 28), datetime.date(2024, 12, 15))
    """
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    for last in (day.day, 30, 29):
        try:
            return date(year, month + 1, min(day.day, last))
        except ValueError:
            continue
    return date(year, month + 1, 28)


def run(
    database: Database,
    limits: Limits,
    *,
    clock: Clock,
    dry_run: bool = False,
    actor: Actor = COMMAND_LINE,
    stops: threading.Event | None = None,
    report: Report = lambda share, what: None,
) -> Mapping[str, int]:
    """Delete rows that are older than their limit.

    Parameters
    ----------
    dry_run
        Only count.
    stops
        When set, the run ends after the present chunk; the next run continues from there.

    Returns
    -------
    number of rows by kind: ledger, audit, jobs, results, deliveries.
    """
    now, stops = clock(), stops or threading.Event()
    if dry_run:
        return _count(database, limits, now)
    gone = {"ledger": 0, "audit": 0, "jobs": 0, "results": 0, "deliveries": 0}
    for done, (what, drop) in enumerate(_drops(database, limits, now)):
        pace = AdaptiveBatchSize(CHUNK)
        while not stops.is_set():
            size = pace.size
            with pace.timed(database.write()) as connection:
                dropped = drop(connection, limit=size)
            gone[what] += dropped
            report(done / (done + 1), f"Deleted {gone[what]:,} {what} rows")
            if dropped < size:
                break
    if any(gone.values()):
        with database.write() as connection:
            subject = ", ".join(f"{what} {count}" for what, count in gone.items() if count)
            audit.record(connection, "retention.ran", at=iso(clock()), actor=actor, subject=subject)
    return gone


def _drops(database: Database, limits: Limits, now: datetime) -> Iterator[tuple[str, Callable[..., int]]]:
    for run_id in _runs(database, limits.ledger, now):
        yield "ledger", partial(rows.drop_ledger, run_id=run_id)
    if limits.audit is not None:
        yield "audit", partial(rows.drop_audit, before=_cut(now, limits.audit))
    if limits.jobs is not None:
        yield "jobs", partial(rows.drop_jobs, before=_cut(now, limits.jobs))
    if limits.results is not None:
        yield "results", partial(rows.drop_results, before=_days_before(now, limits.results))
    if limits.deliveries is not None:
        yield "deliveries", partial(deliveries.drop_old, before=_days_before(now, limits.deliveries))


def _runs(database: Database, months: int | None, now: datetime) -> list[int]:
    if months is None:
        return []
    before = months_before(now.date(), months).isoformat()
    # An outcome is known after the horizon and the grace gap; a prediction without one by then never gets one.
    hopeless = days_later(before, -(HORIZON_DAYS + GRACE_DAYS))
    with database.read() as connection:
        return list(rows.old_runs(connection, before=before, hopeless_before=hopeless))


def _count(database: Database, limits: Limits, now: datetime) -> Mapping[str, int]:
    runs = _runs(database, limits.ledger, now)
    with database.read() as connection:
        ledger = sum(rows.ledger_rows(connection, run_id) for run_id in runs)
        audited, jobs, results = rows.count(
            connection,
            audit_before=None if limits.audit is None else _cut(now, limits.audit),
            jobs_before=None if limits.jobs is None else _cut(now, limits.jobs),
            results_before=None if limits.results is None else _days_before(now, limits.results),
        )
        old = 0 if limits.deliveries is None else deliveries.count_old(connection, _days_before(now, limits.deliveries))
    return {"ledger": ledger, "audit": audited, "jobs": jobs, "results": results, "deliveries": old}


def _cut(now: datetime, months: int) -> str:
    return f"{months_before(now.date(), months).isoformat()}T00:00:00.000Z"


def _days_before(now: datetime, days: int) -> str:
    return iso(now - timedelta(days=days))


def daily(database: Database, limits: Limits, *, clock: Clock, stops: threading.Event) -> None:
    """Delete expired rows now and every day until `stops` is set; do nothing if no limit is set."""
    while limits.any and not stops.is_set():
        try:
            gone = run(database, limits, clock=clock, actor=audit.WORKER, stops=stops)
            log.info("retention_ran", **gone)
        except Exception:  # a failure is logged, and must not end the following days
            log.exception("retention_failed")
        stops.wait(EVERY_S)
