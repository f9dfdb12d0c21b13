"""The plan of an accepted import: all that is needed to finish it, by whichever process.

Law: it has plain values only, which the import's row keeps as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """All that is needed to finish one import.

    Attributes
    ----------
    staging
        The path of its staged rows; `file` is that of the upload they were read from.
    present
        The base's schema, as plain values; `given` is that of the file, the same or an earlier one.
    corrects
        Facts of these dates were known before: the new ones carry today's date as `known_at`.
    lifetimes
        The base has lifetimes and the file has none: its customers without a running one get one from its date on.
    absent_on
        The date of a full snapshot whose absent customers are declared gone; None where they are not.
    """

    staging: str
    present: dict[str, Any]
    given: dict[str, Any]
    roles: list[str]
    several: bool
    corrects: bool
    lifetimes: bool
    absent_on: str | None
    today: str
    now: str
    file: str | None
    result: dict[str, Any]
