"""Runs a claimed job to its end.

Law: a job ends in exactly one of done, failed, cancelled, and says why; what another attempt may need is removed after
the end is written, and not before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog

from database.engine.interruption import interruptible
from database.engine.session import Connection
from database.jobs import jobs
from database.jobs.jobs import Job
from gateway.services.jobs.work import JobKind, Work, read
from shared.clock import iso
from shared.errors import Cancelled, DatabaseBusy, DiskFull, Internal, ServiceError, TooLarge, is_disk_full

log = structlog.get_logger()

HEARTBEAT_S = 1.0
NO_MEMORY = "This takes more memory than the worker may have (WORKER_MEMORY_MB). Do less at once."


def run(work: Work, kind: JobKind[Any]) -> Job:
    """Run a claimed job to its end: keep its heartbeat going and record how it ended."""
    heart_stops = threading.Event()
    heart = threading.Thread(target=_beat, args=(work, heart_stops), daemon=True, name=f"heart-{work.job.id}")
    structlog.contextvars.bind_contextvars(job_id=work.job.id, request_id=work.job.request_id)
    heart.start()
    try:
        with interruptible(work.stops.is_set):
            result = kind.run(work, kind.read(work.job.params))
        _write_end(work, lambda connection, now: jobs.finish(connection, work.job, result, now))
        log.info("job_done", kind=work.job.kind)
    except ServiceError as error:
        _record_failure(work, error)
    except Exception as error:  # the one place outside of the request handler that records an unknown failure
        log.exception("job_broke", kind=work.job.kind)
        _record_failure(work, _known(error))
    except BaseException:
        # Ctrl-C in a command: without this the job would be taken for lost and run again.
        _record_failure(work, Cancelled("Stopped by whoever ran it; nothing was published."))
        raise
    finally:
        heart_stops.set()
        heart.join()
        structlog.contextvars.clear_contextvars()
    ended = read(work.database, work.job.id)
    if ended.is_final:
        for do in work.at_end:
            do()
    return ended


def _known(error: Exception) -> ServiceError:
    if is_disk_full(error):
        return DiskFull()
    if isinstance(error, MemoryError):
        return TooLarge(NO_MEMORY)
    return Internal("The job broke. Its id finds the reason in the worker's log.")


def _record_failure(work: Work, error: ServiceError) -> None:
    log.warning("job_failed", kind=work.job.kind, code=error.code, message=error.message)
    _write_end(work, lambda connection, now: jobs.fail(connection, work.job, error, now))


def _write_end(work: Work, write: Callable[[Connection, str], None]) -> None:
    """Write how a job ended, however long somebody else keeps the database locked."""
    while True:
        try:
            with work.database.write() as connection:
                write(connection, iso(work.clock()))
        except DatabaseBusy:
            log.warning("end_not_written_yet", kind=work.job.kind)
        else:
            return


def _beat(work: Work, stops: threading.Event) -> None:
    while not stops.wait(HEARTBEAT_S):
        try:
            with work.database.write() as connection:
                if jobs.beat(connection, work.job, now=iso(work.clock())):
                    work.stops.set()
        except Exception:  # one missed beat is no reason to give the job up
            log.exception("beat_failed")
