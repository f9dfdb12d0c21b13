"""Reports of drift: how a run's customers differ from training rows of the same season, and what to look at.

Law: an alert needs an effect of a stated size, never a p-value, and names the features that show it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict, Field

from database.engine.session import Connection
from database.monitoring import drift_rows

#: Effects from which somebody should look: how well rows can be told apart (all features, or one), PSI, missing
#: values in points, unknown categories. Unchanged simulated years stay below .57, .56 and .09.
AUC_AT, PSI_AT, MISSING_AT, UNKNOWN_AT = 0.60, 0.25, 0.05, 0.01
#: With fewer rows on either side, nothing is alerted.
MIN_ROWS = 200


class FeatureReport(BaseModel):
    """How the values of one feature differ."""

    feature: str
    psi: float = Field(description="Population stability index; missing is a bin of its own")
    auc: float = Field(
        description="AUC with which it alone tells scored from training rows, out of fold; 0.5: not at all"
    )
    missing: float = Field(description="Share of the scored rows without a value")
    missing_before: float = Field(description="Share of the training rows without a value")
    unknown: float | None = Field(description="Share of the scored rows with a category that no training row has")


class DriftReport(BaseModel):
    """How the customers of a run differ from training rows."""

    model_config = ConfigDict(protected_namespaces=())

    run: int
    as_of: str
    version: str
    reference: str = Field(description="Date of the training rows")
    same_season: bool = Field(description="Whether that date is within 20 days of the run's, in an earlier year")
    n: int = Field(description="Scored rows compared: a sample of at most about 20,000")
    trained_n: int
    auc: float = Field(description="AUC with which all features tell scored from training rows, out of fold")
    score_psi: float = Field(description="PSI of the scores, of this version in both")
    features: list[FeatureReport] = Field(description="From the one that tells the rows apart best")


class Drift(BaseModel):
    """The newest reports of drift, and what to look at."""

    reports: list[DriftReport] = Field(description="Newest run first")
    alerts: list[str] = Field(description="The newest run's alerts")
    note: str | None = Field(description="Why there is none")


NO_REPORT = (
    "No run was compared yet: a run of all customers is, where the model was trained on dated rows (facts of a date, "
    "and subscriptions)."
)


def read(connection: Connection, limit: int) -> Drift:
    """Return the newest reports, at most `limit`."""
    reports = [DriftReport.model_validate(each) for each in drift_rows.newest(connection, limit)]
    return Drift(
        reports=reports,
        alerts=list(alerts(reports[0])) if reports else [],
        note=None if reports else NO_REPORT,
    )


def alerts(report: DriftReport) -> Iterator[str]:
    """Yield a sentence for each effect that is large enough; none where few rows make large effects by chance."""
    if min(report.n, report.trained_n) < MIN_ROWS:
        return
    if report.auc >= AUC_AT:
        top = ", ".join(_best(report.features))
        yield f"Scored rows can be told from training rows (AUC {report.auc:.2f}, {AUC_AT:.2f} is the limit): by {top}."
    for each in report.features:
        if each.psi >= PSI_AT or each.auc >= AUC_AT:
            yield f"{each.feature} has other values than in training: PSI {each.psi:.2f}, AUC {each.auc:.2f}."
        if abs(each.missing - each.missing_before) >= MISSING_AT:
            now, before = f"{each.missing:.1%}", f"{each.missing_before:.1%}"
            yield f"{each.feature} is missing for {now} of rows; in training for {before}."
        if each.unknown is not None and each.unknown >= UNKNOWN_AT:
            yield f"{each.feature} has a value that training did not know for {each.unknown:.1%} of rows."
    if report.score_psi >= PSI_AT:
        yield f"The scores are distributed otherwise than on training rows: PSI {report.score_psi:.2f}."


def _best(features: Sequence[FeatureReport]) -> list[str]:
    """Return the features that tell the most alone: those with at least half the best one's lead over 0.5."""
    lead = features[0].auc - 0.5
    return [each.feature for each in features[:3] if each.auc - 0.5 >= lead / 2]
