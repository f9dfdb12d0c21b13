"""Recognises how a file writes numbers, truth values and dates, from whole columns.

Law: only what is unambiguous over the whole column is recognised, and what was recognised is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from shared.schema.features import Schema
from shared.tables import cells, file_notes, words
from shared.tables.number_formats import NumberFormat, NumberShapes, number_formats

DECIMAL_COMMA = NumberFormat(decimal=",")
#: Pairs of words for 1 and 0, in lower case.
TRUTH = (
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("on", "off"),
    ("ja", "nein"),
    ("oui", "non"),
    ("si", "no"),
    ("sí", "no"),
    ("sim", "não"),
    ("sim", "nao"),
    ("wahr", "falsch"),
    ("vrai", "faux"),
)
_SEPARATORS = ".-/"
_ISO = r"^\d{4}-\d{2}-\d{2}"
MAX_WORDS = 20
#: Share of a column's dates that may contradict the others: each of them is then named as a bad cell.
CONTRADICTING = 0.1


@dataclass(frozen=True)
class Recognised:
    """Unusual formats that a file has.

    Attributes
    ----------
    numbers
        Column of numbers to how they are written, if not as programs write them.
    truth
        Column of numbers to the words that stand for 1 and 0 in it.
    dates
        Column of dates to how they are written, such as `D.M.Y`.
    """

    numbers: Mapping[str, NumberFormat] = field(default_factory=dict)
    truth: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    dates: Mapping[str, str] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """One sentence for each thing."""
        notes = list(number_notes(self.numbers))
        notes += [file_notes.truth_words(name, pair) for name, pair in self.truth.items()]
        return notes + [file_notes.date_format(name, written) for name, written in self.dates.items()]

    def as_dict(self) -> dict[str, object]:
        """Plain values for a report."""
        truth = {name: list(pair) for name, pair in self.truth.items()}
        numbers = {name: written.example() for name, written in self.numbers.items()}
        comma = any(written.decimal == "," for written in self.numbers.values())
        return {"decimal_comma": comma, "numbers": numbers, "truth": truth, "dates": dict(self.dates)}


def number_notes(numbers: Mapping[str, NumberFormat]) -> Iterator[str]:
    """One sentence for columns with nothing but a decimal comma, one for each other format."""
    if DECIMAL_COMMA in numbers.values():
        yield file_notes.DECIMAL_COMMA
    for example in dict.fromkeys(w.example() for w in numbers.values() if w != DECIMAL_COMMA):
        yield file_notes.number_format([name for name, w in numbers.items() if w.example() == example], example)


def number_columns(schema: Schema) -> tuple[str, ...]:
    """Columns of the schema that hold numbers."""
    price = schema.subscription.price
    return (*schema.numbers, *((price,) if price and price not in schema.numbers else ()))


def date_columns(schema: Schema) -> tuple[str, ...]:
    """Columns of the schema that hold dates."""
    told = schema.subscription
    return tuple(name for name in (schema.as_of, told.start, told.end, schema.contract_end_column) if name)


def unread_columns(schema: Schema) -> tuple[str, ...]:
    """Columns that `recognise` looks at."""
    return (*number_columns(schema), *date_columns(schema))


def recognise(batches: Iterable[Mapping[str, pa.Array]], schema: Schema, *, delimiter: str | None) -> Recognised:
    """Judge the columns of numbers and dates from all their cells.

    Parameters
    ----------
    batches
        Name in the schema to column; read to the end.
    delimiter
        The file's delimiter; None for Parquet.
    """
    numbers = {name: NumberShapes() for name in number_columns(schema)}
    said: dict[str, set[str] | None] = {}
    shapes = {name: _DateShapes() for name in date_columns(schema)}
    for batch in batches:
        texts = {name: column for name, column in batch.items() if pa.types.is_string(column.type)}
        for name in number_columns(schema):
            if name in texts:
                numbers[name].look(cells.without_missing_words(texts[name], name, cells.CellProblems(1)))
                said[name] = _words(said.get(name, set()), texts[name])
        for name, shape in shapes.items():
            if name in texts:
                shape.look(texts[name])
    truth = {name: pair for name, found in said.items() if found and (pair := _pair(found)) is not None}
    dates = {name: how for name, shape in shapes.items() if (how := shape.written()) is not None}
    return Recognised(number_formats(numbers, delimiter=delimiter), truth, dates)


def written_dates(column: pa.Array) -> str | None:
    """Return the format of a column's dates, such as `D.M.Y`; None where they are ISO or ambiguous."""
    if not pa.types.is_string(column.type):
        return None
    shape = _DateShapes()
    shape.look(column)
    return shape.written()


def _words(before: set[str] | None, column: pa.Array) -> set[str] | None:
    """The different texts of a column in lower case; None once they are too many to be truth values."""
    if before is None:
        return None
    new = pc.unique(pc.utf8_lower(pc.utf8_trim_whitespace(column)))
    if len(new) > MAX_WORDS:
        return None
    return before | {word for word in new.to_pylist() if word is not None and word not in words.MISSING}


def _pair(found: set[str]) -> tuple[str, str] | None:
    """The one pair that all words are of. Where only `no` occurs, any pair with it says the same."""
    return next((pair for pair in TRUTH if found <= set(pair)), None)


class _DateShapes:
    """The shapes of one column's dates that are not ISO."""

    def __init__(self) -> None:
        self.cells = 0
        self.like: dict[str, int] = dict.fromkeys(_SEPARATORS, 0)
        self.year_first: dict[str, int] = dict.fromkeys(_SEPARATORS, 0)
        #: Dates that have no other reading than the day, or the month, first.
        self.sure = {separator: [0, 0] for separator in _SEPARATORS}

    def look(self, column: pa.Array) -> None:
        """Take note of a batch."""
        texts = pc.unique(pc.utf8_trim_whitespace(column))
        texts = texts.filter(pc.invert(words.is_one_of(texts, words.NO_DATE)))
        iso = pc.match_substring_regex(texts, _ISO)  # says nothing of the others
        self.cells += len(texts) - (pc.sum(iso).as_py() or 0)
        for separator in _SEPARATORS:
            year_first = rf"^\d{{4}}[{separator}]\d{{1,2}}[{separator}]\d{{1,2}}{cells.CLOCK}$"
            found = pc.and_(pc.match_substring_regex(texts, year_first), pc.invert(iso))
            self.year_first[separator] += pc.sum(found).as_py() or 0
            pattern = rf"^(?P<a>\d{{1,2}})[{separator}](?P<b>\d{{1,2}})[{separator}](?P<y>\d{{4}}){cells.CLOCK}$"
            parts = pc.extract_regex(texts, pattern).drop_null()
            if len(parts) == 0:
                continue
            self.like[separator] += len(parts)
            first, second = (parts.field(at).cast(pa.int32()) for at in (0, 1))
            # 13/31/2025 is no day either way and says nothing of the others.
            for at, (day, month) in enumerate(((first, second), (second, first))):
                sure = pc.and_(pc.greater(day, 12), pc.less_equal(month, 12))
                self.sure[separator][at] += pc.sum(sure).as_py() or 0

    def written(self) -> str | None:
        """Return the format of the dates, if it is the only one that fits nearly all of them; dots mean day first."""
        separator = max(_SEPARATORS, key=lambda each: self.like[each] + self.year_first[each])
        count = max(self.like[separator], self.year_first[separator])
        if not count or count * 2 < self.cells or sum((*self.like.values(), *self.year_first.values())) > count:
            return None
        if self.year_first[separator]:
            return f"Y{separator}M{separator}D"
        day_first, month_first = self.sure[separator]
        if min(day_first, month_first) > CONTRADICTING * (day_first + month_first):
            return None
        if day_first > month_first or (separator == "." and not month_first):
            return f"D{separator}M{separator}Y"
        return f"M{separator}D{separator}Y" if month_first else None
