"""Computes the next item while the caller uses the previous one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def prefetch_map(do: Callable[[A], B], items: Iterable[A]) -> Generator[B, None, None]:
    """Map `do` over items, one item ahead, in a thread of its own.

    The items themselves are read in the caller's thread: a second thread that holds Python's lock most of the time
    would cost more than it saves. A failure reaches the caller with the next item. Closing the generator waits for the
    running call.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        upcoming: Future[B] | None = None
        for item in items:
            last, upcoming = upcoming, pool.submit(do, item)
            if last is not None:
                yield last.result()
        if upcoming is not None:
            yield upcoming.result()
