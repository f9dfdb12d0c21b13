"""The feature schema: the meaning of the columns of a customer table, read and checked.

Law: both services ask this module what a feature is; neither keeps a list of its own.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, StrictFloat, StrictInt, ValidationError, model_validator

from shared.errors import Detail, InvalidSchema, invalid
from shared.parsing_limits import MAX_COLUMNS, MAX_DETAILS, MAX_POSITIVE, MAX_SCHEMA_CHARACTERS, refuse_hard_toml
from shared.schema.subscription import CHANGEABLE, DAYS_OF, Frozen, Name, Subscription

BUILT_IN_PATH = Path(__file__).parent / "retainstream.toml"
MAX_FEATURES = 500
MAX_HORIZON_DAYS = 730


class Feature(Frozen):
    """One input of the model."""

    kind: Literal["number", "category"]
    unit: str | None = None
    label: str | None = Field(None, description="For people; the name if absent")
    short: str | None = Field(None, description="Short name; the label if absent")
    whole: bool = Field(False, description="Numbers are whole: counts, full months")
    missing: bool = Field(True, description="May be missing")
    actionable: bool = Field(False, description="Somebody in the business can change it")
    known_at_scoring: bool = Field(False, description="Its value is known whenever customers are scored: no leak")
    direction: Literal["up", "down", "none"] = Field(
        "none", description="Whether larger values may only raise the score, or only lower it"
    )
    action: str | None = Field(None, description="Recommended action, as a sentence")
    purpose: str | None = Field(None, description="Purpose of the action: it aims at ...")
    step: float | None = Field(None, description="The most that one action moves it, in units")
    target: float | str | None = Field(
        None, description="Value that no action goes beyond; of a category, the value to aim at"
    )


class Schema(Frozen):
    """A customer table's columns and what they mean.

    Features keep the order of the file; that order is the order of the model's inputs.
    """

    name: str | None = Field(None, max_length=80)
    id: Name | None = None
    email: Name | None = None
    label: Name | None = None
    positive: tuple[str, ...] = Field(
        (), max_length=MAX_POSITIVE, description="Values of the label that mean churned, as text"
    )
    ignore: tuple[Name, ...] = Field((), max_length=MAX_COLUMNS)
    as_of: Name | None = None
    horizon_days: StrictInt | None = Field(
        None, ge=1, le=MAX_HORIZON_DAYS, description="Without dates: days within which the label's leavers left"
    )
    natural_rate: StrictFloat | None = Field(
        None, gt=0, lt=1, description="Without dates: share of all customers who leave, where the table is a sample"
    )
    involuntary_reasons: tuple[Name, ...] = Field(
        ("involuntary", "payment_failed"),
        max_length=MAX_POSITIVE,
        description="Values of `end_reason` that mean that dunning ran out; every other one is the customer's wish",
    )
    subscription: Subscription = Subscription()
    features: dict[Name, Feature]

    @model_validator(mode="before")
    @classmethod
    def _is_not_too_wide(cls, raw: Any) -> Any:
        features = raw.get("features") if isinstance(raw, Mapping) else None
        if isinstance(features, Mapping) and len(features) > MAX_FEATURES:
            raise ValueError(f"features: at most {MAX_FEATURES} are supported, found {len(features)}")
        return raw

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not self.features:
            raise ValueError('features: at least one [features."name"] section is needed')
        if self.label is not None and not self.positive:
            raise ValueError('positive: say which values of the label mean churned, such as positive = ["Yes"]')
        if self.label is None and self.positive:
            raise ValueError("label: `positive` is given but no `label` column")
        for role, column in {"id": self.id, "label": self.label, "as_of": self.as_of, "email": self.email}.items():
            if column is not None and column in self.features:
                raise ValueError(f"{role}: column {column!r} can't be a feature too: it would leak or identify")
        for role in ("start", "end", "end_reason"):
            column = getattr(self.subscription, role)
            if column is not None and column in self.features:
                raise ValueError(
                    f"subscription.{role}: column {column!r} can't be a feature too: it reveals the outcome"
                )
        self._require_announced()
        both = sorted(set(self.ignore) & set(self.features))
        if both:
            raise ValueError(f"ignore: {both[0]!r} is both ignored and a feature")
        return self

    def _require_announced(self) -> None:
        renews, end = self.subscription.auto_renew, self.subscription.contract_end
        if renews is not None and renews not in self.features:
            raise ValueError(f"subscription.auto_renew: there is no feature {renews!r}; it must be one, to be kept")
        told = self.features.get(end or "")
        if told is not None and (told.kind != "number" or told.unit not in DAYS_OF):
            raise ValueError(
                f"subscription.contract_end: {end!r} is a feature, so it must be a number with one of these units: "
                f"{', '.join(DAYS_OF)}; or it is a column of dates and no feature"
            )

    @property
    def contract_end_column(self) -> str | None:
        """The column of dates on which contracts end; None without one, or where a feature says it."""
        column = self.subscription.contract_end
        return column if column not in self.features else None

    @cached_property
    def _key(self) -> int:
        return hash(self.model_dump_json())

    def __hash__(self) -> int:
        return self._key

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(self.features)

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(n for n, f in self.features.items() if f.kind == "number")

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(n for n, f in self.features.items() if f.kind == "category")

    @property
    def vouched(self) -> tuple[str, ...]:
        """Features that somebody vouches for: their values are known whenever customers are scored."""
        return tuple(n for n, f in self.features.items() if f.known_at_scoring)

    @cached_property
    def wording(self) -> Mapping[str, tuple[str, str | None]]:
        """Labels and units of the features, cached for sentences."""
        return {name: (self.feature_label(name), feature.unit) for name, feature in self.features.items()}

    @cached_property
    def by_snake(self) -> Mapping[str, str]:
        """Features by snake-case name; the first wins if two collide."""
        return {snake(name): name for name in reversed(self.feature_names)}

    def is_involuntary(self, end_reason: str) -> bool:
        """Whether an end with this reason was not the customer's wish; case, spaces and hyphens don't matter."""
        return snake(end_reason) in self._involuntary

    @cached_property
    def _involuntary(self) -> frozenset[str]:
        return frozenset(map(snake, self.involuntary_reasons))

    def feature_label(self, name: str) -> str:
        """The feature's name for people."""
        return self.features[name].label or name

    def feature_short(self, name: str) -> str:
        """The feature's name for narrow places."""
        return self.features[name].short or self.feature_label(name)

    @property
    def tenure_feature(self) -> str | None:
        """The feature for time as a customer, found by name; None if absent."""
        return next((n for n in ("tenure_months", "tenure") if n in self.features), None)

    @property
    def plan_feature(self) -> str | None:
        """The feature that names the plan, if one does: the plan role, or a feature called plan."""
        column = self.subscription.plan
        return column if column in self.features else ("plan" if "plan" in self.features else None)

    def without(self, names: Iterable[str]) -> Self:
        """Return the schema without some of its features. Raises InvalidInput if that can't be."""
        left_out = set(names)
        unknown = sorted(left_out - set(self.features))
        if unknown:
            raise invalid("without", f"there is no feature named {unknown[0]!r}.")
        rest = [name for name in self.features if name not in left_out]
        if not rest:
            raise invalid("without", "every feature is left out, so there is nothing to learn from.")
        gone = {role: None for role in CHANGEABLE if getattr(self.subscription, role) in left_out}
        subscription = self.subscription.model_copy(update=gone)
        features = {name: self.features[name] for name in rest}
        return self if not left_out else self._with({"features": features, "subscription": subscription})

    def _with(self, changed: Mapping[str, Any]) -> Self:
        # `model_copy` would keep what was cached of the old values.
        return type(self).model_validate({**{name: getattr(self, name) for name in type(self).model_fields}, **changed})

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `schema_from_dict` reads them back."""
        return self.model_dump(mode="json", exclude_none=True)

    def checksum(self) -> str:
        """SHA-256 of what the columns mean; labels, actions and comments do not count."""
        meaning = [
            self.id,
            self.label,
            sorted(self.positive),
            self.as_of,
            sorted(self.subscription.fixed().items()),
            [(n, f.kind) for n, f in self.features.items()],
        ]
        return hashlib.sha256(repr(meaning).encode()).hexdigest()


def schema_from_dict(raw: Mapping[str, Any]) -> Schema:
    """Check a schema that came as plain values.

    Raises
    ------
    InvalidSchema
        With one detail for each thing that is wrong.
    """
    try:
        return Schema.model_validate(dict(raw))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:MAX_DETAILS]
        details = [_detail(e["loc"], e["msg"]) for e in found]
        raise InvalidSchema.of(details, lead="The schema can't be used: ") from None


def _detail(loc: Iterable[int | str], message: str) -> Detail:
    where = ".".join(str(part) for part in loc)
    text = message.removeprefix("Value error, ")
    if not where and ": " in text:
        where, text = text.split(": ", 1)
    return {"field": where or "schema", "message": f"{where}: {text}" if where else text}


def parse_schema(text: str) -> Schema:
    """Read a schema written in TOML.

    Raises
    ------
    InvalidSchema
        If it is not valid TOML (names the line), is too slow to read, or has a wrong field.
    """
    refuse_hard_toml(text)
    try:
        raw = tomllib.loads(text)
    except RecursionError:
        raise InvalidSchema("The schema is not valid TOML: it is nested too deeply.") from None
    except ValueError as error:  # TOMLDecodeError, and a number or date that is none
        raise InvalidSchema(f"The schema is not valid TOML: {error}") from None
    return schema_from_dict(raw)


def load_schema(path: Path | str) -> Schema:
    """Read a schema file; `retainstream` names the built-in one."""
    if str(path) == "retainstream":
        return built_in_schema()
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            text = file.read(MAX_SCHEMA_CHARACTERS + 1)
    except FileNotFoundError:
        raise InvalidSchema(f"There is no schema file {path}; `retainstream schema infer FILE` makes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSchema(f"The schema file {path} can't be read: {error}") from None
    return parse_schema(text)


@cache
def built_in_schema() -> Schema:
    """The schema of the documented customer table."""
    return parse_schema(BUILT_IN_PATH.read_text(encoding="utf-8"))


def snake(name: str) -> str:
    """A column name made safe for SQL and JSON paths: `Call  Failure` becomes `call_failure`.

    >>> snake("Call  Failure"), snake("watch_time_hours"), snake("2nd Line")
    ('call_failure', 'watch_time_hours', 'f_2nd_line')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_") or "f"
    return plain if plain[0].isalpha() else f"f_{plain}"
