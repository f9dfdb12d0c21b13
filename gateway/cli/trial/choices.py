"""The schema of a trial: the person's own, or a proposed one with every choice that it makes.

Law: each choice is told with the line of the schema file that changes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.setup import ProgressLine
from shared.plural import plural
from shared.schema.features import Schema, load_schema
from shared.schema.toml import line_of, schema_toml

#: The name of the built-in schema.
BUILT_IN = "retainstream"
#: Keys that are told by the notes of a proposal, and what to write where they are not set.
_ADDED = {
    "id": 'id = "COLUMN" at the top',
    "label": 'label = "COLUMN" and positive = ["VALUE"] at the top',
    "as_of": 'as_of = "COLUMN" at the top, or --as-of DATE',
    "subscription.end": 'end = "COLUMN" under [subscription]',
    "ignore": 'ignore = ["COLUMN"] at the top, without [features."COLUMN"]',
}
#: Roles that a proposal gives without a note.
_UNSAID = ("email", *(f"subscription.{role}" for role in ("start", "end_reason", "price", "plan", "currency")))


@dataclass(frozen=True)
class Described:
    """A schema, the text of its file, and the choices it makes, a sentence each."""

    schema: Schema
    text: str
    choices: tuple[str, ...]


def own(file: str) -> Described:
    """Return the schema that the person gave: a file, or the name of the built-in one."""
    schema = load_schema(file)
    text = schema_toml(schema, (), {}) if file == BUILT_IN else Path(file).read_text(encoding="utf-8-sig")
    roles = f"label {schema.label or 'none'}, id {schema.id or 'row number'}, date {schema.as_of or 'none'}"
    return Described(schema, text, (f"The schema is {file}: {plural(len(schema.features), 'feature')}, {roles}.",))


def proposed(table: Path) -> Described:
    """Propose a schema for a table. Raises InvalidTable where it is none."""
    from shared.proposal.schema_inference import infer_schema  # numpy and pyarrow: only where they are needed

    line, began = ProgressLine(), time.monotonic()
    found = infer_schema(
        table, between=lambda: line.show(0.0, f"Reading {table.name}, {time.monotonic() - began:.0f} s")
    )
    line.end()
    text = found.to_toml()
    notes = zip(found.notes, found.keys, strict=True)
    return Described(found.schema, text, tuple(_choices(found.schema, text, notes)))


def _choices(schema: Schema, text: str, notes: Iterable[tuple[str, str | None]]) -> Iterator[str]:
    for note, key in notes:
        yield note if key is None else f"{note} ({place_of(text, key)})"
    if not schema.ignore:
        yield f"No column is left out. ({place_of(text, 'ignore')})"
    for key in _UNSAID:
        *_, role = key.split(".")
        column = schema.email if key == "email" else schema.subscription.columns().get(role)
        if column is not None:
            yield f"The {role.replace('_', ' ')} is {column!r}. ({place_of(text, key)})"


def place_of(text: str, key: str) -> str:
    """Where a key is changed: its line, or what to add."""
    line = line_of(text, key)
    if line is None:
        return f"add {_ADDED[key]}" if key in _ADDED else f"see {key}"
    also = line_of(text, "positive") if key == "label" else None
    return f"line {line}" if also is None else f"lines {line} and {also}"
