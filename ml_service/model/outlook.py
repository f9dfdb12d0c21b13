"""The outlook of a model: one calibration per further horizon, and the share of leavers whose end is involuntary.

Law: probabilities never fall from one horizon to the next, and those of both causes add up to the score.

A horizon uses the margins of the score's own trees, so it has no trees to itself. A booster of leavers alone tells
the two causes apart: the score times its answer can't exceed the score, and leavers whose reason nobody knows don't
bias it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb

from ml_service.arrays import Floats
from ml_service.model.calibration import BetaCalibration
from ml_service.model.trees import boosting
from shared.contracts.api import HORIZON_DAYS
from shared.contracts.outlook import LATER_HORIZONS, ByCause, Outlook, WithinDays
from shared.schema.features import Schema

CAUSE_FILE = "involuntary.ubj"
OLDER = "The model was trained before there were horizons and causes: train again."


@dataclass(frozen=True)
class Horizon:
    """A calibration of the margins, or the reason why there is none."""

    days: int
    calibration: BetaCalibration | None = None
    reason: str | None = None


@dataclass(frozen=True)
class CauseModel:
    """The probability that the end of a leaver is involuntary."""

    booster: xgb.Booster
    calibration: BetaCalibration

    def share(self, schema: Schema, values: Floats, threads: int) -> Floats:
        """Compute it for rows of the model's matrix, whether they leave or not; shape (n_rows,)."""
        return self.calibration(boosting.margins(schema, self.booster, values, threads))


@dataclass(frozen=True)
class OutlookModel:
    """Horizons and causes of a model.

    Attributes
    ----------
    own : Horizon
        Horizon of the score itself, which needs no calibration; its reason says why its days are not known.
    later : tuple of Horizon
        Ascending.
    causes : CauseModel or str
        The reason, where there is no model.
    """

    own: Horizon
    later: tuple[Horizon, ...]
    causes: CauseModel | str

    @classmethod
    def without(cls, reason: str, *, own_reason: str | None = None) -> OutlookModel:
        """An outlook that gives the reason for everything but the score itself."""
        later = tuple(Horizon(days, reason=reason) for days in LATER_HORIZONS)
        return cls(Horizon(HORIZON_DAYS, reason=own_reason), later, reason)

    def within(self, probability: Floats, margin: Floats) -> list[Floats | None]:
        """Compute the probabilities of leaving within each horizon, the own first.

        Parameters
        ----------
        probability, margin : ndarray of float64, shape (n_rows,)
            Probability and margin of the score.

        Returns
        -------
        probabilities : list of (ndarray of float64, shape (n_rows,), or None)
            Never falling over the horizons; None where the horizon has a reason.
        """
        found: list[Floats | None] = [None if self.own.reason else probability]
        highest = probability
        for horizon in self.later:
            if horizon.calibration is not None:
                highest = np.maximum(highest, horizon.calibration(margin))
            found.append(None if horizon.calibration is None else highest)
        return found

    def of_rows(self, schema: Schema, values: Floats, probability: Floats, margin: Floats) -> list[Outlook]:
        """Return the outlook of each row of the model's matrix, which a score with its margin goes with."""
        horizons, within = (self.own, *self.later), self.within(probability, margin)
        share = None if isinstance(self.causes, str) else self.causes.share(schema, values, threads=1)
        return [
            Outlook(
                within=[
                    WithinDays(
                        days=horizon.days,
                        probability=None if found is None else float(found[row]),
                        reason=horizon.reason,
                    )
                    for horizon, found in zip(horizons, within, strict=True)
                ],
                causes=self._by_cause(float(probability[row]), None if share is None else float(share[row])),
            )
            for row in range(len(probability))
        ]

    def _by_cause(self, probability: float, share: float | None) -> ByCause:
        if share is None:
            return ByCause(voluntary=None, involuntary=None, reason=str(self.causes))
        involuntary = probability * share
        return ByCause(voluntary=probability - involuntary, involuntary=involuntary, reason=None)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the booster, as JSON values."""
        return {
            "own_reason": self.own.reason,
            "horizons": [
                {
                    "days": each.days,
                    "calibration": None if each.calibration is None else each.calibration.as_dict(),
                    "reason": each.reason,
                }
                for each in self.later
            ],
            "causes": self.causes if isinstance(self.causes, str) else self.causes.calibration.as_dict(),
        }

    def files(self) -> dict[str, bytes]:
        """The booster of the causes in UBJSON, if there is one."""
        return {} if isinstance(self.causes, str) else {CAUSE_FILE: bytes(self.causes.booster.save_raw("ubj"))}

    @classmethod
    def restored(cls, stored: Mapping[str, Any] | None, files: Mapping[str, bytes]) -> OutlookModel:
        """Read what `as_dict` and `files` wrote; without it, an outlook that says that the model is older."""
        if stored is None:
            return cls.without(OLDER, own_reason=OLDER)
        causes = stored["causes"]
        if not isinstance(causes, str):
            booster = xgb.Booster()
            booster.load_model(bytearray(files[CAUSE_FILE]))
            causes = CauseModel(booster, BetaCalibration(**causes))
        later = tuple(
            Horizon(each["days"], each["calibration"] and BetaCalibration(**each["calibration"]), reason=each["reason"])
            for each in stored["horizons"]
        )
        return cls(Horizon(HORIZON_DAYS, reason=stored["own_reason"]), later, causes)
