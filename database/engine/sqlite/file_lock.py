"""Locks on the database file: shared by all processes of the system, exclusive for a restore.

Law: the kernel releases the locks of a dead process, so no timeout decides whether a process is alive.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from database.engine.sqlite import private_files
from shared.errors import Conflict, ServiceUnavailable

IN_USE = (
    "The system is running: a gateway, a worker or a command uses {path}. Stop it first (the ML service can keep "
    "running). Nothing was changed."
)
BEING_RESTORED = "A backup is being restored into {path}: try again when the restore is done."


def share(path: Path, *, survive_exec: bool = False) -> TextIO:
    """Take a shared lock, held until the returned file is closed or this process ends.

    Parameters
    ----------
    survive_exec
        Keep the lock when another program replaces this process.

    Raises
    ------
    ServiceUnavailable
        A backup is being restored into the file.
    InvalidInput
        The folder can't be written.
    """
    lock = _opened(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ServiceUnavailable(BEING_RESTORED.format(path=path)) from None
    os.set_inheritable(lock.fileno(), survive_exec)
    return lock


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Take the exclusive lock. Raises Conflict if another process uses the file."""
    with _opened(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(IN_USE.format(path=path)) from None
        yield


def _opened(path: Path) -> TextIO:
    return private_files.opened(path.with_name(f"{path.name}.use-lock"))
