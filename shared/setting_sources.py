"""Where the settings of a process come from: the environment, `.env` or defaults; and misspelt names in `.env`.

Law: a secret's value is never told. A name that is one slip away from a setting is refused; any other unknown name may
belong to another program that reads the same file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

from shared.errors import Detail

FILE = ".env"
Source = Literal["environment", ".env", "default"]
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True)
class InForce:
    """A setting as a process uses it.

    Attributes
    ----------
    name
        The variable that sets it, or that would.
    value
        As text; None where it is unset or a secret.
    source
        Where its value comes from.
    is_secret
        Whether its value is withheld.
    """

    name: str
    value: str | None
    source: Source
    is_secret: bool


def names_of(field: FieldInfo) -> tuple[str, ...]:
    """Return the variables that set a field, the documented one first."""
    alias = field.validation_alias
    return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (str(alias),)


def in_force(settings: BaseSettings, derived: Mapping[str, object] = MappingProxyType({})) -> list[InForce]:
    """Return every setting with what set it, in the order of the class.

    Parameters
    ----------
    derived
        Values that hold where fields are unset, by field.
    """
    kind = type(settings)
    given: dict[Source, Mapping[str, str | None]] = {
        "environment": EnvSettingsSource(kind).env_vars,
        ".env": DotEnvSettingsSource(kind).env_vars,
    }
    found = []
    for name, field in kind.model_fields.items():
        names = names_of(field)
        value = getattr(settings, name)
        value = derived.get(name) if value is None else value
        is_secret = SecretStr in (field.annotation, *get_args(field.annotation))
        source, variable = next(
            ((source, each) for source, variables in given.items() for each in names if each.lower() in variables),
            ("default", names[0]),
        )
        found.append(InForce(variable, None if is_secret else _text(value), source, is_secret))
    return found


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return _CREDENTIALS.sub("***@", str(value))


def unknown_names(kind: type[BaseSettings]) -> list[str]:
    """Return the names in `.env` that set nothing of these settings."""
    known = {name.lower() for field in kind.model_fields.values() for name in names_of(field)}
    return sorted(name.upper() for name in DotEnvSettingsSource(kind).env_vars if name not in known)


def slips(kind: type[BaseSettings]) -> list[Detail]:
    """Return a fault for each name in `.env` that is one slip away from a setting's name."""
    known = [name for field in kind.model_fields.values() for name in names_of(field)]
    return [
        {"field": name, "message": f"unknown setting {name} in {FILE}; did you mean {meant}? Correct it or take it out"}
        for name in unknown_names(kind)
        if (meant := _meant(name, known)) is not None
    ]


def _meant(name: str, known: Iterable[str]) -> str | None:
    return next((each for each in known if is_one_slip(name, each)), None)


def is_one_slip(one: str, other: str) -> bool:
    """Return whether one letter too many, too few or wrong, or two letters in the wrong order, tell two names apart.

    Farther names are common in files that programs share: DATABASE_URL beside DATABASE_PATH.

    >>> is_one_slip("PROT", "PORT"), is_one_slip("PORTS", "PORT"), is_one_slip("NODE_VERSION", "MODEL_VERSION")
    (True, True, False)
    """
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    one, other = one[start:], other[start:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return (one != other and len(one) <= 1 and len(other) <= 1) or (len(one) == 2 and one == other[::-1])
