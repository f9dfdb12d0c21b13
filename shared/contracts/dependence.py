"""How the points of a feature go with its value: what the ML service answers, and the gateway hands on.

Law: a group says how many rows it holds; groups that are too small to say anything are counted, and not shown.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.contracts.report import Strict

#: Rows from which a group is shown.
LEAST_ROWS = 10


class PointsOfGroup(Strict):
    """The points of the rows with one value, or with a number in one band."""

    value: str | None = Field(description="Value of a category; null for a band of numbers")
    lowest: float | None = Field(description="Smallest number of the band; null for a category and for missing values")
    highest: float | None = Field(description="Largest number of the band")
    n: int
    mean: float = Field(description="Mean of the points, which are changes of probability in [-1, 1]")
    low: float = Field(description="Their first decile")
    high: float = Field(description="Their ninth decile")


class PointsByValue(Strict):
    """One feature: bands in ascending order, or categories from the highest mean down; missing values last."""

    feature: str
    kind: Literal["number", "category"]
    groups: list[PointsOfGroup]
    left_out: int = Field(description="Rows in groups of fewer than 10, which are not shown")


class DependenceAnswer(Strict):
    """The points of every feature by its value, the most important feature first."""

    model_version: str
    rows: int
    features: list[PointsByValue]
