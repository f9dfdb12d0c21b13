"""Runs each call that can hang in a thread of its own, so that a cancelled job need not wait for it.

Law: an abandoned call ends by its own time-out and writes nothing; its result is dropped.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import closing
from typing import TypeVar

from gateway.services.jobs.work import Work

T = TypeVar("T")
POLL_S = 0.25
#: Time that an abandoned generator gets to stop.
GRACE_S = 1.0
_END = object()


def cancellable_call(work: Work, call: Callable[[], T]) -> T:
    """Return the result of a call. Raises Cancelled as soon as somebody cancels the job."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  # raised in the waiting thread
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=f"call-{work.job.id}").start()
    while True:
        try:
            return future.result(POLL_S)
        except TimeoutError:
            if future.done():  # raised by the call itself
                raise
            work.check()


def cancellable_items(work: Work, make: Callable[[], Generator[T, None, None]]) -> Generator[T, None, None]:
    """Yield the items of a generator that is made, read and closed in a thread of its own.

    Raises
    ------
    Cancelled
        Somebody cancelled the job.
    """
    found: queue.Queue[object] = queue.Queue()
    failures: list[BaseException] = []
    is_abandoned = threading.Event()

    def pull() -> None:
        try:
            with closing(make()) as items:
                for item in items:
                    found.put(item)
                    if is_abandoned.is_set():
                        return
        except BaseException as error:  # noqa: BLE001  # raised in the waiting thread
            failures.append(error)
        finally:
            found.put(_END)

    thread = threading.Thread(target=pull, daemon=True, name=f"call-{work.job.id}")
    thread.start()
    try:
        while (item := _next(work, found)) is not _END:
            yield item  # type: ignore[misc]
        if failures:
            raise failures[0]
    finally:
        is_abandoned.set()
        thread.join(GRACE_S)


def _next(work: Work, found: queue.Queue[object]) -> object:
    while True:
        try:
            return found.get(timeout=POLL_S)
        except queue.Empty:
            work.check()
