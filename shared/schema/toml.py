"""A schema is written as a TOML file for people to read, correct and keep.

Law: `shared.schema.features.parse_schema` reads back the schema that was written; everything else in the file is a
comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.schema.features import Schema


def schema_toml(schema: Schema, notes: Sequence[str], seen: Mapping[str, str]) -> str:
    """The schema as the text of a TOML file, the notes above it and what was seen above each feature."""
    return "\n".join(_toml(schema, notes, seen)) + "\n"


def line_of(text: str, key: str) -> int | None:
    """Return the line of a schema file that a key is set in; None where it is not set.

    Parameters
    ----------
    key
        Such as `id` or `subscription.end`; of a feature its section, `features.NAME`.

    >>> line_of('id = "who"\n[features."x y"]\nkind = "number"\n', "features.x y")
    2
    """
    table, dot, name = key.partition(".")
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("["):
            section = line.strip()
        if table == "features":
            if section in (f"[features.{name}]", f"[features.{_value(name)}]"):
                return number
        elif section == (f"[{table}]" if dot else "") and re.match(rf"{re.escape(name or table)}\s*=", line):
            return number
    return None


def _toml(schema: Schema, notes: Sequence[str], seen: Mapping[str, str]) -> Iterator[str]:
    yield "# A customer table's columns and what they mean, proposed from the file itself: correct what is wrong."
    yield from (_comment(f"- {note}") for note in notes)
    yield from _lines(schema.model_dump(mode="json", exclude_defaults=True, exclude={"subscription", "features"}))
    if subscription := schema.subscription.columns():
        yield "\n# Columns that speak of the contract."
        yield "[subscription]"
        yield from _lines(subscription)
    for name, feature in schema.features.items():
        yield "\n" + _comment(seen.get(name, f"A {feature.kind}."))
        yield f"[features.{_value(name)}]"
        yield from _lines({**feature.model_dump(mode="json", exclude_defaults=True), "missing": feature.missing})


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key} = {_value(value)}" for key, value in values.items())


def _value(value: Any) -> str:
    """A text, number, truth value or list of texts as TOML: JSON's spelling but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return "# " + re.sub(r"[\x00-\x1f\x7f]", " ", text)
