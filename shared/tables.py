"""A customer table file, read and checked against its schema.

Law: what leaves here fits the schema in every cell, or nothing leaves and the places to correct are named.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared import table_cells as cells
from shared.arrow import feature_fields
from shared.errors import Detail, InvalidTable
from shared.features import Feature, Schema
from shared.table_files import FileColumns, read_columns

SHOWN_HEADERS = 60

_COUNTS = "hours days months years devices failures count calls seconds minutes messages"
_MONEY = (
    "currency money dollars euros pounds $ € £ ¥ "
    "usd eur gbp chf jpy cad aud nzd sek nok dkk pln czk inr cny brl mxn zar"
)
#: Units of which nobody can have less than none.
NOT_NEGATIVE = frozenset(f"{_COUNTS} {_MONEY}".split())


@dataclass(frozen=True)
class CustomerTable:
    """A checked table: one entry per row, in the file's order.

    Attributes
    ----------
    schema
        What the table was checked against.
    features
        Exactly the schema's features in their order: number as float64, category as string; null means missing.
    ids
        Text; "1", "2", … where the schema has no id.
    email
        Text, where the schema names the column and the file has it.
    label
        int8, 1 for churned; None where absent or ignored.
    as_of
        date32, where the schema names it.
    subscription
        Role to column, of the roles the file has: start and end date32, price float64, the others text.
    notes
        What was recognised or left out, one sentence each.
    sha256
        Of the file's bytes.
    """

    schema: Schema
    features: pa.Table
    ids: pa.Array
    email: pa.Array | None
    label: np.ndarray | None
    as_of: pa.Array | None
    subscription: dict[str, pa.Array]
    notes: tuple[str, ...]
    sha256: str


def read_table(
    path: Path | str,
    schema: Schema,
    *,
    label: Literal["required", "optional", "ignored"] = "optional",
    max_problems: int = 100,
) -> CustomerTable:
    """Read a CSV or Parquet file of customers.

    Parameters
    ----------
    path
        The file. Its bytes decide what it is, not its name.
    schema
        What its columns mean.
    label
        Whether the outcome has to be there, may be, or is not looked at.
    max_problems
        How many unusable cells are listed; all are counted.

    Raises
    ------
    InvalidTable
        With a detail `{row, field, message}` for each unusable cell; `row` is the line of a CSV file, whose header
        is line 1, and the row of a Parquet file, counted from 1.
    """
    reading = _Reading(read_columns(path), schema, max_problems)
    reading.require(label)
    ids, as_of = reading.keys()
    features = reading.features()
    outcome = reading.label(label == "required") if label != "ignored" else None
    subscription = reading.subscription()
    email = reading.optional("email", schema.email, cells.identifiers)
    reading.problems.refuse()
    notes = (*reading.file.notes, *reading.notes, *reading.unused())
    return CustomerTable(schema, features, ids, email, outcome, as_of, subscription, notes, reading.file.sha256)


def row_keys(ids: pa.Array) -> np.ndarray:
    """Keys that travel in place of ids: the same id has the same key anywhere.

    Returns
    -------
    ndarray of int64
        The 64-bit BLAKE2b digest of each id's UTF-8 text, little-endian.
    """
    digests = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in ids.to_pylist())
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)


def is_never_negative(unit: str | None) -> bool:
    """Whether a value in this unit below zero must be a mistake; "minutes per day" counts as minutes.

    >>> is_never_negative("hours"), is_never_negative("USD/month"), is_never_negative("percent")
    (True, True, False)
    """
    return unit is not None and re.split(r"\s*/\s*|\s+per\s+", unit.strip().lower())[0] in NOT_NEGATIVE


class _Reading:
    """One pass over one file: what was found so far, and what is wrong with it."""

    def __init__(self, file: FileColumns, schema: Schema, max_problems: int) -> None:
        self.file = file
        self.schema = schema
        self.problems = cells.Problems(max_problems, file.place, file.place_name)
        self.notes: list[str] = []
        self._used: set[str] = set()
        self._numbers: dict[str, pa.Array] = {}
        self._comma = self._decimal_comma()

    def _decimal_comma(self) -> bool:
        if self.file.delimiter in (None, ","):
            return False
        actual = (self.file.actual(name) for name in (*self.schema.numbers, self.schema.subscription.price or ""))
        comma = cells.uses_decimal_comma(self.file.column(own) for own in actual if own)
        if comma:
            self.notes.append("Numbers are written with a decimal comma.")
        return comma

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
        told = [f"{name!r}{wanted[name]}{self._nearest(name)}" for name in missing]
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
            self._numbers[name] = cells.numbers(self._column(name), name, self.problems, decimal_comma=self._comma)
        return self._numbers[name]

    def keys(self) -> tuple[pa.Array, pa.Array | None]:
        """Ids and dates: every row has them, and no two rows the same."""
        name, as_of = self.schema.id, None
        if self.schema.as_of is not None:
            as_of = cells.dates(self._column(self.schema.as_of), self.schema.as_of, self.problems)
            self.problems.add(self.schema.as_of, pc.is_null(as_of), lambda row: "the date is missing")
        if name is None:
            return pa.array(np.arange(1, self.file.rows + 1)).cast(pa.string()), as_of
        ids = cells.identifiers(self._column(name), name, self.problems)
        self.problems.add(name, pc.is_null(ids), lambda row: "the id is missing")
        earlier = cells.duplicates(ids, as_of)
        place, unit = self.file.place, self.file.place_name
        same = "" if as_of is None else " with the same date"
        self.problems.add(name, earlier >= 0, lambda row: (
            f"the id {cells.shown(ids[row])} of {unit} {place(row)} stands in {unit} {place(int(earlier[row]))} "
            f"already{same}, keep one of them"))
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
        positive = cells.normal_form(pa.array(self.schema.positive, pa.string()))
        if pa.types.is_boolean(column.type):  # true is what a CSV file would have written as 1
            words = {"1": "true", "0": "false"}
            positive = pa.array([words.get(value, value.lower()) for value in positive.to_pylist()])
        self.problems.add(name, pc.is_null(texts), lambda row: "the label is missing")
        churned = np.asarray(pc.is_in(texts, positive), dtype=np.int8)
        if not churned.any():
            values = ", ".join(repr(value) for value in pc.unique(texts).slice(0, 5).to_pylist())
            wanted = ", ".join(repr(value) for value in self.schema.positive)
            self.notes.append(f"Nobody churned: {name!r} is never {wanted}; it holds {values}.")
        return churned

    def subscription(self) -> dict[str, pa.Array]:
        """The columns that speak of the contract, as far as the file has them."""
        readers: dict[str, Any] = {"start": cells.dates, "end": cells.dates, "price": self._price}
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

    def unused(self) -> Iterable[str]:
        """One sentence about the columns that nobody asked for."""
        by_schema = {self.file.actual(name) for name in self.schema.ignore}
        label = self.file.actual(self.schema.label) if self.schema.label else None
        left = [name for name in self.file.names if name not in self._used and name != label]
        ignored = [name for name in left if name in by_schema]
        rest = [name for name in left if name not in by_schema]
        if ignored:
            yield f"Left out, as the schema says: {', '.join(ignored)}."
        if rest:
            yield f"Not in the schema and left out: {', '.join(rest[:SHOWN_HEADERS])}."
