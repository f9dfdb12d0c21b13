"""A schema is proposed for a customer table nobody has described yet.

Law: the proposed schema reads the file it was made from, but for the cells that its notes name; every guess that
matters is said in a note.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from shared.errors import InvalidTable
from shared.proposal import column_names
from shared.proposal.column_profile import Column
from shared.proposal.columns_seen import ColumnSeen, columns_seen
from shared.proposal.doubts import SHOWN, Said
from shared.proposal.id_role import ENOUGH_ROWS, is_called, is_other_id
from shared.proposal.number_columns import formats_of
from shared.proposal.odd_rows import customers_only
from shared.proposal.roles import Roles
from shared.schema.features import MAX_FEATURES, Feature, Schema
from shared.schema.subscription import Subscription
from shared.schema.toml import schema_toml
from shared.schema.units import WHOLE_UNITS
from shared.tables import file_notes
from shared.tables.columns import Between, FileColumns, nothing
from shared.tables.open import open_table, read_columns
from shared.tables.value_formats import number_notes

MAX_NAME = 200
_WITH_LETTERS = r"^[+-]?[^\w\s]?\d[\d.,']* ?[A-Za-z]+\.?$"
_NUMERIC = r"^[+-]?\s*(?:[$€£¥₹]\s*)?[+-]?\d[\d.,'’ ]*\s*[%€$£]?$"
HALF = 0.5
UNREAD_DATES = "they look like dates, in a form that is not read"
MANY_TEXTS = "texts with many different values"
#: Files above this many bytes are judged by so many rows.
WHOLE_BYTES, MANY_ROWS = 32 * 1024 * 1024, 200_000


@dataclass(frozen=True)
class InferredSchema:
    """A proposal.

    Attributes
    ----------
    notes
        Everything that was guessed, a sentence each.
    seen
        Feature to what was seen in its column.
    refused
        Columns some cells of which an import refuses, as the notes say.
    keys
        For each note, the key of the schema that it is about (`id`, `subscription.end`, `features.NAME`), or None.
    columns
        Every column of the file, as it was seen.
    """

    schema: Schema
    notes: tuple[str, ...]
    seen: Mapping[str, str] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    keys: tuple[str | None, ...] = ()
    columns: tuple[ColumnSeen, ...] = ()

    def to_toml(self) -> str:
        """The schema as a file to read, correct and keep; `shared.schema.features.parse_schema` reads it back."""
        return schema_toml(self.schema, self.notes, self.seen)


def infer_schema(
    path: Path | str,
    *,
    name: str | None = None,
    label: str | None = None,
    folder: Path | None = None,
    between: Between = nothing,
) -> InferredSchema:
    """Propose a schema for a CSV or Parquet file from its headers and its values.

    Only the first 200,000 rows of a file above 32 MB (unpacked) are read, and a note says so.

    Parameters
    ----------
    name
        The file's name, where `path` is a name of ours.
    label
        The column that tells who left, where somebody said so; else it is looked for.
    folder
        Where a copy in UTF-8 may be written, as for `open_table`.
    between
        Called between the pieces of the file, and between its columns: what it raises ends the work.

    Raises
    ------
    InvalidTable
        Where the file is no table, or holds no column that could be a feature.
    """
    with closing(open_table(path, folder=folder, between=between)) as table:
        long = table.unpacked > WHOLE_BYTES
        file = read_columns(table, MANY_ROWS if long else None)
        table.refuse_ragged()
        said = Said()
        if long:
            said.say(f"The file is long: its first {MANY_ROWS:,} rows were judged.")
        guess = _Guess(*customers_only(file, said), said, between, label)
        guess.find()
        notes = said.notes(table)
    if not guess.features:
        raise InvalidTable("No column of the file can be a feature: " + " ".join(notes))
    if len(guess.features) > MAX_FEATURES:
        raise InvalidTable(
            f"{len(guess.features):,} columns could be features, and at most {MAX_FEATURES} are supported: "
            "leave columns out of the file, or write the schema by hand."
        )
    named: dict[str, Any] = {role: column.name for role, column in guess.roles.roles.items()}
    contract = guess.roles.contract(guess.features)
    schema = Schema(
        name=Path(name or path).stem.strip()[:80] or None, positive=guess.roles.positive, ignore=tuple(guess.ignore),
        subscription=Subscription(**contract), features=guess.features, **named,
    )  # fmt: skip
    return InferredSchema(schema, tuple(notes), guess.seen, said.refused, said.keys, columns_seen(guess.columns))


class _Guess:
    """One pass over the columns: their roles, and what is left for the model."""

    def __init__(
        self, file: FileColumns, places: list[int], said: Said, between: Between, label: str | None = None
    ) -> None:
        self._between, self._said = between, said
        said.places = places
        stripped = Counter(name.strip() for name in file.names)
        written = formats_of(file, said, between)
        self.columns = []
        for name, column in zip(file.names, file.columns, strict=True):
            between()
            if len(name) <= MAX_NAME:
                own = name.strip() if stripped[name.strip()] == 1 else name
                self.columns.append(Column(own, column, written.get(name)))
        for note in file.notes:
            said.say(note)
        for long in (name for name in file.names if len(name) > MAX_NAME):
            said.say(f"{long[:40]!r}… is left out: its name is too long.")
        self.roles = Roles(self.columns, said, label)
        self.features: dict[str, Feature] = {}
        self.ignore: list[str] = []
        self.seen: dict[str, str] = {}

    def find(self) -> None:
        """Find the roles, then the features."""
        self.roles.find()
        self.find_features()
        read = {
            name: c for c in self.columns if (name := c.name) in self.features or c in self.roles.subscription.values()
        }
        written = {name: c.written for name, c in read.items() if c.written is not None and c.numbers is not None}
        for note in number_notes(written):
            self._said.say(note)
        for column in read.values():
            with self._said.about(self._key(column)):
                self._say_cells(column)

    def _key(self, column: Column) -> str:
        role = next((role for role, c in self.roles.subscription.items() if c is column), None)
        return f"features.{column.name}" if role is None or column.name in self.features else f"subscription.{role}"

    def _say_cells(self, c: Column) -> None:
        """Name the cells that are not of the column's kind, and the words that count as missing."""
        dated = ("start", "end", "contract_end")
        as_date = c.name not in self.features and c in [self.roles.subscription.get(role) for role in dated]
        found = c.date_read if as_date else c.number_read if c.kind == "number" else None
        if as_date and c.written_days is not None:
            self._said.say(file_notes.date_format(c.name, c.written_days))
        if found is None:
            if c.said_missing and c.kind == "category":
                words = ", ".join(map(repr, c.said_missing))
                self._said.say(
                    f"{c.name!r} holds {words}, kept as a value like others: blank the cells if it is missing."
                )
            return
        if found.bad_rows:
            kind, change = ("dates", "") if as_date else ("numbers", ', or set kind = "category"')
            them = "it" if len(found.bad_rows) == 1 else "them"
            text = f"{c.name!r} holds {kind}, but for {{cells}}: correct {them}{change}."
            self._said.doubt(text, found.bad_rows, c.values, column=c.name)
        if found.missing_words:
            self._said.say(file_notes.missing_words(c.name, found.missing_words))
        if not as_date and c.truth is not None and c.said_missing:
            self._said.say(file_notes.truth_words(c.name, c.truth))

    def find_features(self) -> None:
        """Everything else, less what can't help a model."""
        out: dict[str, list[Column]] = {}
        taken = [self.roles.subscription.get(role) for role in ("start", "end", "end_reason")]
        taken += [c for role, c in self.roles.subscription.items() if role == "contract_end" and c.dates is not None]
        for column in self.columns:
            if column in self.roles.roles.values() or column in taken:
                continue
            self._between()
            why = self._why_not(column)
            if why:
                out.setdefault(why, []).append(column)
            else:
                with self._said.about(f"features.{column.name}"):
                    self._add(column)
            if why in (None, MANY_TEXTS):
                with self._said.about("ignore" if why else f"features.{column.name}"):
                    self._say_texts(column, "left out" if why else "taken as a category")
        with self._said.about("ignore"):
            self._say_left_out(out)
            self._name_repeats([c for c in self.columns if c.name in self.features])

    def _say_left_out(self, out: dict[str, list[Column]]) -> None:
        self.ignore = [column.name for columns in out.values() for column in columns]
        for column in out.pop(UNREAD_DATES, []):
            rows = np.flatnonzero(column.texts.is_valid()).tolist()[:SHOWN]
            text = f"Left out, {UNREAD_DATES}: {column.name} ({{cells}}). Write them as 2025-12-31 to use them."
            self._said.doubt(text, rows, column.values)
        for why, columns in out.items():
            self._said.say(f"Left out, {why}: {', '.join(column.name for column in columns)}.")

    def _why_not(self, c: Column) -> str | None:
        label, rows = self.roles.roles.get("label"), len(c.values)
        alone = c.distinct == rows > 2  # every row has a value of its own
        reasons = {
            "all cells are blank": c.blank,
            "neither numbers nor short texts": c.texts is None and c.numbers is None,
            "always the same": c.distinct == 1 and c.complete,  # with blanks beside it, it says who has one
            "dates": c.dates is not None,
            UNREAD_DATES: c.unread_dates,
            "named like a label (set `label` and `positive` if it is the label)": label is None and self.roles.tells(c),
            "they tell the outcome": self.roles.tells(c)
            or (label is not None and rows >= ENOUGH_ROWS and c.codes == label.codes),
            "ids, whose values differ in nearly every row or repeat too often to name a customer": is_other_id(c),
            MANY_TEXTS: c.numbers is None and (c.many or (alone and is_called(column_names.NAMES, c))),
            "they only count the rows": alone and (rows >= ENOUGH_ROWS or is_called(column_names.ROW_COUNTS, c))
            and c.whole and c.largest - c.smallest == rows - 1,
        }  # fmt: skip
        return next((why for why, true in reasons.items() if true), None)

    def _add(self, c: Column) -> None:
        number = c.kind == "number"
        missing = (c.numbers if number else c.texts).null_count
        label = " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", c.name).replace("_", " ").split())
        label = label[:1].upper() + label[1:]
        if any((other.label or name).casefold() == label.casefold() for name, other in self.features.items()):
            label = f"{label} ({c.name})"  # `Plan` and `plan` are two features
        is_term = self.roles.subscription.get("contract_end") is c
        unit = (c.term_unit if is_term else c.unit) if number else None
        whole = bool(c.whole) and unit in WHOLE_UNITS
        told = {"kind": c.kind, "unit": unit, "label": label if label != c.name else None}
        self.features[c.name] = Feature.model_validate({**told, "whole": whole})
        what = f"{c.smallest:g} to {c.largest:g}" if number else ", ".join(c.examples[:5])[:MAX_NAME]
        self.seen[c.name] = f"{c.distinct} different: {what}" + (f"; {missing} missing" if missing else "")
        if c.has_leading_zeros:
            self._said.say(f"{c.name!r} has leading zeros, so it is taken as text.")
        if unit == "months" and "months" not in c.words:
            self._said.say(f"{c.name!r} is taken to be in months.")

    def _say_texts(self, c: Column, what: str) -> None:
        """Say why a column with numbers in it is none of numbers, with the cells that tell."""
        if c.texts is None or c.numbers is not None or c.dates is not None or c.has_leading_zeros:
            return
        if HALF < c.share(_NUMERIC) < 1:
            texts = pc.invert(pc.match_substring_regex(c.texts, _NUMERIC))
            rows = np.flatnonzero(pc.fill_null(texts, False).to_numpy(zero_copy_only=False)).tolist()
            text = f"{c.name!r} holds texts among its numbers ({{cells}}), so it is {what}: blank them for numbers."
            self._said.doubt(text, rows, c.values)
        elif c.share(_WITH_LETTERS) > HALF:
            self._said.say(
                f"{c.name!r} holds numbers with letters behind them, so it is {what}: write plain ones if they count."
            )

    def _name_repeats(self, columns: list[Column]) -> None:
        first: dict[bytes, Column] = {}
        for column in columns:
            other = first.setdefault(column.codes, column)
            rows = len(column.values)
            if other is column or column.texts is None or other.texts is None:
                continue
            if column.texts.equals(other.texts):
                self._said.say(f"{column.name!r} equals {other.name!r}: one of them can go to `ignore`.")
            elif rows >= ENOUGH_ROWS and column.distinct < rows / 2:
                self._said.say(f"{column.name!r} says the same as {other.name!r}: one of them can go to `ignore`.")
