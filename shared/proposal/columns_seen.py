"""The columns of a file as a person who corrects a proposal needs them: values, counts, and the sentences about each.

Law: every column of the file is there, one that is left out too; a sentence stands with each column that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.proposal.column_profile import Column
from shared.schema.features import Schema

EXAMPLES, LONGEST = 8, 60
LEFT_OUT = "Left out, "


@dataclass(frozen=True)
class ColumnSeen:
    """A column of a file.

    Attributes
    ----------
    examples
        Its first different values, as text.
    distinct, blank
        Numbers of different values, and of cells without one.
    """

    name: str
    examples: tuple[str, ...]
    distinct: int
    blank: int


def columns_seen(columns: Iterable[Column]) -> tuple[ColumnSeen, ...]:
    """Return what was seen in each column."""
    return tuple(_seen(column) for column in columns)


def _seen(column: Column) -> ColumnSeen:
    values = column.texts if column.texts is not None else column.values
    examples = [str(value)[:LONGEST] for value in column.examples[:EXAMPLES]]
    return ColumnSeen(column.name, tuple(examples), column.distinct, values.null_count)


def notes_by_column(
    schema: Schema, names: Sequence[str], notes: Sequence[str], keys: Sequence[str | None]
) -> dict[str, list[str]]:
    """Return the sentences of a proposal that name each column, or are about the key that it is given by."""
    found: dict[str, list[str]] = {name: [] for name in names}
    quoted = {name: repr(name) for name in names}
    for note, key in zip(notes, keys, strict=True):
        about = {_column_of(schema, key), *_listed(note)}
        for name in names:
            if name in about or quoted[name] in note:
                found[name].append(note)
    return found


def _column_of(schema: Schema, key: str | None) -> str | None:
    table, _, name = (key or "").partition(".")
    if table == "features":
        return name
    if table == "subscription":
        return schema.subscription.columns().get(name)
    column = getattr(schema, table, None) if table in ("id", "label", "as_of", "email") else None
    return None if column is None else str(column)


def _listed(note: str) -> set[str]:
    """The columns that a sentence lists as left out, without their cells."""
    if not note.startswith(LEFT_OUT):
        return set()
    _, _, listed = note.partition(": ")
    return {part.partition(" (")[0].removesuffix(".") for part in listed.split(", ")}
