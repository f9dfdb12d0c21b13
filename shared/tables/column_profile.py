"""Profile of one column of an undescribed table, read as each kind it might be.

Law: a column is something only if every cell of it is; its name decides only what the values leave open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.schema.features import snake
from shared.schema.units import UNIT_WORDS, is_never_negative
from shared.tables import cells
from shared.tables.value_formats import written_dates

#: Text with more different values than this, in more than this share of the rows, tells people apart, not groups.
MANY_VALUES, MANY_SHARE = 50, 0.2
_CODES = frozenset(("code", "type", "flag", "is", "has", "plan", "status", "id", "zip", "postal"))


class Column:
    """Profile of one column, read as each kind it might be."""

    def __init__(self, name: str, values: pa.Array, comma: bool) -> None:
        self.name, self.snake, self.values = name, snake(name), values
        self.words = frozenset(self.snake.split("_"))
        self.texts = read_whole(cells.categories, values, blank=True)
        self.blank = self.texts is not None and self.texts.null_count == len(values)
        self.dates = read_whole(lambda *given: cells.dates(*given, written=written_dates(values)), values)
        self.numbers = read_whole(lambda *given: cells.numbers(*given, decimal_comma=comma), values)
        coded = (self.texts if self.texts is not None else pa.nulls(len(values), pa.string())).dictionary_encode()
        self.complete = self.texts is not None and self.texts.null_count == 0
        self.distinct = len(coded.dictionary)
        self.examples = coded.dictionary.slice(0, MANY_VALUES).to_pylist()
        self.codes = np.asarray(pc.fill_null(coded.indices, -1)).tobytes()  # alike where two columns say the same
        if {"true", "false"}.issuperset(self.examples):
            self.numbers = None  # words, though they could be counted
        self.whole = self.numbers is not None and pc.all(pc.equal(pc.floor(self.numbers), self.numbers)).as_py()
        if self.numbers is not None:
            self.smallest, self.largest = (float(value.as_py()) for value in pc.min_max(self.numbers).values())

    def share(self, pattern: str) -> float:
        """Share of the cells that look so."""
        found = pc.mean(pc.match_substring_regex(self.texts, pattern)).as_py() if self.texts is not None else None
        return float(found or 0)

    @property
    def many(self) -> bool:
        """More values than groups of customers have."""
        return self.distinct > max(MANY_VALUES, MANY_SHARE * len(self.values))

    @property
    def unit(self) -> str | None:
        """The unit that the column's name suggests, if the numbers agree with it."""
        named = (unit for unit, words in UNIT_WORDS.items() if self.words & words)
        unit = next(named, "months" if "tenure" in self.words and self.largest <= 240 else None)
        wrong = (is_never_negative(unit) and self.smallest < 0) or (unit == "count" and not self.whole)
        return None if wrong else unit

    @property
    def kind(self) -> Literal["number", "category"]:
        """Whole numbers are a code where the name says so."""
        if self.numbers is None:
            return "category"
        code = self.whole and self.distinct <= MANY_VALUES and self.words & _CODES and self.unit is None
        return "category" if code else "number"


def read_whole(read: Callable[..., Any], values: pa.Array, blank: bool = False) -> Any:
    """The column so read, if every cell can be and one is there (or may be blank)."""
    problems = cells.CellProblems(1)
    column = read(values, "", problems)
    return column if not problems.count and (blank or column.null_count < len(column)) else None
