"""Roll-up and ranking of a scoring run, computed while its scores are written.

Law: a ranking takes 16 bytes of memory per customer until it is sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from database.engine.bulk_read import Floats, Ints
from database.scoring.runs import BINS


class RollUp:
    """Counts scores in bins (k-1, k] / BINS, as `runs.measure_bins` does in the database."""

    def __init__(self) -> None:
        self._sums: Floats = np.zeros((4, BINS + 1))
        self.customers, self._total = 0, 0.0

    @property
    def average(self) -> float | None:
        """Mean probability; None before the first customer."""
        return self._total / self.customers if self.customers else None

    def add(self, p: Floats, price: Floats) -> None:
        """Count a chunk: probabilities, and prices (NaN if unknown)."""
        unpriced = np.isnan(price)
        edges = np.ceil(p * BINS).astype(np.intp)
        for row, weights in enumerate((None, p, np.where(unpriced, 0.0, p * price), unpriced)):
            self._sums[row] += np.bincount(edges, weights, minlength=BINS + 1)
        self.customers += len(p)
        self._total += float(p.sum())

    def rows(self) -> list[tuple[Any, ...]]:
        """Return (bin, customers, probability_sum, revenue_at_risk, unpriced) of each bin with customers."""
        return [
            (at, int(self._sums[0, at]), float(self._sums[1, at]), float(self._sums[2, at]), int(self._sums[3, at]))
            for at in np.flatnonzero(self._sums[0]).tolist()
        ]


class Ranking:
    """Collects scores, and returns them by descending probability, ties in the order they were added."""

    def __init__(self) -> None:
        self._parts: list[tuple[Floats, Ints]] = []

    def add(self, p: Floats, customer_ids: Ints) -> None:
        """Add a chunk; customer ids ascend from chunk to chunk."""
        self._parts.append((p, customer_ids))

    def parts(self, rows: int) -> Iterator[tuple[Floats, Ints]]:
        """Yield (probabilities, customer ids) of `rows` customers at a time."""
        if not self._parts:
            return
        p, customer_ids = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        order = np.argsort(-p, kind="stable")
        for at in range(0, len(order), rows):
            here = order[at : at + rows]
            yield p[here], customer_ids[here]
