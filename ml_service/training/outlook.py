"""The outlook of a training: longer horizons and causes, fitted, judged and reported.

Law: what is not judged on later dates than it was fitted to is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ml_service.data.dataset import Snapshot
from ml_service.data.splitting import Split
from ml_service.evaluation.level import ratio_warning
from ml_service.model.outlook import Horizon, OutlookModel
from ml_service.training.causes import fit_causes
from ml_service.training.fitting import Fitted
from ml_service.training.horizons import fit_horizons
from ml_service.training.rolling_origins import Origin
from shared.contracts.api import HORIZON_DAYS, LevelSpread
from shared.contracts.outlook import Calibration, OutlookReport

OTHER_DAYS = f"The label of the table does not say who left within {HORIZON_DAYS} days."


def fit_outlook(
    snapshot: Snapshot, split: Split, fitted: Fitted, origins: Sequence[Origin], spread: LevelSpread | None
) -> tuple[OutlookModel, OutlookReport]:
    """Fit and judge the horizons and the causes of a model.

    Parameters
    ----------
    snapshot : Snapshot
    split : Split
        Training and test rows of the snapshot.
    fitted : Fitted
        Just now, to the snapshot.
    origins : sequence of Origin
        Origins of the live model, the newest first.
    spread : LevelSpread or None
        Spread of the level between periods.

    Returns
    -------
    outlook : OutlookModel
        Outlook of the live model.
    report : OutlookReport
    """
    horizons, checks = fit_horizons(snapshot, split, fitted, origins, spread)
    causes = fit_causes(snapshot, split, fitted.sibling, fitted.live, spread)
    unsaid = None if snapshot.horizon_days == HORIZON_DAYS else OTHER_DAYS
    why = causes.model if isinstance(causes.model, str) else None
    report = OutlookReport(
        horizons=checks,
        causes=causes.checks,
        causes_reason=why,
        reasons_known=causes.reasons_known,
        score=Calibration(**fitted.live.calibration.as_dict()),
    )
    return OutlookModel(Horizon(HORIZON_DAYS, reason=unsaid), tuple(horizons), causes.model), report


def outlook_warnings(report: OutlookReport) -> Iterator[str]:
    """Write a sentence for each horizon and cause whose level is off."""
    checks = [(f"Within {each.days} days", each.judged) for each in report.horizons if each.judged is not None]
    checks += [(f"Within {HORIZON_DAYS} days, {each.cause}", each.judged) for each in report.causes]
    for what, judged in checks:
        sentence = ratio_warning(what, judged)
        if sentence is not None:
            yield sentence
