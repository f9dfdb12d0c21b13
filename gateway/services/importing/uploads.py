"""The spool: uploaded files for the worker, and files of rejected rows.

Law: the files have a folder of their own in DATA_FOLDER and generated names, and are removed when no longer needed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from database.jobs.jobs import Job
from gateway.services.jobs.params import FileParams
from gateway.settings import Settings
from shared.errors import DiskFull, NotFound, ServiceUnavailable, SpoolFull, is_disk_full

FOLDER = "spool"
KEPT_S = 7 * 24 * 3600.0
#: A copy may be read long after it was written; an upload is in its job's row within moments.
LEFT_S, UPLOADED_S = 3600.0, 300.0
FULL = (
    "With this file, waiting uploads and kept rejected rows would exceed the {most:,.0f} MB reserved for them "
    "(MAX_SPOOL_MB): try again when imports are done."
)
RETRY_S = 30


def folder(data_folder: Path) -> Path:
    """Return the folder, created if it does not exist; only its owner can read it."""
    made = data_folder / FOLDER
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return made


def keep(data_folder: Path, save: Callable[[Path], None], *, most_bytes: int) -> Path:
    """Write an upload into the folder with `save` and return its path.

    Parameters
    ----------
    most_bytes
        Limit for all uploads and rejected rows in the folder.

    Raises
    ------
    SpoolFull, DiskFull, ServiceUnavailable
    """
    spool = folder(data_folder)
    path = spool / f"upload-{secrets.token_hex(16)}"
    with _locked(spool):  # otherwise several uploads could each use the same free space
        try:
            save(path)
            kept = sum(file.stat().st_size for file in spool.glob("[ur]*-*"))
            if kept > most_bytes:
                raise SpoolFull(FULL.format(most=most_bytes / 1e6), retry_after_s=RETRY_S)
        except OSError as error:
            path.unlink(missing_ok=True)
            if is_disk_full(error):
                raise DiskFull from None
            raise ServiceUnavailable(f"The file can't be stored ({error.strerror}); nothing was imported.") from None
        except SpoolFull:
            path.unlink(missing_ok=True)
            raise
    return path


@contextmanager
def _locked(spool: Path) -> Iterator[None]:
    number = os.open(spool, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def present(params: FileParams) -> Path:
    """Return the file of a job. Raises NotFound with the name its owner gave it."""
    path = Path(params.path)
    # Paths of jobs are resolved: what is a link by now was put in the file's place since.
    if path.is_symlink() or not path.exists():
        raise NotFound(f"The file {params.file_name} no longer exists: send it again.")
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of an upload, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def staging_path(folder: Path, job: Job) -> Path:
    """Return the path of an import's staged rows: one file for each attempt of its job."""
    return folder / f"staged-{job.id}-{job.attempt}.db"


def discard(params_path: str | None) -> None:
    """Remove an upload; a file that a command read in place isn't an upload, and stays."""
    if params_path and Path(params_path).name.startswith("upload-") and Path(params_path).parent.name == FOLDER:
        Path(params_path).unlink(missing_ok=True)


def rejects_path(data_folder: Path, job_id: int) -> Path:
    """Return the path of a job's rejected rows; the file need not exist."""
    return folder(data_folder) / f"rejects-{job_id}.csv"


def rejects_place(settings: Settings, job_id: int) -> str:
    """Return where the rejected rows of a job are, as the end of a sentence."""
    where = "beside the database" if settings.own_data_folder is None else "in DATA_FOLDER"
    return f"GET /api/customers/import/{job_id}/rejects, or {FOLDER}/rejects-{job_id}.csv {where}."


def rejects(data_folder: Path, job_id: int) -> Path:
    """Return the file of rejected rows. Raises NotFound."""
    path = rejects_path(data_folder, job_id)
    if not path.exists():
        raise NotFound(f"Job {job_id} has no file of rejected rows; such files are kept for seven days.")
    return path


def sweep(data_folder: Path, *, needed: Collection[str]) -> None:
    """Remove rejected rows after seven days, unneeded uploads after five minutes, other unneeded files after an hour.

    Parameters
    ----------
    needed
        Paths of the files of unfinished work.
    """
    for path in folder(data_folder).iterdir():
        kept_s = {"rejects": KEPT_S, "upload": UPLOADED_S}.get(path.name.partition("-")[0], LEFT_S)
        with suppress(FileNotFoundError):
            if str(path.resolve()) not in needed and time.time() - path.stat().st_mtime > kept_s:
                path.unlink()
