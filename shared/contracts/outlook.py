"""The outlook of a score: leaving within further horizons and by cause, and how a report judges both.

Law: what a model can't say is null, with the reason.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.contracts.report import Interval, Probability, Strict

#: Days of the further horizons, ascending; the first horizon is that of the score itself.
LATER_HORIZONS = (60, 90, 180)


class WithinDays(Strict):
    """Probability of leaving within so many days."""

    days: int
    probability: Probability | None
    reason: str | None = Field(description="Why the probability is null")


class ByCause(Strict):
    """The score by the cause of leaving: both add up to it."""

    voluntary: Probability | None
    involuntary: Probability | None = Field(description="Payments fail until the subscription ends")
    reason: str | None = Field(description="Why both are null")


class Outlook(Strict):
    """Further horizons and causes of one row, on request; see docs/definitions.md#horizons."""

    within: list[WithinDays] = Field(description="Ascending, never falling; the first is the score's own horizon")
    causes: ByCause


class Judged(Strict):
    """Probabilities beside what happened on later dates than the calibration knew."""

    n: int
    period: tuple[str, str] = Field(description="First and last date of the rows")
    left: int
    ratio: float = Field(description="Leavers / expected leavers")
    ratio_interval: Interval = Field(description="95 %: chance, by customer, and the spread of the level")
    ece: float
    auc: Probability | None


class Calibration(Strict):
    """The three numbers of a beta calibration; see docs/definitions.md#calibration."""

    a: float
    b: float
    c: float


class HorizonCheck(Strict):
    """One horizon: judged, or left out with the reason."""

    days: int
    judged: Judged | None
    reason: str | None
    calibration: Calibration | None = Field(None, description="Of the live model's margins; null where left out")


class CauseCheck(Strict):
    """Leaving within the score's own days by one cause, judged."""

    cause: Literal["voluntary", "involuntary"]
    judged: Judged


class OutlookReport(Strict):
    """How the outlook of a model was judged."""

    horizons: list[HorizonCheck]
    causes: list[CauseCheck] = Field(description="Empty where the reason says why")
    causes_reason: str | None
    reasons_known: Probability | None = Field(description="Share of the leavers in training whose end has a reason")
    score: Calibration | None = Field(None, description="Of the score itself, on the same margins")
