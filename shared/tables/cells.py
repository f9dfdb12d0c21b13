"""One column of a file becomes numbers, categories, dates or ids; cells that can't are collected with their places.

Law: a value is read the same way from CSV as from Parquet, and by itself: never by what else stands in its column
(the decimal comma, which is decided once for a file, is the one exception).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.tables.cell_errors import SHOWN, Problems, shown

MAX_CATEGORY = 200
#: The largest number in single precision, which models count in.
LARGEST = float(np.finfo(np.float32).max)
#: Texts that mean "missing" in a column of numbers or dates; in a category they may be somebody's value.
MISSING_WORDS = ("", "NA", "N/A", "null", "NULL", "NaN", "nan", "None")
NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
DECIMAL_COMMA = r"^\s*[+-]?\d*,\d+(?:[eE][+-]?\d+)?\s*$"
DECIMAL_POINT = r"^\s*[+-]?\d*\.\d+(?:[eE][+-]?\d+)?\s*$"
_ISO_SHAPE = r"^\d{4}-\d{2}-\d{2}$"
_LOCAL_SHAPE = r"^\d{1,2}([./-])\d{1,2}\1\d{4}$"
_DATE = (
    r"^\d{4}-\d{2}-\d{2}"
    r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?$"
)


def any_like(texts: pa.Array, pattern: str) -> bool:
    """Whether a text of the column matches."""
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def uses_decimal_comma(columns: Iterable[pa.Array]) -> bool:
    """Whether these columns of numbers are written 1,5: some are, and none is written 1.5."""
    texts = [column for column in columns if pa.types.is_string(column.type)]

    return any(any_like(text, DECIMAL_COMMA) for text in texts) and not any(
        any_like(text, DECIMAL_POINT) for text in texts
    )


def numbers(
    column: pa.Array,
    field: str,
    problems: Problems,
    *,
    decimal_comma: bool = False,
    truth: tuple[str, str] | None = None,
) -> pa.Array:
    """A column as float64, null where missing; true and false are 1 and 0.

    Parameters
    ----------
    column
        As it stands in the file.
    field, problems
        Where to note cells that are no finite number, and under which name.
    decimal_comma
        Whether text is written 1,5.
    truth
        Words, in lower case, that stand for 1 and 0 in this column, where it is written so.
    """
    if truth is not None and pa.types.is_string(column.type):
        column = _truth_as_digits(column, truth)
    if pa.types.is_string(column.type):
        values = _numbers_of_text(column, field, problems, decimal_comma)
    elif pa.types.is_boolean(column.type):
        values = column.cast(pa.int8()).cast(pa.float64())
    elif _is_number(column.type) or pa.types.is_null(column.type):
        values = column.cast(pa.float64(), safe=False)
    else:
        return _wrong_type(column, field, problems, "numbers", pa.float64())
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    beyond = pc.greater(pc.abs(values), LARGEST)
    advice = f"is not finite or above {LARGEST:.1e}, leave unknown cells blank"
    problems.add(field, beyond, lambda row: f"{shown(column[row])} {advice}")
    return pc.if_else(beyond, pa.scalar(None, pa.float64()), values)


def _truth_as_digits(column: pa.Array, truth: tuple[str, str]) -> pa.Array:
    folded = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    return pc.if_else(pc.equal(folded, truth[0]), "1", pc.if_else(pc.equal(folded, truth[1]), "0", column))


def _numbers_of_text(column: pa.Array, field: str, problems: Problems, decimal_comma: bool) -> pa.Array:
    text = _without_missing_words(column)
    if decimal_comma:
        text = pc.replace_substring(text, ",", ".")
    try:
        values = text.cast(pa.float64())
        problems.add(field, pc.is_nan(values), lambda row: f"{shown(column[row])} is no number")
        return values
    except pa.ArrowInvalid:
        pass
    folded = pc.utf8_lower(text)
    text = pc.if_else(pc.equal(folded, "true"), "1", pc.if_else(pc.equal(folded, "false"), "0", text))
    infinite = pc.is_in(pc.utf8_ltrim(folded, "+-"), pa.array(["inf", "infinity"]))
    good = pc.or_(pc.match_substring_regex(text, NUMBER), infinite)
    problems.add(field, pc.invert(good), lambda row: f"{shown(column[row])} is no number")
    return pc.if_else(good, text, pa.scalar(None, pa.string())).cast(pa.float64())


def _without_missing_words(column: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(text, pa.array(MISSING_WORDS)), pa.scalar(None, pa.string()), text)


def categories(column: pa.Array, field: str, problems: Problems) -> pa.Array:
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
        advice = f"is longer than {MAX_CATEGORY} characters: shorten it or put the column under `ignore`"
        problems.add(field, long.take(coded.indices), lambda row: f"{shown(column[row])} {advice}")
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


def identifiers(column: pa.Array, field: str, problems: Problems) -> pa.Array:
    """A column as text that names somebody, null where blank: whitespace around it goes, nothing else changes."""
    if pa.types.is_string(column.type):
        return _blank_to_null(pc.utf8_trim_whitespace(column))
    return categories(column, field, problems)


def _blank_to_null(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _text_of(values: pa.Array, field: str, problems: Problems, indices: pa.Array) -> pa.Array:
    """Different values as text; whole floats without a fraction."""
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if not pa.types.is_floating(kind):
        return values.cast(pa.string())
    infinite = pc.is_inf(values)
    if pc.any(infinite).as_py():
        problems.add(field, infinite.take(indices), lambda row: "an infinite number is no category")
    values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, kind))
    whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**63))
    short = pc.if_else(whole, values, pa.scalar(None, kind)).cast(pa.int64()).cast(pa.string())
    return pc.coalesce(short, values.cast(pa.string()))


def dates(column: pa.Array, field: str, problems: Problems, *, written: str | None = None) -> pa.Array:
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
    text = _without_missing_words(column)
    text = pc.if_else(pc.equal(text, "NaT"), pa.scalar(None, pa.string()), text)
    given = text
    if written is not None:
        text = _iso_dates(text, written)
    day = pc.if_else(pc.match_substring_regex(text, _DATE), pc.utf8_slice_codeunits(text, 0, 10), "")
    coded = day.dictionary_encode()
    days = pa.array([_day(value) for value in coded.dictionary.to_pylist()], pa.date32())
    values = days.take(coded.indices)
    wrong = pc.and_(pc.is_valid(text), pc.is_null(values))
    problems.add(field, wrong, lambda row: f"{shown(column[row])} {_no_date(given[row].as_py(), written)}")
    return values


def _no_date(text: str, written: str | None) -> str:
    """Why a text is no date."""
    if re.match(_ISO_SHAPE, text):
        return "is no day of the calendar"
    if re.match(_LOCAL_SHAPE, text):
        if written is None:
            return "is written so that its column doesn't tell days from months: write it as 2025-12-31"
        return f"is no day of the calendar, written {written} as the others of its column"
    return "is no date, write it as 2025-12-31"


def _iso_dates(text: pa.Array, written: str) -> pa.Array:
    """Dates such as 31.12.2025 (`D.M.Y`) as ISO ones; what does not look so stays as it is."""
    year, month, day = (rf"\{written.replace(written[1], '').index(part) + 1}" for part in "YMD")
    separator = re.escape(written[1])
    text = pc.replace_substring_regex(
        text, rf"^(\d{{1,2}}){separator}(\d{{1,2}}){separator}(\d{{4}})$", f"{year}-{month}-{day}"
    )
    text = pc.replace_substring_regex(text, r"^(\d{4})-(\d)-", r"\1-0\2-")
    return pc.replace_substring_regex(text, r"^(\d{4}-\d\d)-(\d)$", r"\1-0\2")


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def duplicates(ids: pa.Array, as_of: pa.Array | None) -> np.ndarray:
    """For each row the index of an earlier row with the same id (and date, where there are dates), else -1."""
    keys = np.asarray(pc.fill_null(ids.dictionary_encode().indices, -1), dtype=np.int64)
    if as_of is not None:
        keys = keys * 2**31 + np.asarray(pc.fill_null(as_of.cast(pa.int32()), 0), dtype=np.int64)
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    earlier = first[group]
    known = ids.is_valid().to_numpy(zero_copy_only=False)
    return np.where(known & (earlier != np.arange(len(keys))), earlier, -1)


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_plain(kind: Any) -> bool:
    others = (pa.types.is_boolean, pa.types.is_null, pa.types.is_date, pa.types.is_timestamp)
    return _is_number(kind) or any(test(kind) for test in others)


def _wrong_type(column: pa.Array, field: str, problems: Problems, wanted: str, kind: Any) -> pa.Array:
    """One problem for the whole column, noted at its first row."""
    first = np.zeros(len(column), dtype=bool)
    first[:1] = True
    told = re.sub(r"\s+", " ", str(column.type))
    problems.add(field, first, lambda row: f"the column holds {told[:SHOWN]} where {wanted} are needed")
    return pa.nulls(len(column), kind)
