"""Coalesces concurrent requests: while one call is in flight, later requests queue and are sent as one batch.

Law: each request gets its own answer or failure, and waits only for the call before its own; if that call finds the
service unavailable, the request fails with it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.errors import ServiceUnavailable

T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False)
class _Pending(Generic[T, R]):
    item: T
    #: Held until the item leads a call or has its answer. An Event costs ten times as much as a lock.
    done: threading.Lock = field(default_factory=threading.Lock)
    #: The items of the next call; the thread of the first one sends it.
    batch: list[_Pending[T, R]] = field(default_factory=list)
    answer: R | None = None
    failure: ServiceUnavailable | None = None


class RequestCoalescer(Generic[T, R]):
    """Sends one call at a time for each key.

    Parameters
    ----------
    send
        Sends items in one call; returns one answer for each, None for one that has to be sent alone.
    max_batch
        Most items in one call.
    """

    def __init__(self, send: Callable[[Sequence[T]], Sequence[R | None]], *, max_batch: int) -> None:
        self._send, self._max_batch = send, max_batch
        self._lock = threading.Lock()
        self._queues: dict[Hashable, list[_Pending[T, R]]] = {}

    def submit(self, key: Hashable, item: T) -> R | None:
        """Return the item's answer; None where it has to be sent alone.

        Items of different keys never share a call.

        Raises
        ------
        ServiceUnavailable
            The call did not reach the service.
        """
        own = _Pending[T, R](item)
        own.done.acquire()
        with self._lock:
            is_busy = key in self._queues
            self._queues.setdefault(key, []).extend([own] if is_busy else [])
        if is_busy:
            own.done.acquire()
        if not is_busy or own.batch:
            self._send_batch(key, own.batch or [own])
        if own.failure is not None:
            # A copy: one failure raised by several threads would collect all their tracebacks.
            raise copy.copy(own.failure)
        return own.answer

    def _send_batch(self, key: Hashable, batch: list[_Pending[T, R]]) -> None:
        try:
            answers = self._send([pending.item for pending in batch])
            for pending, answer in zip(batch, answers, strict=True):
                pending.answer = answer
        except ServiceUnavailable as failure:
            batch = batch + self._take_waiting(key)
            for pending in batch:
                pending.failure = failure
        finally:
            self._start_next(key)
            for pending in batch[1:]:
                pending.done.release()

    def _take_waiting(self, key: Hashable) -> list[_Pending[T, R]]:
        with self._lock:
            waiting, self._queues[key] = self._queues[key], []
        return waiting

    def _start_next(self, key: Hashable) -> None:
        with self._lock:
            queue = self._queues[key]
            batch, self._queues[key] = queue[: self._max_batch], queue[self._max_batch :]
            if not batch:
                del self._queues[key]
                return
        batch[0].batch = batch
        batch[0].done.release()
