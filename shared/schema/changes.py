"""How a schema differs from the one that a customer base has, and which of the differences may be applied to it.

Law: a key that facts were read or checked by is fixed by the first import; every other key can be changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import Detail, InvalidSchema
from shared.parsing_limits import MAX_DETAILS
from shared.schema.features import Schema, schema_from_dict
from shared.schema.subscription import CHANGEABLE, Subscription

ROLES = ("id", "email", "label", "positive", "as_of")
#: Keys of the table that change no facts.
TABLE_KEYS = ("name", "ignore", "horizon_days", "natural_rate", "involuntary_reasons")
#: Keys of a feature that change no facts, and those that facts were read and checked by.
FEATURE_KEYS = (
    "unit", "label", "short", "actionable", "known_at_scoring", "direction", "action", "purpose", "step", "target",
)  # fmt: skip
FIXED_FEATURE_KEYS = ("kind", "whole", "missing")
#: Keys that a training reads: a model keeps to those of its own training.
TRAINED_ON = frozenset(("direction", "known_at_scoring", "horizon_days", "natural_rate", "involuntary_reasons"))
SHOWN_NOTES = 20
LONGEST = 80


@dataclass(frozen=True)
class Change:
    """A key with another value.

    Attributes
    ----------
    feature
        The feature whose key it is; None for a key of the table.
    key
        The key's name.
    old, new
        Both values; None where the key is not set.
    """

    feature: str | None
    key: str
    old: Any
    new: Any

    @property
    def field(self) -> str:
        """The key with its place, as in `features.tenure.label`."""
        return self.key if self.feature is None else f"features.{self.feature}.{self.key}"

    @property
    def needs_training(self) -> bool:
        """Whether the change takes effect with the next training only."""
        return self.key in TRAINED_ON

    def __str__(self) -> str:
        return f"{self.field}: {shown(self.old)} -> {shown(self.new)}"


def shown(value: Any) -> str:
    """Return a value as a schema spells it, cut where it is long; `none` where it is not set."""
    if value is None:
        return "none"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def changes(present: Schema, wanted: Schema) -> tuple[Change, ...]:
    """Return the differences that change no facts: those of the table, then those of the features that both have."""
    return (
        *_of_table(present, wanted, TABLE_KEYS),
        *_of_subscription(present, wanted, CHANGEABLE),
        *_of_features(present, wanted, FEATURE_KEYS),
    )


def _of_table(present: Schema, wanted: Schema, keys: Sequence[str]) -> Iterator[Change]:
    for key in keys:
        old, new = getattr(present, key), getattr(wanted, key)
        if key == "positive":
            old, new = tuple(sorted(old)), tuple(sorted(new))
        if old != new:
            # A list is spelt as in a file.
            yield Change(None, key, *(list(each) if isinstance(each, tuple) else each for each in (old, new)))


def _of_subscription(present: Schema, wanted: Schema, roles: Sequence[str]) -> Iterator[Change]:
    for role in roles:
        old, new = getattr(present.subscription, role), getattr(wanted.subscription, role)
        if old != new:
            yield Change(None, f"subscription.{role}", old, new)


def _of_features(present: Schema, wanted: Schema, keys: Sequence[str]) -> Iterator[Change]:
    for name, about in present.features.items():
        other = wanted.features.get(name)
        for key in keys if other is not None else ():
            old, new = getattr(about, key), getattr(other, key)
            if old != new:
                yield Change(name, key, old, new)


def edited(present: Schema, wanted: Schema) -> tuple[Schema, tuple[Change, ...]]:
    """Return the present schema with every change that the wanted one asks for, and the changes.

    The features keep their order, which is that of the model's inputs.

    Raises
    ------
    InvalidSchema
        The wanted schema changes something that facts depend on; with one detail for each.
    """
    refused = list(_refused(present, wanted))
    if refused:
        raise InvalidSchema.of(refused[:MAX_DETAILS], lead="The schema can't be changed like this. ")
    features = {name: wanted.features[name].model_dump(exclude_none=True) for name in present.features}
    return schema_from_dict({**wanted.as_dict(), "features": features}), changes(present, wanted)


def _refused(present: Schema, wanted: Schema) -> Iterator[Detail]:
    fixed = "the facts were read by it, so the first import fixes it"
    yield from (_detail(each, fixed) for each in _of_table(present, wanted, ROLES))
    roles = [role for role in Subscription.model_fields if role not in CHANGEABLE]
    yield from (_detail(each, fixed) for each in _of_subscription(present, wanted, roles))
    for name in wanted.features:
        if name not in present.features:
            told = f"feature {name!r} is new: `retainstream schema extend FILE` (POST /api/schema/extend) adds it."
            yield {"field": f"features.{name}", "message": told}
    for name in present.features:
        if name not in wanted.features:
            told = (
                f"feature {name!r} is missing in the given schema, and facts have it: keep it there; "
                f"`retainstream train --without {name}` leaves it out of a model."
            )
            yield {"field": f"features.{name}", "message": told}
    for each in _of_features(present, wanted, FIXED_FEATURE_KEYS):
        yield _detail(each, "the facts were checked by it, so it stays as it was when the feature was added")


def _detail(change: Change, why: str) -> Detail:
    return {
        "field": change.field,
        "message": f"`{change.field}` is {shown(change.old)}, and {shown(change.new)} in the given schema: {why}.",
    }


def difference_notes(present: Schema, given: Schema) -> list[str]:
    """Return a note for each key in which the schema of a file differs from the base's, which is kept."""
    notes = [
        f"{_place(each)} is {shown(each.new)} in this file's schema and {shown(each.old)} in the base, which keeps "
        "its own; `retainstream schema edit FILE` changes it."
        for each in changes(present, given)
        if each.key != "ignore"
    ]
    notes += [
        f"{_place(each)} is {shown(each.new)} in this file's schema and {shown(each.old)} in the base: the rows of "
        "this file were checked by its own."
        for each in _of_features(present, given, FIXED_FEATURE_KEYS)
    ]
    if len(notes) > SHOWN_NOTES:
        further = f"The schemas differ in {len(notes) - SHOWN_NOTES} further keys."
        return [*notes[:SHOWN_NOTES], further]
    return notes


def _place(change: Change) -> str:
    return f"`{change.key}`" if change.feature is None else f"{change.feature}: `{change.key}`"
