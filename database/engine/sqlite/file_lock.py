"""Locks on the database file: shared by each process of the system, exclusive for a restore.

Law: the kernel frees what a dead process held, so nothing is guessed from how lately somebody was seen.
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
    "The system runs: a gateway, a worker or a command uses {path}. Stop it first (its ML service may stay). "
    "Nothing was touched."
)
BEING_RESTORED = "A backup is being restored into {path}: try again when that is done."


def share(path: Path, *, survive_exec: bool = False) -> TextIO:
    """Use the file for as long as what is returned stays open; at the latest until this process ends.

    Parameters
    ----------
    survive_exec
        Also once this process has been replaced by another program.

    Raises
    ------
    ServiceUnavailable
        A backup is being restored into it.
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
    """Keep everybody else from the file. Raises Conflict where somebody uses it."""
    with _opened(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(IN_USE.format(path=path)) from None
        yield


def _opened(path: Path) -> TextIO:
    return private_files.opened(path.with_name(f"{path.name}.use-lock"))
