"""The plan of an accepted import: everything that any process needs to finish it.

Law: it has plain values only, which the import's row stores as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """Everything needed to finish one import.

    Attributes
    ----------
    staging
        The path of its staged rows; `file` is the path of the upload they were read from.
    present
        The base's schema, as plain values; `given` is the file's schema, the same or an earlier one.
    corrects
        The database already has facts of these dates: new facts of the same customers get today's date as `known_at`.
    lifetimes
        The base has lifetimes and the file has none: customers without a running lifetime get one from its date on.
    absent_on
        The date of a full snapshot, whose absent customers are declared gone; None if they are not.
    later_fulls
        Dates of such snapshots imported before that lie after the file's first date: who is in the file but not in
        them has left.
    complete_to
        The day up to which the importer says that all ends are known.
    ends_are_of_today
        The ends in the file became known today, whatever the dates of its rows: none was announced on these dates.
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
    later_fulls: list[str] = field(default_factory=list)
    complete_to: str | None = None
    ends_are_of_today: bool = False
