"""The files of finished exports: their folder, their names, their removal.

Law: a file's age is its modification time; nothing else records that it exists. No Arrow here: the web
process reads the files from disk.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from database.jobs.jobs import Job
from shared.errors import Conflict, NotFound

UNFINISHED = ".unfinished"


def folder(data_folder: Path) -> Path:
    """Return the folder of exports within DATA_FOLDER: on the persistent disk, and not served as static files."""
    return data_folder / "exports"


def path(data_folder: Path, job_id: int) -> Path:
    """Return the path of one job's file."""
    return folder(data_folder) / f"export-{job_id}.parquet"


def unfinished(finished: Path, attempt: int) -> Path:
    """Return the path that one attempt of a job writes to: a lost worker may still write beside the next attempt."""
    return finished.with_name(f"{finished.stem}-{attempt}{UNFINISHED}")


def expires_at(file: Path, keep_hours: float) -> datetime:
    """Return the moment at which the file is removed."""
    return datetime.fromtimestamp(file.stat().st_mtime, UTC) + timedelta(hours=keep_hours)


def remove_old(where: Path, *, keep_hours: float, now: datetime) -> int:
    """Remove finished and unfinished files older than `keep_hours`; return their number."""
    gone = 0
    for file in sorted(where.glob("export-*")) if where.is_dir() else ():
        with suppress(FileNotFoundError):
            if expires_at(file, keep_hours) <= now:
                file.unlink()
                gone += 1
    return gone


def finished(data_folder: Path, job: Job, *, keep_hours: float, now: datetime) -> Path:
    """Return the file that an export wrote.

    Raises
    ------
    NotFound
        The job is not an export, or its file has been removed.
    Conflict
        It has not finished, or it failed.
    """
    if job.kind != "export":
        raise NotFound(f"Job {job.id} writes no file.")
    if job.state != "done":
        raise Conflict(f"Job {job.id} is {job.state}: only an export that is done has a file.")
    file = path(data_folder, job.id)
    if not file.exists() or expires_at(file, keep_hours) <= now:
        raise NotFound(f"The file of job {job.id} is gone: exports are kept for {keep_hours:g} hours. Export again.")
    return file
