"""Runs calls that may hang in threads of their own, so that a cancelled job need not wait for them.

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
LOOK_S = 0.25
#: Time that an abandoned call is given to notice.
GRACE_S = 1.0
_END = object()


def cancellable_call(work: Work, call: Callable[[], T]) -> T:
    """Return what a call returns. Raises Cancelled as soon as somebody cancels the job."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  # whoever waits raises it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=f"call-{work.job.id}").start()
    while True:
        try:
            return future.result(LOOK_S)
        except TimeoutError:
            if future.done():  # the call's own
                raise
            work.check()


def cancellable_items(work: Work, make: Callable[[], Generator[T, None, None]]) -> Generator[T, None, None]:
    """Yield what a generator yields, which is made, read and closed in a thread of its own.

    Raises
    ------
    Cancelled
        Somebody cancelled the job.
    """
    found: queue.Queue[object] = queue.Queue()
    failures: list[BaseException] = []
    is_left = threading.Event()

    def pull() -> None:
        try:
            with closing(make()) as items:
                for item in items:
                    found.put(item)
                    if is_left.is_set():
                        return
        except BaseException as error:  # noqa: BLE001  # whoever waits raises it
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
        is_left.set()
        thread.join(GRACE_S)


def _next(work: Work, found: queue.Queue[object]) -> object:
    while True:
        try:
            return found.get(timeout=LOOK_S)
        except queue.Empty:
            work.check()
