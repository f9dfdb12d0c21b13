"""Explains scores: reasons in words, recommended actions, what-if.

Law: points are differences of probability and add up to churn_probability - base_probability; an expected change is
the model's estimate for a changed fact, and is always labelled as such.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from database.customers.customer_base import column_names
from gateway.clients.ml_client import MLClient
from shared.contracts.api import REASON_NUMBERS, Cell, Prediction, PredictRequest, PredictResponse, Shown
from shared.contracts.fact_warnings import warning_of_row
from shared.risk import risk_level
from shared.schema.features import Feature, Schema
from shared.schema.units import quantity

ESTIMATE = "The model's estimate of what it would predict for the changed fact; not a measured effect."


class ReasonOut(BaseModel):
    """One reason, in words and points."""

    feature: str
    label: str
    value: Cell
    unit: str | None
    points: float
    text: str


class Action(BaseModel):
    """A recommended action."""

    feature: str
    label: str
    action: str
    purpose: str | None
    value: Cell
    target: Cell
    expected_probability: float
    expected_change: float
    note: str


class Explained(BaseModel):
    """A score with its reasons in words."""

    churn_probability: float
    confidence: float
    risk_level: str
    model_version: str
    base_probability: float
    reasons: list[ReasonOut]
    other_points: float
    warnings: list[str] = Field(
        description="Facts that this score can rely on less: missing although the model's training had them for every "
        "customer, or with a value that the model does not know, which counts as missing; and given ones that the "
        "model ignores"
    )


def in_words(schema: Schema, feature: str, value: Cell, points: float, *, known: bool = True) -> ReasonOut:
    """Return one reason as a sentence: `Payment Failures 3 failures: +8.1 points`.

    Parameters
    ----------
    known
        Whether the model knows the value.
    """
    label, unit = schema.wording[feature]
    shown = _shown(value, unit) if known else f"{_shown(value, unit)} (scored as missing)"
    text = f"{label} {shown}: {points * 100:+.1f} points"
    return ReasonOut(feature=feature, label=label, value=value, unit=unit, points=points, text=text)


def _shown(value: Cell, unit: str | None) -> str:
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
    return Explained(
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
        warnings=[
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
    row_key: int | None = None,
    reasons: Shown = "top",
    request_id: str | None = None,
) -> PredictResponse:
    """Score a few rows of facts with one version; if `row_key` is given, all rows are of that customer."""
    request = PredictRequest(
        model_version=version,
        columns={name: [row[name] for row in facts] for name in schema.feature_names},
        row_keys=None if row_key is None else [row_key] * len(facts),
        reasons=reasons,
    )
    return ml.score_few(request, request_id=request_id)


def recommend(
    ml: MLClient,
    schema: Schema,
    version: str,
    facts: Mapping[str, Cell],
    *,
    row_key: int,
    request_id: str | None = None,
) -> tuple[Explained, list[Action]]:
    """Recommend actions for one customer, best first.

    Only features that can be acted on and that raise this customer's risk get an action. Facts and changed facts are
    scored in one call.

    Returns
    -------
    the customer's score with every reason, and the actions.
    """
    targets = {
        name: target for name, about in schema.features.items() if (target := _target(about, facts[name])) is not None
    }
    rows = [dict(facts), *({**facts, name: target} for name, target in targets.items())]
    answer = score(ml, schema, version, rows, row_key=row_key, reasons="all", request_id=request_id)
    now = answer.predictions[0].churn_probability
    raising = {reason["feature"] for reason in answer.predictions[0].reasons if reason["points"] > 0}
    found: list[Action] = []
    for at, (name, target) in enumerate(targets.items(), start=1):
        then = answer.predictions[at].churn_probability
        if name in raising and then < now:
            found.append(_action(schema, name, facts[name], target, now, then))
    return explain(schema, facts, answer), sorted(found, key=lambda action: action.expected_change)


def _action(schema: Schema, name: str, value: Cell, target: Cell, now: float, then: float) -> Action:
    about = schema.features[name]
    label = schema.feature_label(name)
    return Action(
        feature=name,
        label=label,
        action=about.action or f"Bring {label} from {_shown(value, about.unit)} to {_shown(target, about.unit)}",
        purpose=about.purpose,
        value=value,
        target=target,
        expected_probability=then,
        expected_change=then - now,
        note=ESTIMATE,
    )


def _target(about: Feature, value: Cell) -> Cell:
    """Return the target value of an action; None if no action is possible or needed."""
    if not about.actionable or value is None:
        return None
    if about.kind == "category":
        return about.target if about.target is not None and about.target != value else None
    assert isinstance(value, int | float)
    if isinstance(about.target, int | float):
        better = value > about.target if about.direction != "down" else value < about.target
        return about.target if better else None
    if about.step is not None:
        stepped = value + about.step
        return stepped if stepped >= 0 or value < 0 else 0
    return None
