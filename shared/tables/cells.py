"""One column of a file becomes numbers, categories, dates or ids; cells that can't are collected with their places.

Law: a value is read the same way from CSV as from Parquet, and by itself: never by the rest of its column (how numbers
and dates are written is the exception: it is recognised from a whole column).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.tables import messages, words
from shared.tables.number_formats import NumberFormat

MAX_CATEGORY = 200
#: The largest number in single precision, which models count in.
LARGEST = float(np.finfo(np.float32).max)
#: Days that programs write for "no end", and the day from which every end means that.
ENDLESS = (date(2099, 12, 31), date(2100, 1, 1), date(2100, 12, 31), date(2199, 12, 31), date(2262, 4, 11))
FOREVER = date(2999, 1, 1)
#: A long id that a spreadsheet has shortened, such as 8.26839E+17.
SPREADSHEET_ID = r"^\d[.,]\d{2,}[eE]\+\d{2}$"
NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
#: A time behind a date that is not ISO.
CLOCK = r"(?: \d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"
_DATE = (
    r"^\d{4}-\d{2}-\d{2}"
    r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?$"
)


class CellProblems:
    """Cells that can't be used: all counted, the first of each column kept; a cell is counted once."""

    def __init__(self, limit: int) -> None:
        self.limit = max(limit, 1)
        self.count = 0
        #: Columns of a type that fits in no row, each with the reason.
        self.wrong_columns: dict[str, str] = {}
        #: Words that were read as missing, by column, with their counts.
        self.missing_words: dict[str, Counter[str]] = {}
        self._kept: list[tuple[int, str, str]] = []
        self._flagged: dict[str, np.ndarray] = {}

    def add(self, field: str, where: Any, message: Callable[[int], str]) -> None:
        """Note the rows that are true in `where`; a cell already noted is not counted again."""
        mask = where
        if not isinstance(mask, np.ndarray):
            mask = np.asarray(pc.fill_null(where, False).to_numpy(zero_copy_only=False), dtype=bool)
        before = self._flagged.setdefault(field, np.zeros(len(mask), dtype=bool))
        rows = np.flatnonzero(mask & ~before)
        self._flagged[field] = before | mask
        self.count += len(rows)
        self._kept += [(int(row), field, message(int(row))) for row in rows[: self.limit]]

    def add_column(self, field: str, message: str) -> None:
        """Note a column no cell of which can be used."""
        self.count += 1
        self.wrong_columns.setdefault(field, message)

    def count_missing(self, field: str, said: pa.Array) -> None:
        """Count texts that were read as missing."""
        if len(said):
            found = {str(each["values"]): int(each["counts"]) for each in pc.value_counts(said).to_pylist()}
            self.missing_words.setdefault(field, Counter()).update(found)

    def cells(self) -> list[tuple[int, str, str]]:
        """Index of the row, field and message of each cell that is kept, by row."""
        return sorted(self._kept, key=lambda cell: cell[0])

    def rows(self) -> np.ndarray:
        """Indices of all rows with something wrong, ascending."""
        masks = list(self._flagged.values())
        return np.flatnonzero(np.logical_or.reduce(masks)) if masks else np.zeros(0, dtype=np.int64)


def numbers(
    column: pa.Array,
    field: str,
    problems: CellProblems,
    *,
    written: NumberFormat | None = None,
    truth: tuple[str, str] | None = None,
) -> pa.Array:
    """A column as float64, null where missing; true and false are 1 and 0.

    Parameters
    ----------
    column
        As it stands in the file.
    field, problems
        Where to note cells that are no finite number, and under which name.
    written
        How the column's numbers are written, if not as programs write them.
    truth
        Words, in lower case, that stand for 1 and 0 in this column, where it is written so.
    """
    if truth is not None and pa.types.is_string(column.type):
        column = _truth_as_digits(column, truth)
    if pa.types.is_string(column.type):
        values = _numbers_of_text(column, field, problems, written)
    elif pa.types.is_boolean(column.type):
        values = column.cast(pa.int8()).cast(pa.float64())
    elif _is_number(column.type) or pa.types.is_null(column.type):
        values = column.cast(pa.float64(), safe=False)
    else:
        return _wrong_type(column, field, problems, "numbers", pa.float64())
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    beyond = pc.greater(pc.abs(values), LARGEST)
    problems.add(field, beyond, lambda row: messages.not_finite(column[row], LARGEST))
    return pc.if_else(beyond, pa.scalar(None, pa.float64()), values)


def _truth_as_digits(column: pa.Array, truth: tuple[str, str]) -> pa.Array:
    folded = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    return pc.if_else(pc.equal(folded, truth[0]), "1", pc.if_else(pc.equal(folded, truth[1]), "0", column))


def _numbers_of_text(column: pa.Array, field: str, problems: CellProblems, written: NumberFormat | None) -> pa.Array:
    text = without_missing_words(column, field, problems)
    if written is not None:
        text = written.plain(text)
    try:
        values = text.cast(pa.float64())
        problems.add(field, pc.is_nan(values), lambda row: messages.not_a_number(column[row]))
        return values
    except pa.ArrowInvalid:
        pass
    folded = pc.utf8_lower(text)
    text = pc.if_else(pc.equal(folded, "true"), "1", pc.if_else(pc.equal(folded, "false"), "0", text))
    infinite = pc.is_in(pc.utf8_ltrim(folded, "+-"), pa.array(["inf", "infinity"]))
    good = pc.or_(pc.match_substring_regex(text, NUMBER), infinite)
    problems.add(field, pc.invert(good), lambda row: messages.not_a_number(column[row]))
    return pc.if_else(good, text, pa.scalar(None, pa.string())).cast(pa.float64())


def without_missing_words(
    column: pa.Array, field: str, problems: CellProblems, missing_words: Collection[str] = words.MISSING
) -> pa.Array:
    """Trimmed texts, null where they are blank or a word that means missing; such words are counted."""
    text = pc.utf8_trim_whitespace(column)
    missing = words.is_one_of(text, missing_words)
    problems.count_missing(field, text.filter(pc.and_(missing, pc.not_equal(text, ""))))
    return pc.if_else(missing, pa.scalar(None, pa.string()), text)


def categories(column: pa.Array, field: str, problems: CellProblems) -> pa.Array:
    """A column as text in normal form, null where blank.

    Surrounding whitespace goes; a decimal number gets its shortest text ("1.0" and 1.0 become "1", "007" stays);
    True and FALSE become "true" and "false". So the same value is the same category from any file.
    """
    if not (pa.types.is_string(column.type) or _is_plain(column.type)):
        return _wrong_type(column, field, problems, "text", pa.string())
    coded = column.dictionary_encode()  # work is done once for each different value
    values = _text_of(coded.dictionary, field, problems, coded.indices)
    values = _blank_to_null(normal_form(values))
    long = pc.greater(pc.utf8_length(values), MAX_CATEGORY)
    if pc.any(long).as_py():
        problems.add(field, long.take(coded.indices), lambda row: messages.too_long(column[row], MAX_CATEGORY))
    return values.take(coded.indices)


def normal_form(values: pa.Array) -> pa.Array:
    """Each text as `categories` writes it."""
    text = pc.utf8_trim_whitespace(values)
    text = pc.replace_substring_regex(text, r"^(-?(?:0|[1-9]\d*))\.0+$", r"\1")
    text = pc.replace_substring_regex(text, r"^(-?(?:0|[1-9]\d*)\.\d*[1-9])0+$", r"\1")
    text = pc.replace_substring_regex(text, r"^-0$", "0")
    for word in ("true", "false"):
        spelt = pc.is_in(text, pa.array([word.title(), word.upper()]))
        text = pc.if_else(spelt, word, text)
    return text


def identifiers(column: pa.Array, field: str, problems: CellProblems) -> pa.Array:
    """A column as text that names somebody, null where blank: whitespace around it goes, nothing else changes."""
    if pa.types.is_string(column.type):
        return _blank_to_null(pc.utf8_trim_whitespace(column))
    return categories(column, field, problems)


def _blank_to_null(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _text_of(values: pa.Array, field: str, problems: CellProblems, indices: pa.Array) -> pa.Array:
    """Different values as text; whole floats without a fraction."""
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if not pa.types.is_floating(kind):
        return values.cast(pa.string())
    infinite = pc.is_inf(values)
    if pc.any(infinite).as_py():
        problems.add(field, infinite.take(indices), lambda row: messages.INFINITE_CATEGORY)
    values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, kind))
    whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**63))
    short = pc.if_else(whole, values, pa.scalar(None, kind)).cast(pa.int64()).cast(pa.string())
    return pc.coalesce(short, values.cast(pa.string()))


def dates(column: pa.Array, field: str, problems: CellProblems, *, written: str | None = None) -> pa.Array:
    """A column as date32, null where missing: ISO dates, and the date part of ISO times as they are written.

    Parameters
    ----------
    written
        How dates that are not ISO are written in this column, such as `D.M.Y` (`shared.tables.value_formats`).
    """
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.tz is not None and kind.tz != "UTC":
            column = pc.local_timestamp(column)  # the date that the file's writer would print
        return column.cast(pa.timestamp(kind.unit)).cast(pa.date32(), safe=False)
    if pa.types.is_date(kind) or pa.types.is_null(kind):
        return column.cast(pa.date32())
    if not pa.types.is_string(kind):
        return _wrong_type(column, field, problems, "dates", pa.date32())
    text = given = without_missing_words(column, field, problems, words.NO_DATE)
    if written is not None:
        text = _iso_dates(text, written)
    day = pc.if_else(pc.match_substring_regex(text, _DATE), pc.utf8_slice_codeunits(text, 0, 10), "")
    coded = day.dictionary_encode()
    days = pa.array([_day(value) for value in coded.dictionary.to_pylist()], pa.date32())
    values = days.take(coded.indices)
    wrong = pc.and_(pc.is_valid(text), pc.is_null(values))
    problems.add(field, wrong, lambda row: messages.not_a_date(column[row], given[row].as_py(), written))
    return values


def ends(column: pa.Array, field: str, problems: CellProblems, *, written: str | None = None) -> pa.Array:
    """Dates of ends: as `dates`, but those that stand for "no end" (9999-12-31) are missing, and counted."""
    days = dates(column, field, problems, written=written)
    ever = pc.fill_null(
        pc.or_(pc.greater_equal(days, pa.scalar(FOREVER)), pc.is_in(days, pa.array(ENDLESS, pa.date32()))), False
    )
    if not pc.any(ever).as_py():
        return days
    problems.count_missing(field, column.filter(ever).cast(pa.string()))
    return pc.if_else(ever, pa.scalar(None, pa.date32()), days)


def _iso_dates(text: pa.Array, written: str) -> pa.Array:
    """Dates such as 31.12.2025 (`D.M.Y`), and those with a time behind, as ISO ones; others stay as they are."""
    order = written.replace(written[1], "")
    year, month, day = (rf"\{order.index(part) + 1}" for part in "YMD")
    parts = (r"(\d{4})" if part == "Y" else r"(\d{1,2})" for part in order)
    pattern = re.escape(written[1]).join(parts)
    text = pc.replace_substring_regex(text, rf"^{pattern}{CLOCK}$", f"{year}-{month}-{day}")
    text = pc.replace_substring_regex(text, r"^(\d{4})-(\d)-", r"\1-0\2-")
    return pc.replace_substring_regex(text, r"^(\d{4}-\d\d)-(\d)$", r"\1-0\2")


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_plain(kind: Any) -> bool:
    others = (pa.types.is_boolean, pa.types.is_null, pa.types.is_date, pa.types.is_timestamp)
    return _is_number(kind) or any(test(kind) for test in others)


def _wrong_type(column: pa.Array, field: str, problems: CellProblems, wanted: str, kind: Any) -> pa.Array:
    problems.add_column(field, messages.wrong_type(column.type, wanted))
    return pa.nulls(len(column), kind)
