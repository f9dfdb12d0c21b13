"""Findings of the leak guard: features that give the outcome away, and the values by which they do.

Law: a finding names its feature and has its figures in one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LeaverValues:
    """Values that leavers have much more often than stayers.

    Attributes
    ----------
    at_least, at_most : float or None
        The limit of a number, from one side.
    codes : tuple of int
        Category codes.
    share, of_stayers : float
        Share of all training rows, and of those who stayed, with such a value.
    """

    share: float
    of_stayers: float
    at_least: float | None = None
    at_most: float | None = None
    codes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Leak:
    """A feature that gives the outcome away, or nearly does.

    Attributes
    ----------
    name : str
    evidence : str
        A sentence with the figures.
    refuses : bool
        The evidence is strong enough to refuse the training; otherwise it is a caution.
    values : LeaverValues or None
        The values that the evidence is about, if it is about some.
    beside : tuple of str
        Other features whose values the evidence needs.
    """

    name: str
    evidence: str
    refuses: bool = True
    values: LeaverValues | None = None
    beside: tuple[str, ...] = ()
