"""Keeps another service's answers about itself for a moment, so that many callers cost it one call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class RecentAnswers(Generic[T]):
    """Answers to questions, each asked by one thread at a time; other threads get the previous answer.

    Parameters
    ----------
    life_s
        Seconds that an answer is used.
    """

    def __init__(self, life_s: float) -> None:
        self._life_s = life_s
        self._known: dict[str, tuple[T, float]] = {}
        self._asked: set[str] = set()
        self._lock = threading.Lock()

    def get(self, question: str, ask: Callable[[], T]) -> T:
        """Return a recent answer, or the previous one while another thread asks again."""
        with self._lock:
            known = self._known.get(question)
            if known is not None and (question in self._asked or time.monotonic() - known[1] < self._life_s):
                return known[0]
            self._asked.add(question)
        try:
            answer = ask()
        finally:
            with self._lock:
                self._asked.discard(question)
        self._known[question] = (answer, time.monotonic())
        return answer
