"""Profile of one column of an undescribed table, read as each kind it might be.

Law: a few bad cells never change what a column is: they are kept with their rows, to be named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.proposal.column_names import plain_name
from shared.proposal.dates_unread import looks_like_dates
from shared.schema.subscription import DAYS_OF
from shared.schema.units import UNIT_WORDS, is_never_negative
from shared.tables import cells, words
from shared.tables.number_formats import NumberFormat
from shared.tables.value_formats import TRUTH, written_dates

#: Text with more different values than this, in more than this share of the rows, tells people apart, not groups.
MANY_VALUES, MANY_SHARE = 50, 0.2
#: Most cells of a column that may be mistakes, as a share of its rows; one may be in any column of a few rows.
MISTAKES, FEW_ROWS = 0.02, 3
_CODES = frozenset(("code", "type", "flag", "is", "has", "plan", "status", "id", "zip", "postal", "postcode", "plz"))
_LEADING_ZERO = r"^\s*[+-]?0\d+\s*$"
_FIRST_WORDS = frozenset(("num", "number", "count", "nr"))


@dataclass(frozen=True)
class Read:
    """A column read as one kind: its values, the rows of its bad cells, and the words that count as missing."""

    values: pa.Array
    bad_rows: tuple[int, ...]
    missing_words: Mapping[str, int]


class Column:
    """Profile of one column, read as each kind it might be."""

    def __init__(self, name: str, values: pa.Array, written: NumberFormat | None) -> None:
        self.name, self.snake, self.values, self.written = name, plain_name(name), values, written
        self.words = tuple(plain_name(re.sub(r"\(.*?\)", " ", name)).split("_"))
        texts = read_mostly(cells.categories, values, blank=True)
        self.texts = cast(Any, texts.values if texts is not None and not texts.bad_rows else None)
        coded = (self.texts if self.texts is not None else pa.nulls(len(values), pa.string())).dictionary_encode()
        self.complete = self.texts is not None and self.texts.null_count == 0
        self.distinct = len(coded.dictionary)
        self.examples = coded.dictionary.slice(0, MANY_VALUES).to_pylist()
        self.codes = np.asarray(pc.fill_null(coded.indices, -1)).tobytes()  # alike where two columns say the same
        self.blank = self.texts is not None and self.texts.null_count == len(values)
        self._read_dates(values)
        self._read_numbers(values)
        self.unread_dates = self.dates is None and looks_like_dates(self.snake, self.texts, self.numbers)

    def _read_dates(self, values: pa.Array) -> None:
        self.written_days = written_dates(values)
        found = read_mostly(lambda *given: cells.ends(*given, written=self.written_days), values)
        self.date_read, self.dates = found, cast(Any, found.values if found is not None else None)

    def _read_numbers(self, values: pa.Array) -> None:
        found = read_mostly(lambda *given: cells.numbers(*given, written=self.written), values)
        said = {value.lower() for value in self.examples} - words.MISSING
        self.truth = next((pair for pair in TRUTH if said and said == set(pair)), None)
        self.said_missing = [word for word in self.examples if word.lower() in words.MISSING]
        if found is not None and ((said and said <= {"true", "false"}) or self.has_leading_zeros):
            found = None  # words or codes, though they could be counted
        if found is None and self.truth is not None and self.said_missing and self.distinct <= MANY_VALUES:
            found = read_mostly(lambda *given: cells.numbers(*given, truth=self.truth), values)
        self.number_read, self.numbers = found, cast(Any, found.values if found is not None else None)
        self.whole = self.numbers is not None and pc.all(pc.equal(pc.floor(self.numbers), self.numbers)).as_py()
        if self.numbers is not None:
            self.smallest, self.largest = (float(value.as_py()) for value in pc.min_max(self.numbers).values())

    @property
    def has_leading_zeros(self) -> bool:
        """Whether a text of digits begins with a zero, as codes do."""
        text = self.values if pa.types.is_string(self.values.type) else None
        return text is not None and bool(pc.any(pc.match_substring_regex(text, _LEADING_ZERO)).as_py())

    def share(self, pattern: str) -> float:
        """Share of the cells that match a pattern."""
        found = pc.mean(pc.match_substring_regex(self.texts, pattern)).as_py() if self.texts is not None else None
        return float(found or 0)

    @cached_property
    def label_texts(self) -> pa.Array:
        """The column as a label: null where it is blank or a word that means missing."""
        texts = self.texts if self.texts is not None else pa.nulls(len(self.values), pa.string())
        return cells.without_missing_words(texts, self.name, cells.CellProblems(1))

    @cached_property
    def label_values(self) -> Mapping[str, int]:
        """The different values of a label and their counts; empty where they are many."""
        if self.texts is None or self.distinct > len(self.examples):
            return {}
        counted = pc.value_counts(self.label_texts.drop_null()).to_pylist()
        return {str(each["values"]): int(each["counts"]) for each in counted}

    @property
    def many(self) -> bool:
        """More values than groups of customers have."""
        return self.distinct > max(MANY_VALUES, MANY_SHARE * len(self.values))

    @property
    def unit(self) -> str | None:
        """The unit that the column's name suggests, if the numbers agree with it."""
        names = {
            self.words[-1],
            *({self.words[0]} if self.words[1:2] == ("of",) else ()),
            *(set(self.words[:1]) & _FIRST_WORDS),
        }
        named = (unit for unit, words in UNIT_WORDS.items() if names & words)
        unit = next(named, "months" if "tenure" in self.words and self.largest <= 240 else None)
        wrong = (is_never_negative(unit) and self.smallest < 0) or (unit == "count" and not self.whole)
        return None if wrong else unit

    @property
    def term_unit(self) -> str | None:
        """The unit of a time until something, if the column holds such numbers."""
        if self.numbers is None or self.smallest < 0:
            return None
        named = (unit for unit in DAYS_OF if {unit, unit.removesuffix("s")} & set(self.words))
        return next(named, None)

    @property
    def kind(self) -> Literal["number", "category"]:
        """Whole numbers are a code where the name says so."""
        if self.numbers is None or self.texts is None:
            return "category" if self.numbers is None else "number"
        code = self.whole and self.distinct <= MANY_VALUES and set(self.words) & _CODES and self.unit is None
        return "category" if code and not self.said_missing else "number"


def tolerated(rows: int) -> int:
    """Most cells of so many rows that may be mistakes."""
    return max(int(MISTAKES * rows), 1) if rows >= FEW_ROWS else 0


def read_mostly(read: Callable[..., Any], values: pa.Array, blank: bool = False) -> Read | None:
    """The column read as a kind, if nearly every cell can be and some are there (or all may be blank)."""
    problems = cells.CellProblems(1)
    column = read(values, "", problems)
    bad = problems.rows()
    good = len(column) - column.null_count
    if problems.wrong_columns or (not blank and not good) or len(bad) > tolerated(good):
        return None
    return Read(column, tuple(bad.tolist()), dict(problems.missing_words.get("", {})))


def is_word_pair(column: Column) -> bool:
    """Whether the column holds yes and no, or true and false."""
    return column.truth is not None or bool(re.fullmatch(r"0,1", ",".join(sorted(column.examples))))
