"""Runs a claimed job to its end.

Law: a job ends as exactly one of done, failed, cancelled, with the reason; files that another attempt may need are
removed only after the end is written.
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
NO_MEMORY = "This needs more memory than the worker may use (WORKER_MEMORY_MB). Ask for less at once."


def run(work: Work, kind: JobKind[Any]) -> Job:
    """Run a claimed job to its end: keep its heartbeat going and record how it ended."""
    heartbeat_stops = threading.Event()
    heartbeat = threading.Thread(
        target=_send_heartbeats, args=(work, heartbeat_stops), daemon=True, name=f"heartbeat-{work.job.id}"
    )
    structlog.contextvars.bind_contextvars(job_id=work.job.id, request_id=work.job.request_id)
    heartbeat.start()
    try:
        with interruptible(work.stops.is_set):
            result = kind.run(work, kind.read(work.job.params))
        _write_end(work, lambda connection, now: jobs.finish(connection, work.job, result, now))
        log.info("job_done", kind=work.job.kind)
    except ServiceError as error:
        _record_failure(work, error)
    except Exception as error:  # the one place outside of the request handler that records an unknown failure
        log.exception("job_crashed", kind=work.job.kind)
        _record_failure(work, _service_error(error))
    except BaseException:
        # Ctrl-C in a command: without this the job would count as lost and run again.
        _record_failure(work, Cancelled("Interrupted while running; nothing was published."))
        raise
    finally:
        heartbeat_stops.set()
        heartbeat.join()
        structlog.contextvars.clear_contextvars()
    ended = read(work.database, work.job.id)
    if ended.is_final:
        for do in work.at_end:
            do()
    return ended


def _service_error(error: Exception) -> ServiceError:
    if is_disk_full(error):
        return DiskFull()
    if isinstance(error, MemoryError):
        return TooLarge(NO_MEMORY)
    return Internal("The job failed. Search the worker's log for its id.")


def _record_failure(work: Work, error: ServiceError) -> None:
    # Not the message, which can quote a cell of a file: the job's row has it, for its owner.
    log.warning("job_failed", kind=work.job.kind, code=error.code)
    _write_end(work, lambda connection, now: jobs.fail(connection, work.job, error, now))


def _write_end(work: Work, write: Callable[[Connection, str], None]) -> None:
    """Write how a job ended, waiting for as long as the database is locked."""
    while True:
        try:
            with work.database.write() as connection:
                write(connection, iso(work.clock()))
        except DatabaseBusy:
            log.warning("end_not_written_yet", kind=work.job.kind)
        else:
            return


def _send_heartbeats(work: Work, stops: threading.Event) -> None:
    while not stops.wait(HEARTBEAT_S):
        try:
            with work.database.write() as connection:
                if jobs.heartbeat(connection, work.job, now=iso(work.clock())):
                    work.stops.set()
        except Exception:  # one missed heartbeat must not end the job
            log.exception("heartbeat_failed")
