"""Values that are read once for each state of the data: whoever asks first reads, the others wait for that value.

Law: a value is returned only in the state in which it was read; one whose last read took `COSTLY_S` of CPU time is
returned for `MOST_AGE_S` after its read began while nothing but rows has changed, and never after a newer one. A failed
read is raised and not kept.

Nothing interrupts a wait. Only requests wait, and only for reads of the database: one of their own takes seconds and
can't be interrupted either. In the worker only the digest asks.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
#: Each transaction of an import makes a new state, and a sum over a million customers takes 1.4 to 1.8 s of CPU time:
#: it would be read again for almost every reader.
COSTLY_S, MOST_AGE_S = 0.25, 60.0


class State(NamedTuple):
    """A state of the data; versions only rise.

    Attributes
    ----------
    version
        Every change makes a new one.
    replaced
        The newest version that changed more than rows: no value of an earlier one may be returned.
    about
        What else a value depends on.
    """

    version: int
    replaced: int
    about: Hashable = None


@dataclass
class _Entry:
    state: State
    began_s: float
    value: Future[Any] = field(default_factory=Future)

    def may_answer(self, state: State, *, is_costly: bool) -> bool:
        """Return whether the value may be returned in a state."""
        if self.state.about != state.about:
            return False
        if self.state.version == state.version:
            return True
        is_young = time.monotonic() - self.began_s < MOST_AGE_S
        return is_costly and is_young and state.replaced <= self.state.version < state.version


class OncePerState:
    """The newest value of each key.

    Parameters
    ----------
    most
        Keys that are kept; the one that was asked for longest ago goes first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        #: CPU time of the last read of each key that is kept.
        self._cost_s: dict[Hashable, float] = {}

    def get(self, key: Hashable, state: State, read: Callable[[], T]) -> T:
        """Return the value that was read in a state, or a costly one that is young, or read it.

        Parameters
        ----------
        state
            The state that `read` sees; it never comes back once it has changed.
        """
        while True:
            entry, is_first = self._entry(key, state)
            if is_first:
                return self._read(key, entry, read)
            if entry.value.exception() is None:
                result: T = entry.value.result()
                return result

    def find(self, key: Hashable, state: State) -> Any:
        """Return the value if it is there, without waiting for one that is being read; None if it is not."""
        with self._lock:
            known = self._entries.get(key)
            is_there = known is not None and known.value.done() and self._may_answer(key, known, state)
        return known.value.result() if known is not None and is_there else None

    def put(self, key: Hashable, state: State, value: object) -> None:
        """Keep a value that somebody else read in a state, unless one of a newer state is kept."""
        entry = _Entry(state, time.monotonic())
        entry.value.set_result(value)
        with self._lock:
            self._keep(key, entry)

    def _may_answer(self, key: Hashable, known: _Entry, state: State) -> bool:
        return known.may_answer(state, is_costly=self._cost_s.get(key, 0.0) >= COSTLY_S)

    def _entry(self, key: Hashable, state: State) -> tuple[_Entry, bool]:
        """Return the value that is there or is being read, or one for this thread to read."""
        with self._lock:
            known = self._entries.get(key)
            is_first = known is None or not self._may_answer(key, known, state)
            entry = _Entry(state, time.monotonic()) if known is None or is_first else known
            self._keep(key, entry)
            return entry, is_first

    def _keep(self, key: Hashable, entry: _Entry) -> None:
        known = self._entries.get(key)
        if known is None or known.state.version <= entry.state.version:
            self._entries[key] = entry
        self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            gone, _ = self._entries.popitem(last=False)
            self._cost_s.pop(gone, None)

    def _read(self, key: Hashable, entry: _Entry, read: Callable[[], T]) -> T:
        began_s = time.thread_time()
        try:
            value = read()
        except BaseException as error:
            with self._lock:  # before those who wait are told: they ask again, and must not find this entry
                if self._entries.get(key) is entry:
                    del self._entries[key]
            entry.value.set_exception(error)
            raise
        with self._lock:
            if key in self._entries:
                self._cost_s[key] = time.thread_time() - began_s
        entry.value.set_result(value)
        return value
