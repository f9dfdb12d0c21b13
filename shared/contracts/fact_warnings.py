"""Warnings about facts that a score can rely on less: facts that are missing, and values that the model does not know.

Law: the ML service finds them, because it knows what the model's training had; their words are here, for both services.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, with_config
from typing_extensions import TypedDict

from shared.contracts.report import Strict

#: Values of a feature that are told; the others are only counted.
MOST_TOLD = 5


# Plain dicts, like the reasons: an answer can have many of these.
@with_config(Strict.model_config)
class FactWarning(TypedDict):
    """A fact of one row that its score can rely on less."""

    feature: str
    kind: Annotated[
        Literal["missing", "unknown"],
        Field(description="Missing although training had it for every customer, or unknown to the model"),
    ]
    value: Annotated[str | None, Field(description="The value that the model doesn't know, scored as missing")]
    known_as: Annotated[str | None, Field(description="A value it knows that differs only in case or spaces")]


@with_config(Strict.model_config)
class UnknownValues(TypedDict):
    """The values of one feature that the model doesn't know, in many rows; they are scored as missing."""

    feature: str
    rows: int
    values: Annotated[dict[str, int], Field(description="The most frequent of these values, with their rows")]
    known_as: Annotated[dict[str, str], Field(description="Values it knows that differ only in case or spaces")]


def plain(text: str) -> str:
    """Return a text without case and spaces.

    >>> plain("Month-to-month "), plain("BASIC  plan")
    ('month-to-month', 'basicplan')
    """
    return "".join(text.split()).casefold()


def added_up(parts: Iterable[Sequence[UnknownValues]]) -> list[UnknownValues]:
    """Add up what was found in parts of a table."""
    rows: Counter[str] = Counter()
    values: dict[str, Counter[str]] = {}
    known_as: dict[str, dict[str, str]] = {}
    for found in (each for part in parts for each in part):
        name = found["feature"]
        rows[name] += found["rows"]
        values.setdefault(name, Counter()).update(found["values"])
        known_as.setdefault(name, {}).update(found["known_as"])
    return [
        {
            "feature": name,
            "rows": count,
            "values": (told := dict(values[name].most_common(MOST_TOLD))),
            "known_as": {value: known for value, known in known_as[name].items() if value in told},
        }
        for name, count in rows.items()
    ]


def warning_of_rows(found: UnknownValues, rows: int) -> str:
    """Return a sentence about the unknown values of a feature among so many rows."""
    told = [_counted(value, count, found["known_as"].get(value)) for value, count in found["values"].items()]
    others = found["rows"] - sum(found["values"].values())
    more = f", and others ({others:,})" if others else ""
    has = "has a value" if found["rows"] == 1 else "have values"
    return (
        f"{found['feature']}: {found['rows']:,} of {rows:,} rows {has} that the model does not know: "
        f"{', '.join(told)}{more}. Scored as missing."
    )


def _counted(value: str, rows: int, known_as: str | None) -> str:
    return f"{value!r} ({rows:,}; it knows {known_as!r})" if known_as else f"{value!r} ({rows:,})"


def missing_warnings(missing: Mapping[str, int], rows: int) -> list[str]:
    """Return a sentence for each feature that training had complete and that is missing in so many of the rows."""
    return [
        f"{name} is missing in {count:,} of {rows:,} rows, but was complete in training. The scores of these rows are "
        "less certain."
        for name, count in missing.items()
    ]


def warning_of_row(label: str, found: FactWarning) -> str:
    """Return a sentence about one fact of one row."""
    if found["kind"] == "missing":
        return f"{label} is missing; the model's training had it for every customer, so this score is less certain."
    known = found["known_as"]
    hint = f" It knows {known!r}, which differs only in upper and lower case or in spaces." if known else ""
    return f"{label} {found['value']!r} is a value that the model does not know: scored as missing.{hint}"
