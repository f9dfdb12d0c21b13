"""Survival by the displayed scores: the later horizons of the published run's model.

Law: a model whose report does not hold the calibrations has no curve, and no other one in its place.
"""

from __future__ import annotations

from sqlalchemy import Connection

from database.models import models
from database.scoring import runs
from shared.contracts.outlook import OutlookReport
from shared.horizon_curve import HorizonCurve, curve_of


def curve(connection: Connection) -> HorizonCurve | None:
    """Return the curve of the published run; None where its model's report is older."""
    run = runs.published(connection)
    model = models.get(connection, run.model_version) if run else None
    if run is None or model is None:
        return HorizonCurve()
    stored = model.figures.get("outlook")
    return curve_of(None if stored is None else OutlookReport.model_validate(stored), model.level(run.as_of))


def survival(connection: Connection) -> HorizonCurve:
    """Return the curve to add up by: that of the score alone where there is none."""
    return curve(connection) or HorizonCurve()
