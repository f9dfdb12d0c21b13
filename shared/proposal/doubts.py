"""The sentences of a proposal, and the cells that they are about, with their lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.tables.messages import quoted
from shared.tables.open import OpenTable

SHOWN = 2


@dataclass(frozen=True)
class Doubt:
    """A sentence about cells.

    Attributes
    ----------
    text
        The sentence; `{cells}` stands where the cells are listed.
    cells
        Row and value of the first cells.
    count
        All of them.
    column
        The column whose cells an import will refuse; None where it will not.
    key
        The key of the schema that it is about; None where it is about none.
    """

    text: str
    cells: Sequence[tuple[int, Any]] = ()
    count: int = 0
    column: str | None = None
    key: str | None = None

    def said(self, lines: Mapping[int, int], place_name: str) -> str:
        """The sentence with its cells."""
        shown = [f"{quoted('' if value is None else value)} in {place_name} {lines[row]}" for row, value in self.cells]
        more = f" and {self.count - len(shown):,} more" if self.count > len(shown) else ""
        return self.text.replace("{cells}", ", ".join(shown) + more)


@dataclass
class Said:
    """The sentences of one proposal, in order.

    Attributes
    ----------
    places
        Row of the file that each row of the columns is, where some were left out.
    """

    doubts: list[Doubt] = field(default_factory=list)
    places: Sequence[int] | None = None
    _key: str | None = None

    @contextmanager
    def about(self, key: str) -> Iterator[None]:
        """Sentences of the block are about this key of the schema (`id`, `subscription.end`, `features.NAME`)."""
        before, self._key = self._key, key
        yield
        self._key = before

    def say(self, text: str) -> None:
        """Add a sentence."""
        self.doubts.append(Doubt(text, key=self._key))

    def doubt(self, text: str, rows: Sequence[int], values: Any, *, column: str | None = None) -> None:
        """Add a sentence about the cells of these rows; `values` is the column they stand in."""
        cells = [(row if self.places is None else self.places[row], values[row].as_py()) for row in rows[:SHOWN]]
        self.doubts.append(Doubt(text, cells, len(rows), column, self._key))

    @property
    def refused(self) -> frozenset[str]:
        """Columns some cells of which an import refuses."""
        return frozenset(doubt.column for doubt in self.doubts if doubt.column is not None)

    @property
    def keys(self) -> tuple[str | None, ...]:
        """For each sentence, the key of the schema that it is about."""
        return tuple(doubt.key for doubt in self.doubts)

    def notes(self, table: OpenTable) -> list[str]:
        """Every sentence, with the lines of its cells."""
        records = {row: row + 2 for doubt in self.doubts for row, _ in doubt.cells}
        lines = table.lines_of(sorted(records.values()))
        at = {row: lines[record] for row, record in records.items()}
        return [doubt.said(at, table.place_name) for doubt in self.doubts]
