"""The columns of one file, or of one batch of it, judged against a schema.

Law: a cell that does not fit is noted with its place and never changed to fit; whoever reads decides what follows.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.contracts.arrow import feature_fields
from shared.errors import Detail, InvalidTable
from shared.schema.features import Feature, Schema
from shared.schema.units import is_never_negative
from shared.tables import cells
from shared.tables.columns import FileColumns
from shared.tables.value_formats import Recognised

SHOWN_HEADERS = 60
#: Looking for the header that somebody may have meant is slow among thousands.
SHOWN_NEAREST = 10
#: Columns that our own file of rejected rows adds: why, and which row of a table without ids.
REASON_COLUMN, ROW_COLUMN = "retainstream_reason", "retainstream_row"
OWN_COLUMNS = frozenset((REASON_COLUMN, ROW_COLUMN))


def nobody_churned(schema: Schema, values: Sequence[str | None]) -> str:
    """A note about a label that is never positive."""
    seen = ", ".join(repr(value) for value in values)
    wanted = ", ".join(repr(value) for value in schema.positive)
    advice = "Name those that mean the customer left under `positive` in the schema."
    return f"Nobody churned: {schema.label!r} is never {wanted}; it holds {seen}. {advice}"


class Reading:
    """One pass over one file, or over one batch of it: what was found so far, and what is wrong with it.

    Parameters
    ----------
    recognised
        How numbers and dates are written, as far as that is not as usual.
    """

    def __init__(
        self, file: FileColumns, schema: Schema, max_problems: int, recognised: Recognised | None = None
    ) -> None:
        self.file = file
        self.schema = schema
        self.recognised = recognised or Recognised()
        self.problems = cells.Problems(max_problems, file.place, file.place_name)
        self.notes: list[str] = []
        self._used: set[str] = set()
        self._numbers: dict[str, pa.Array] = {}
        #: Numbers of the rows in the whole file, where this is a batch of it.
        self.numbers: np.ndarray | None = None

    def by_name(self, names: Iterable[str]) -> dict[str, pa.Array]:
        """Columns of the file by the names that the schema gives them."""
        actual = {name: self.file.actual(name) for name in names}
        return {name: self.file.column(own) for name, own in actual.items() if own is not None}

    def require(self, label: str) -> None:
        """Refuse a file without the columns that nothing goes without."""
        schema = self.schema
        if label == "required" and schema.label is None:
            raise InvalidTable("The schema names no label: add `label` and `positive` to the file given with --schema.")
        roles = {"id": schema.id, "date": schema.as_of, "label": schema.label if label == "required" else None}
        wanted = {name: f" (the {role} of the schema)" for role, name in roles.items() if name}
        wanted |= dict.fromkeys(schema.feature_names, "")
        missing = [name for name in wanted if self.file.actual(name) is None]
        if not missing:
            return
        near = {name: self._nearest(name) for name in missing[:SHOWN_NEAREST]}
        told = [f"{name!r}{wanted[name]}{near.get(name, '')}" for name in missing]
        details: list[Detail] = [
            {"field": name, "message": f"there is no column {what}"} for name, what in zip(missing, told, strict=True)
        ]
        column = "column" if len(missing) == 1 else "columns"
        has = ", ".join(repr(name) for name in self.file.names[:SHOWN_HEADERS])
        more = f" and {len(self.file.names) - SHOWN_HEADERS} more" if len(self.file.names) > SHOWN_HEADERS else ""
        raise InvalidTable(
            f"The file has no {column} {', '.join(told)}. It has: {has}{more}. "
            "Rename the columns, or give the schema of this file with --schema.",
            details=details,
        )

    def _nearest(self, name: str) -> str:
        plain = {re.sub(r"[\W_]+", "", own.casefold()): own for own in self.file.names}
        near = difflib.get_close_matches(re.sub(r"[\W_]+", "", name.casefold()), plain, 1)
        return f" (is it {plain[near[0]]!r}?)" if near else ""

    def _column(self, name: str) -> pa.Array | None:
        actual = self.file.actual(name)
        if actual is None:
            return None
        self._used.add(actual)
        return self.file.column(actual)

    def _number(self, name: str) -> pa.Array:
        if name not in self._numbers:  # a price may be a feature too
            self._numbers[name] = cells.numbers(
                self._column(name),
                name,
                self.problems,
                decimal_comma=self.recognised.decimal_comma,
                truth=self.recognised.truth.get(name),
            )
        return self._numbers[name]

    def ids(self) -> pa.Array:
        """Who each row is about, by the id column; else by its number in the file."""
        name = self.schema.id
        if name is None:
            return self._row_numbers()
        ids = cells.identifiers(self._column(name), name, self.problems)
        self.problems.add(name, pc.is_null(ids), lambda row: "the id is missing")
        return ids

    def _row_numbers(self) -> pa.Array:
        given = self._column(ROW_COLUMN)
        if given is not None:  # rows that were rejected before: they keep the number they had
            return cells.identifiers(given, ROW_COLUMN, self.problems)
        numbers = np.arange(1, self.file.rows + 1) if self.numbers is None else self.numbers
        return pa.array(numbers).cast(pa.string())

    def as_of(self) -> pa.Array | None:
        """The date of each row, where the schema names the column."""
        name = self.schema.as_of
        if name is None:
            return None
        days = self._dates(self._column(name), name, self.problems)
        self.problems.add(name, pc.is_null(days), lambda row: "the date is missing")
        return days

    def _dates(self, column: pa.Array, name: str, problems: cells.Problems) -> pa.Array:
        return cells.dates(column, name, problems, written=self.recognised.dates.get(name))

    def keys(self) -> tuple[pa.Array, pa.Array | None]:
        """Ids and dates: every row has them, and no two rows the same."""
        as_of = self.as_of()
        ids = self.ids()
        name = self.schema.id
        if name is None:
            return ids, as_of
        earlier = cells.duplicates(ids, as_of)
        place, unit = self.file.place, self.file.place_name
        same = "" if as_of is None else " with the same date"
        self.problems.add(
            name,
            earlier >= 0,
            lambda row: (
                f"the id {cells.shown(ids[row])} of {unit} {place(row)} stands in {unit} {place(int(earlier[row]))} "
                f"already{same}, keep one of them"
            ),
        )
        return ids, as_of

    def features(self) -> pa.Table:
        """The features in the schema's order and types."""
        columns = [self._feature(name, feature) for name, feature in self.schema.features.items()]
        return pa.table(columns, schema=pa.schema(feature_fields(self.schema)))

    def _feature(self, name: str, feature: Feature) -> pa.Array:
        if feature.kind == "number":
            values = self._number(name)
            if feature.whole:
                broken = pc.not_equal(pc.floor(values), values)
                self.problems.add(name, broken, lambda row: f"{values[row]} is no whole number, as the schema wants")
            if is_never_negative(feature.unit):
                self._refuse_negative(name, values, feature.unit or "")
        else:
            values = cells.categories(self._column(name), name, self.problems)
        if not feature.missing:
            self.problems.add(name, pc.is_null(values), lambda row: "a value is missing here, which the schema forbids")
        return values

    def _refuse_negative(self, name: str, values: pa.Array, unit: str) -> None:
        self.problems.add(name, pc.less(values, 0), lambda row: f"{values[row]} is negative, which {unit} can't be")

    def label(self, required: bool) -> np.ndarray | None:
        """1 where the label is one of the schema's positive values, else 0."""
        name = self.schema.label
        column = self._column(name) if name is not None else None
        if name is None or column is None:
            if name is not None:
                self.notes.append(f"The file has no column {name!r}, so it doesn't say who churned.")
            return None
        texts = cells.categories(column, name, self.problems)
        if texts.null_count == len(texts) and not required:
            self.notes.append(f"The column {name!r} is blank, so it doesn't say who churned.")
            return None
        self.problems.add(name, pc.is_null(texts), lambda row: "the label is missing")
        churned = np.asarray(pc.is_in(texts, self._positive(column)), dtype=np.int8)
        if not churned.any():
            self.notes.append(nobody_churned(self.schema, pc.unique(texts).slice(0, 5).to_pylist()))
        return churned

    def _positive(self, column: pa.Array) -> pa.Array:
        positive = cells.normal_form(pa.array(self.schema.positive, pa.string()))
        if pa.types.is_boolean(column.type):  # true is what a CSV file would have written as 1
            words = {"1": "true", "0": "false"}
            positive = pa.array([words.get(value, value.lower()) for value in positive.to_pylist()])
        return positive

    def given_label(self) -> tuple[pa.Array, list[str]] | None:
        """1, 0 or null for each row, and some of the values that stand there; None where the file has no label."""
        column = self._column(self.schema.label) if self.schema.label is not None else None
        if column is None or self.schema.label is None:
            return None
        texts = cells.categories(column, self.schema.label, self.problems)
        churned = pc.if_else(pc.is_valid(texts), pc.is_in(texts, self._positive(column)), pa.scalar(None, pa.bool_()))
        return churned.cast(pa.int8()), pc.unique(texts).slice(0, 5).to_pylist()

    def subscription(self) -> dict[str, pa.Array]:
        """The columns that speak of the contract, as far as the file has them."""
        readers: dict[str, Any] = {"start": self._dates, "end": self._dates, "price": self._price}
        found = {}
        for role, name in self.schema.subscription.columns().items():
            values = self.optional(f"subscription {role}", name, readers.get(role, cells.categories))
            if values is not None:
                found[role] = values
        return found

    def _price(self, _column: pa.Array, name: str, _problems: cells.Problems) -> pa.Array:
        values = self._number(name)
        self._refuse_negative(name, values, "a price")
        return values

    def optional(self, role: str, name: str | None, read: Any) -> pa.Array | None:
        """A column that may be absent: a note says so."""
        column = self._column(name) if name is not None else None
        if name is not None and column is None:
            self.notes.append(f"The file has no column {name!r} ({role}), which the schema names.")
        return read(column, name, self.problems) if column is not None else None

    def unused(self, names: Sequence[str]) -> Iterable[str]:
        """One sentence about the columns that nobody asked for."""
        ignore = {name.strip() for name in self.schema.ignore}
        label = self.schema.label
        left = [n for n in names if n.strip() and n not in self._used and n.strip() not in OWN_COLUMNS]
        left = [n for n in left if label is None or n.strip() != label.strip()]
        ignored = [name for name in left if name.strip() in ignore]
        rest = [name for name in left if name.strip() not in ignore]
        if ignored:
            yield f"Left out, as the schema says: {', '.join(ignored)}."
        if rest:
            yield f"Not in the schema and left out: {', '.join(rest[:SHOWN_HEADERS])}."
