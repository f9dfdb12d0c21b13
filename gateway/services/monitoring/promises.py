"""The performance that each version's training promised.

Law: a promise is read from the report of the version that made it; only the spread of the level may be a later one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from database.engine.session import Connection
from database.models import models
from shared.contracts.report import LevelSpread

Interval = tuple[float, float]


class Promise(BaseModel):
    """A version's figures on its held-out rows, as training reported them."""

    version: str
    n: int
    prevalence: float
    auc: float | None
    auc_interval: Interval | None
    log_loss: float
    brier: float
    ece: float
    lift_at_10_percent: float | None
    precision: float | None
    recall: float | None
    observed_expected: float | None
    observed_expected_interval: Interval | None
    slope: float | None
    slope_interval: Interval | None


@dataclass(frozen=True)
class Said:
    """The promise of a version, and the spread of its level.

    Attributes
    ----------
    level
        The spread of the level: its own, or that of the next later version that knows it. A version that was trained
        on too few periods can't tell; the level is the base's, so a later spread stands in. None if nobody knows it.
    level_of
        The version whose spread it is.
    """

    promise: Promise
    level: LevelSpread | None
    level_of: str | None


def promises(connection: Connection) -> dict[str, Said]:
    """Return what each version with a report promised."""
    level: LevelSpread | None = None
    level_of: str | None = None
    found: dict[str, Said] = {}
    for model in models.versions(connection):
        if not model.report:
            continue
        own = model.report.get("level")
        if own is not None and own["sigma"] is not None:
            level, level_of = LevelSpread.model_validate(own), model.version
        found[model.version] = Said(_promise(model.version, model.report), level, level_of)
    return found


def _promise(version: str, report: Mapping[str, Any]) -> Promise:
    test, check = report["test"], report.get("calibration") or {}
    told = ("n", "prevalence", "auc", "log_loss", "brier", "ece", "lift_at_10_percent", "precision", "recall")
    return Promise(
        version=version,
        **{name: test[name] for name in told},
        auc_interval=(report.get("intervals") or {}).get("auc"),
        observed_expected=check.get("ratio"),
        observed_expected_interval=check.get("ratio_interval"),
        slope=check.get("slope"),
        slope_interval=check.get("slope_interval"),
    )
