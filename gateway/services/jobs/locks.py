"""Locks between processes: imports one at a time, no change of the facts while scoring or training reads them, and no
customer deleted while a job writes rows about customers that it looked up before.

Law: the kernel frees the lock of a process that dies; a waiting job reports that it waits, and can be cancelled.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TextIO

from gateway.services.jobs.work import Work
from gateway.settings import Settings
from shared.errors import Conflict

_POLL_S = 0.1
IMPORTS, FACTS, LISTS = "imports", "facts", "lists"


@contextmanager
def alone(work: Work, what: str, waiting: str) -> Iterator[None]:
    """Hold a lock alone, waiting until it is free."""
    with _held(work, what, fcntl.LOCK_EX, waiting):
        yield


@contextmanager
def facts_alone(work: Work) -> Iterator[None]:
    """Change the facts while no scoring run and no training reads them."""
    with alone(work, FACTS, "Waiting for a scoring run or training to end"):
        yield


@contextmanager
def held_or_refused(settings: Settings, what: str, refusal: str) -> Iterator[None]:
    """Hold a lock alone. Raises Conflict, without waiting, if another process holds it."""
    with _opened(settings, what) as lock:
        if not _try_lock(lock.fileno(), fcntl.LOCK_EX):
            raise Conflict(refusal)
        yield


@contextmanager
def customers_alone(settings: Settings, refusal: str) -> Iterator[None]:
    """Delete customers while no job reads or writes them. Raises Conflict, without waiting, if one does."""
    with ExitStack() as stack:
        for what in (IMPORTS, FACTS, LISTS):
            stack.enter_context(held_or_refused(settings, what, refusal))
        yield


@contextmanager
def kept_customers(work: Work) -> Iterator[None]:
    """Look customers up and write rows about them later, while none is deleted; imports go on beside."""
    with _held(work, LISTS, fcntl.LOCK_SH, "Waiting for a customer to be erased"):
        yield


@contextmanager
def unchanged_facts(work: Work) -> Iterator[None]:
    """Keep the facts unchanged while this job, and any number of others, read them."""
    with _held(work, FACTS, fcntl.LOCK_SH, "Waiting for an import to end"):
        yield


@contextmanager
def _held(work: Work, what: str, how: int, waiting: str) -> Iterator[None]:
    with _opened(work.settings, what) as lock:
        while not _try_lock(lock.fileno(), how):
            work.step(0.0, waiting)
            time.sleep(_POLL_S)
        yield  # closing the file releases the lock


def _opened(settings: Settings, what: str) -> TextIO:
    # Named after the database: several databases can share a folder, and their imports need not wait for each other.
    settings.data_folder.mkdir(parents=True, exist_ok=True)
    return (settings.data_folder / f"{settings.database_path.name}.{what}-lock").open("a", encoding="ascii")


def _try_lock(number: int, how: int) -> bool:
    try:
        fcntl.flock(number, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
