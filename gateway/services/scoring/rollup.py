"""Many rows on their way: worked on before they are asked for, counted and ranked as they pass.

Law: memory holds a handful of chunks, and 16 bytes of every customer who is ranked; a failure reaches whoever asks for
the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from database.engine.sqlite.column_reader import Floats, Ints
from database.scoring.runs import BINS

A = TypeVar("A")
B = TypeVar("B")


def ahead(do: Callable[[A], B], items: Iterable[A]) -> Generator[B, None, None]:
    """What `do` makes of each item, made in a thread of its own while the caller works on the one before.

    The items themselves are taken in the caller's thread: one more thread that holds Python's lock most of the time
    would cost more than it spares. Closing it waits for the one that is being made.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        upcoming: Future[B] | None = None
        for item in items:
            last, upcoming = upcoming, pool.submit(do, item)
            if last is not None:
                yield last.result()
        if upcoming is not None:
            yield upcoming.result()


class RollUp:
    """Scores counted in bins (k-1, k] / BINS as they pass, as `runs.measure_bins` counts them in the database."""

    def __init__(self) -> None:
        self._sums: Floats = np.zeros((4, BINS + 1))
        self.customers, self._total = 0, 0.0

    @property
    def average(self) -> float | None:
        """Mean probability; None before the first."""
        return self._total / self.customers if self.customers else None

    def add(self, p: Floats, price: Floats) -> None:
        """Count a chunk: probabilities, and prices where they are known (NaN elsewhere)."""
        unpriced = np.isnan(price)
        edges = np.ceil(p * BINS).astype(np.intp)
        for row, weights in enumerate((None, p, np.where(unpriced, 0.0, p * price), unpriced)):
            self._sums[row] += np.bincount(edges, weights, minlength=BINS + 1)
        self.customers += len(p)
        self._total += float(p.sum())

    def rows(self) -> list[tuple[Any, ...]]:
        """(bin, customers, probability_sum, revenue_at_risk, unpriced) of every bin that has customers."""
        return [
            (at, int(self._sums[0, at]), float(self._sums[1, at]), float(self._sums[2, at]), int(self._sums[3, at]))
            for at in np.flatnonzero(self._sums[0]).tolist()
        ]


class Ranking:
    """Scores kept as they pass, to be read from the highest probability down; ties by customer, in the order added."""

    def __init__(self) -> None:
        self._parts: list[tuple[Floats, Ints]] = []

    def add(self, p: Floats, customer_ids: Ints) -> None:
        """Keep a chunk; customers ascend from chunk to chunk."""
        self._parts.append((p, customer_ids))

    def parts(self, rows: int) -> Iterator[tuple[Floats, Ints]]:
        """(probabilities, customer ids) of so many customers at a time."""
        if not self._parts:
            return
        p, customer_ids = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        order = np.argsort(-p, kind="stable")
        for at in range(0, len(order), rows):
            here = order[at : at + rows]
            yield p[here], customer_ids[here]
