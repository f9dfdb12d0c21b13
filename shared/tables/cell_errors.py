"""Cells of a file that can't be used: where they stand, what is wrong with them, and how people are told.

Law: every problem is counted, few are kept; a cell is counted once, however much is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.compute as pc

from shared.errors import Detail, InvalidTable

SHOWN = 80


class Problems:
    """Cells that can't be used: all counted, the first of each column kept."""

    def __init__(self, limit: int, place: Callable[[int], int] = lambda index: index, place_name: str = "row") -> None:
        self.limit = max(limit, 1)
        self.place = place
        self.place_name = place_name
        self.count = 0
        self._found: list[tuple[int, str, str]] = []
        self._flagged: dict[str, np.ndarray] = {}

    def add(self, field: str, where: Any, message: Callable[[int], str]) -> None:
        """Note the rows that are true in `where`; a cell already noted is not counted again."""
        mask = _mask(where)
        before = self._flagged.setdefault(field, np.zeros(len(mask), dtype=bool))
        rows = np.flatnonzero(mask & ~before)
        self._flagged[field] = before | mask
        self.count += len(rows)
        self._found += [(int(row), field, message(int(row))) for row in rows[: self.limit]]

    def cells(self) -> list[tuple[int, str, str]]:
        """Index of the row, field and message of each cell that is kept, by row."""
        return sorted(self._found, key=lambda found: found[0])

    def rows(self) -> np.ndarray:
        """Indices of all rows with something wrong, ascending."""
        masks = list(self._flagged.values())
        return np.flatnonzero(np.logical_or.reduce(masks)) if masks else np.zeros(0, dtype=np.int64)

    def refuse(self) -> None:
        """Raise what was found.

        Raises
        ------
        InvalidTable
            With one detail for each cell, by row, up to the limit.
        """
        if not self.count:
            return
        first = sorted(self._found, key=lambda found: found[0])[: self.limit]
        details: list[Detail] = [{"row": self.place(row), "field": f, "message": text} for row, f, text in first]
        top = details[0]
        much = "1 cell has" if self.count == 1 else f"{self.count:,} cells have"
        listed = f" (the first {len(details)} are listed)" if self.count > len(details) else ""
        raise InvalidTable(
            f"{much} to be put right before the table can be used{listed}: "
            f"{self.place_name} {top['row']}, {top['field']}: {top['message']}.",
            details=details,
        )


def _mask(where: Any) -> np.ndarray:
    if isinstance(where, np.ndarray):
        return where
    return np.asarray(pc.fill_null(where, False).to_numpy(zero_copy_only=False), dtype=bool)


def shown(value: Any) -> str:
    """A value as it is quoted to people: at most 80 characters."""
    text = str(value)
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")
