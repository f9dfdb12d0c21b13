"""The documented risk levels and the probabilities between them (docs/definitions.md#risk-level).

Lists, exports, segments and the page use these.
"""

from __future__ import annotations

from typing import Literal

RiskLevel = Literal["High", "Medium", "Low"]
LEVELS: tuple[RiskLevel, ...] = ("High", "Medium", "Low")
#: A probability above the first is a high risk, above the second a medium risk; the rest is low.
HIGH_ABOVE, MEDIUM_ABOVE = 0.8, 0.6


def risk_level(probability: float) -> RiskLevel:
    """Return the level of a churn probability in [0, 1]."""
    return "High" if probability > HIGH_ABOVE else "Medium" if probability > MEDIUM_ABOVE else "Low"
