"""Requests that wait ride together: one is on its way, those that arrive meanwhile go in the next, without a timer.

Law: everybody gets their own answer or their own failure; nobody waits for anything but the call before theirs.
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
class _Rider(Generic[T, R]):
    item: T
    #: Held until it is to lead, or its answer is there: what an Event is made of, a tenth of its work.
    asleep: threading.Lock = field(default_factory=threading.Lock)
    #: Whom to take along, for the one who sends next.
    party: list[_Rider[T, R]] = field(default_factory=list)
    answer: R | None = None
    failure: ServiceUnavailable | None = None


class Riding(Generic[T, R]):
    """One call at a time for each key.

    Parameters
    ----------
    send
        Sends items in one call; one answer for each, None for one that has to be asked for alone.
    most
        Items in one call.
    """

    def __init__(self, send: Callable[[Sequence[T]], Sequence[R | None]], *, most: int) -> None:
        self._send, self._most = send, most
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, list[_Rider[T, R]]] = {}

    def ride(self, key: Hashable, item: T) -> R | None:
        """The item's answer; None where it has to be asked for alone.

        Items of different keys never share a call.

        Raises
        ------
        ServiceUnavailable
            To everybody who was in the call that found nobody there.
        """
        me = _Rider[T, R](item)
        me.asleep.acquire()
        with self._lock:
            busy = key in self._waiting
            self._waiting.setdefault(key, []).extend([me] if busy else [])
        if busy:
            me.asleep.acquire()
        if not busy or me.party:
            self._lead(key, me.party or [me])
        if me.failure is not None:
            # A copy: a failure that several threads raise would carry all their traces.
            raise copy.copy(me.failure)
        return me.answer

    def _lead(self, key: Hashable, party: list[_Rider[T, R]]) -> None:
        try:
            answers = self._send([rider.item for rider in party])
            for rider, answer in zip(party, answers, strict=True):
                rider.answer = answer
        except ServiceUnavailable as failure:
            for rider in party:
                rider.failure = failure
        finally:
            self._hand_over(key)
            for rider in party[1:]:
                rider.asleep.release()

    def _hand_over(self, key: Hashable) -> None:
        with self._lock:
            queue = self._waiting[key]
            party, self._waiting[key] = queue[: self._most], queue[self._most :]
            if not party:
                del self._waiting[key]
                return
        party[0].party = party
        party[0].asleep.release()
