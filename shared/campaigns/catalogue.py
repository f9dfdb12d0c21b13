"""The catalogue of actions: what each costs, whom it is for, what it aims at, how often it may be used.

Law: costs stand in the catalogue's TOML file alone. An effect there is an assumption; no action looks at age or gender.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import InvalidInput
from shared.schema.features import Schema
from shared.validation import details_of

BUILT_IN_PATH = Path(__file__).with_name("catalogue.toml")
#: The action that costs nothing and changes nothing: it is always possible.
NOTHING = "nothing"
#: Features that no action may look at, as words of their names.
PROTECTED = frozenset({"age", "gender", "sex", "birthday", "birthdate", "birth"})
MAX_CHARACTERS = 200_000
#: The least that a customer who stays may be worth: costs are divided by it. The most that any amount may be.
LEAST_WORTH, MOST_MONEY = 0.01, 1e9
Money = Annotated[float, Field(ge=0, le=MOST_MONEY, allow_inf_nan=False)]


class Part(BaseModel):
    """A table of the catalogue; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Defaults(Part):
    """The worth of a customer who stays, and the costs of an action that states none."""

    clv: Annotated[float, Field(ge=LEAST_WORTH, le=MOST_MONEY, allow_inf_nan=False)]
    offer: Money
    contact: Money
    gamma_alpha: Annotated[float, Field(gt=0)]
    gamma_beta: Annotated[float, Field(gt=0)]


class Rule(Part):
    """A condition on a feature: within a range, both ends included, or one of some values."""

    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] = ()

    def holds(self, value: str | float | None) -> bool:
        """Return whether a value passes; a missing value does not."""
        if value is None or (self.values and value not in self.values):
            return False
        bounds = (self.min, self.max)
        if bounds == (None, None):
            return True
        return (
            not isinstance(value, str)
            and (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
        )


class Action(Part):
    """An action.

    Attributes
    ----------
    aims_at
        Features of the schema.
    eligible
        Conditions on features: the action is for customers who pass all of them.
    assumed_effect
        Share that stays of the contacted customers who would otherwise leave: an assumption.
    at_most, per_days
        A customer is contacted at most so many times within so many days.
    """

    label: str = Field(min_length=1, max_length=100)
    text: str = Field(min_length=1, max_length=500)
    aims_at: tuple[str, ...] = ()
    eligible: Mapping[str, Rule] = Field(default_factory=dict)
    offer: Money
    contact: Money
    assumed_effect: float = Field(ge=-1, le=1)
    at_most: int = Field(1, ge=1, le=1000)
    per_days: int = Field(30, ge=1, le=3650)

    @property
    def features(self) -> tuple[str, ...]:
        """The features that its conditions need."""
        return tuple(self.eligible)

    def lacking(self, schema: Schema) -> list[str]:
        """Return the features that the action needs and a customer base does not have."""
        return [name for name in dict.fromkeys((*self.aims_at, *self.features)) if name not in schema.features]

    def unmet(self, facts: Mapping[str, str | float | None]) -> list[str]:
        """Return the features whose conditions a customer does not pass."""
        return [name for name, rule in self.eligible.items() if not rule.holds(facts.get(name))]


class Catalogue(Part):
    """All actions by their names, without `nothing`."""

    defaults: Defaults
    actions: Mapping[str, Action]

    @model_validator(mode="after")
    def _refuse_protected(self) -> Catalogue:
        for name, action in self.actions.items():
            if name == NOTHING:
                raise ValueError("`nothing` is always possible and needs no entry")
            for feature in (*action.aims_at, *action.features):
                if PROTECTED & set(re.split(r"[^a-z]+", feature.lower())):
                    raise ValueError(f"the action {name!r} looks at {feature!r}: no action may look at age or gender")
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the actions, `nothing` last."""
        return (*self.actions, NOTHING)


def parse_catalogue(text: str) -> Catalogue:
    """Read a catalogue.

    Raises
    ------
    InvalidInput
        The text is no TOML, or a value can't be used.
    """
    try:
        return Catalogue.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"The catalogue of actions is no TOML: {error}") from None
    except ValidationError as error:
        raise InvalidInput.of(details_of(error), lead="The catalogue of actions: ") from None


def load_catalogue(path: Path | None) -> Catalogue:
    """Return the catalogue of a file, or the built-in one. Raises InvalidInput."""
    if path is None:
        return built_in_catalogue()
    try:
        with path.open(encoding="utf-8-sig") as file:
            return parse_catalogue(file.read(MAX_CHARACTERS))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The catalogue of actions {path} can't be read: {error}") from None


@cache
def built_in_catalogue() -> Catalogue:
    """The catalogue of the documented streaming service."""
    return parse_catalogue(BUILT_IN_PATH.read_text(encoding="utf-8"))
