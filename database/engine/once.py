"""Values that are read once for each state of the data: whoever asks first reads, the others wait for that value.

Law: a value is returned only in the state in which it was read; a failed read is raised and not kept.

Nothing interrupts a wait. Only requests wait: a read of their own takes seconds and can't be interrupted either. In the
worker only the digest asks.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


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
        self._entries: OrderedDict[Hashable, tuple[Hashable, Future[Any]]] = OrderedDict()

    def get(self, key: Hashable, state: Hashable, read: Callable[[], T]) -> T:
        """Return the value that was read in a state, or read it and keep it in place of that of another state.

        Parameters
        ----------
        state
            The state that `read` sees; it never comes back once it has changed.
        """
        while True:
            future, is_first = self._entry(key, state)
            if is_first:
                return self._read(key, future, read)
            if future.exception() is None:
                result: T = future.result()
                return result

    def _entry(self, key: Hashable, state: Hashable) -> tuple[Future[Any], bool]:
        """Return the value that is there or is being read, or one for this thread to read."""
        with self._lock:
            known_state, future = self._entries.get(key, (None, None))
            is_first = future is None or known_state != state
            if future is None or is_first:
                future = Future()
                self._entries[key] = (state, future)
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
            return future, is_first

    def _read(self, key: Hashable, future: Future[Any], read: Callable[[], T]) -> T:
        try:
            value = read()
        except BaseException as error:
            with self._lock:  # before those who wait are told: they ask again, and must not find this entry
                if self._entries.get(key, (None, None))[1] is future:
                    del self._entries[key]
            future.set_exception(error)
            raise
        future.set_result(value)
        return value
