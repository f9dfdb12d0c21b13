"""The spool: uploaded files for the worker, and files of rejected rows.

Law: they stand in a folder of their own in DATA_FOLDER, under generated names, and are removed when no longer needed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from database.jobs.jobs import Job
from gateway.settings import Settings
from shared.errors import DiskFull, NotFound, ServiceUnavailable, is_disk_full

FOLDER = "spool"
KEPT_S = 7 * 24 * 3600.0


def folder(data_folder: Path) -> Path:
    """Return the folder, made where it does not exist; only its owner may read it."""
    made = data_folder / FOLDER
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return made


def keep(data_folder: Path, save: Callable[[Path], None]) -> Path:
    """Write an upload into the folder by `save` and return where it is. Raises DiskFull, ServiceUnavailable."""
    path = folder(data_folder) / f"upload-{secrets.token_hex(16)}"
    try:
        save(path)
    except OSError as error:
        path.unlink(missing_ok=True)
        if is_disk_full(error):
            raise DiskFull from None
        raise ServiceUnavailable(f"The file can't be kept here ({error.strerror}); nothing was imported.") from None
    return path


def staging_path(folder: Path, job: Job) -> Path:
    """The file that an import stages its rows in: one for each attempt of its job."""
    return folder / f"staged-{job.id}-{job.attempt}.db"


def discard(params_path: str | None) -> None:
    """Remove an upload; a file that a command read in place is none, and stays."""
    if params_path and Path(params_path).name.startswith("upload-") and Path(params_path).parent.name == FOLDER:
        Path(params_path).unlink(missing_ok=True)


def rejects_path(data_folder: Path, job_id: int) -> Path:
    """The path of the rejected rows of a job, if there are any."""
    return folder(data_folder) / f"rejects-{job_id}.csv"


def rejects_place(settings: Settings, job_id: int) -> str:
    """The places that offer the rejected rows of a job, as the end of a sentence."""
    where = "beside the database" if settings.own_data_folder is None else "in DATA_FOLDER"
    return f"GET /api/customers/import/{job_id}/rejects, or {FOLDER}/rejects-{job_id}.csv {where}."


def rejects(data_folder: Path, job_id: int) -> Path:
    """The file of rejected rows. Raises NotFound."""
    path = rejects_path(data_folder, job_id)
    if not path.exists():
        raise NotFound(f"There is no file of rejected rows of job {job_id}; it is kept for seven days.")
    return path


def sweep(data_folder: Path, *, needed: frozenset[str]) -> None:
    """Remove what is older than seven days, or left by a process that died; `needed` are files of unfinished work."""
    for path in folder(data_folder).iterdir():
        old = time.time() - path.stat().st_mtime
        left = path.name.startswith(("utf8-", "staged-")) and old > 3600
        if str(path) not in needed and (old > KEPT_S or left):
            path.unlink(missing_ok=True)
