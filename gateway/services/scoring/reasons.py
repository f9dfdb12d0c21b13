"""Explains scores: reasons in words.

Law: points are differences of probability and add up to churn_probability - base_probability; a score for changed
facts is the model's estimate, and is always labelled as such.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from database.customers.customer_base import column_names
from gateway.clients.ml_client import MLClient
from shared.contracts.api import REASON_NUMBERS, Cell, Prediction, PredictRequest, PredictResponse, Shown
from shared.contracts.fact_warnings import warning_of_row
from shared.contracts.outlook import Outlook
from shared.risk import risk_level
from shared.schema.features import Schema
from shared.schema.units import quantity

ESTIMATE = "The model's estimate of what it would predict for the changed fact; not a measured effect."


# A plain dict, like the reasons of the ML service: an answer has many of these.
class ReasonOut(TypedDict):
    """One reason, in words and points."""

    feature: str
    label: str
    value: Cell
    unit: str | None
    points: float
    text: str


class Explained(BaseModel):
    """A score with its reasons in words."""

    churn_probability: float
    confidence: float
    risk_level: str
    model_version: str
    base_probability: float
    reasons: list[ReasonOut]
    other_points: float
    time_of_year_points: float = Field(
        description="Points of the date: base_probability and all points add up to churn_probability; 0 where the "
        "model has no level for the time of year"
    )
    warnings: list[str] = Field(
        description="Facts that this score can rely on less: missing although the model's training had them for every "
        "customer, or with a value that the model does not know, which counts as missing; and given ones that the "
        "model ignores"
    )
    outlook: Outlook | None = Field(None, description="Further horizons and causes; only where they are asked for")


def in_words(schema: Schema, feature: str, value: Cell, points: float, *, known: bool = True) -> ReasonOut:
    """Return one reason as a sentence: `Payment Failures 3 failures: +8.1 points`.

    Parameters
    ----------
    known
        Whether the model knows the value.
    """
    label, unit = schema.wording[feature]
    shown = shown_value(value, unit) if known else f"{shown_value(value, unit)} (scored as missing)"
    text = f"{label} {shown}: {points * 100:+.1f} points"
    return {"feature": feature, "label": label, "value": value, "unit": unit, "points": points, "text": text}


def shown_value(value: Cell, unit: str | None) -> str:
    """Return a fact with its unit, for people."""
    if value is None:
        return "unknown"
    if isinstance(value, str | bool):
        return f"{value} {unit}" if unit else str(value)
    return quantity(value, unit)


def stored_reasons(schema: Schema, row: Mapping[str, Any]) -> list[ReasonOut]:
    """Return a ledger row's reasons, largest first; `row` has the feature columns too."""
    names, columns = schema.feature_names, column_names(schema)
    found = []
    for k in REASON_NUMBERS:
        position = row[f"reason_{k}"]
        if position is not None and position >= 0:
            name = names[position]
            found.append(in_words(schema, name, row[columns[name]], row[f"points_{k}"]))
    return found


def facts_by_feature(schema: Schema, row: Mapping[str, Any]) -> dict[str, Cell]:
    """Return a customer's present facts by feature name."""
    return {feature: row[column] for feature, column in column_names(schema).items()}


def explain(
    schema: Schema,
    facts: Mapping[str, Cell],
    answer: PredictResponse,
    at: int = 0,
    *,
    ignored: Collection[str] = (),
) -> Explained:
    """Explain one row of an ML response, whose facts these are.

    Parameters
    ----------
    ignored
        Features that the caller gave a value for and that the model does without: the response names them.
    """
    prediction: Prediction = answer.predictions[at]
    unknown = {each["feature"] for each in prediction.warnings if each["kind"] == "unknown"}
    asked = {} if prediction.outlook is None else {"outlook": prediction.outlook}
    return Explained(
        **asked,
        churn_probability=prediction.churn_probability,
        confidence=prediction.confidence,
        risk_level=risk_level(prediction.churn_probability),
        model_version=answer.model_version,
        base_probability=answer.base_probability,
        reasons=[
            in_words(schema, r["feature"], facts[r["feature"]], r["points"], known=r["feature"] not in unknown)
            for r in prediction.reasons
        ],
        other_points=prediction.other_points,
        time_of_year_points=prediction.time_of_year_points,
        warnings=[
            *([] if answer.no_level_because is None else [answer.no_level_because]),
            *(warning_of_row(schema.feature_label(each["feature"]), each) for each in prediction.warnings),
            *(_ignored(schema, name) for name in schema.feature_names if name in ignored),
        ],
    )


def _ignored(schema: Schema, feature: str) -> str:
    return f"{schema.feature_label(feature)} was left out of this model, so its value does not count."


def score(
    ml: MLClient,
    schema: Schema,
    version: str,
    facts: Sequence[Mapping[str, Cell]],
    *,
    as_of: str | None,
    row_key: int | None = None,
    reasons: Shown = "top",
    outlook: bool = False,
    request_id: str | None = None,
) -> PredictResponse:
    """Score a few rows of facts with one version; if `row_key` is given, all rows are of that customer.

    Parameters
    ----------
    as_of
        Date of the score, for the time of year: that of a scoring run today (`lookups.live_model`).
    """
    request = PredictRequest(
        model_version=version,
        columns={name: [row[name] for row in facts] for name in schema.feature_names},
        row_keys=None if row_key is None else [row_key] * len(facts),
        as_of=as_of,
        reasons=reasons,
        outlook=outlook,
    )
    return ml.score_few(request, request_id=request_id)
