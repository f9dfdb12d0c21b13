"""Recommended actions: for facts that add to a customer's score, each with a dose that others like them have.

Law: nothing here is the effect of an action: a dose is a fact that others have, and its score the model's estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

from pydantic import BaseModel, Field

from gateway.clients.ml_client import MLClient
from gateway.services.scoring.others import Alike, Others
from gateway.services.scoring.reasons import ESTIMATE, Explained, explain, score, shown_value
from shared.contracts.api import Cell
from shared.schema.features import Feature, Schema


class Compared(BaseModel):
    """The origin of a dose."""

    plan: Cell = Field(description="Customers with this plan were compared; null: all customers")
    customers: int = Field(description="Customers compared; of a base of more than 10,000, about 5,000 to 10,000")
    share: float = Field(description="Share of them that have the target or better")
    bounded_by: Literal["step", "target"] | None = Field(description="Key of the schema that bounds the dose, if any")
    text: str


class Action(BaseModel):
    """A recommended action."""

    feature: str
    label: str
    action: str
    purpose: str | None
    points: float = Field(description="Points of the reason: the part of this fact in the score")
    value: Cell
    unit: str | None
    target: Cell = Field(description="The dose: a value that others like this customer have")
    dose: Compared
    score_if_changed: float = Field(description="The model's score if this fact alone were the target")
    difference: float = Field(description="score_if_changed - churn_probability")
    note: str


@dataclass(frozen=True)
class Dose:
    """A value to aim at, and where it comes from."""

    value: Cell
    alike: Alike
    share: float
    is_up: bool
    bounded_by: Literal["step", "target"] | None = None


def recommend(
    ml: MLClient,
    schema: Schema,
    version: str,
    facts: Mapping[str, Cell],
    others: Others,
    *,
    as_of: str | None,
    row_key: int,
    request_id: str | None = None,
) -> tuple[Explained, list[Action]]:
    """Recommend actions for one customer, by the points of their reasons, highest first.

    Only features that can be acted on, that add to this customer's score and whose dose has a lower score get an
    action; equal points keep the order of the schema. Facts and changed facts are scored in one call.

    Returns
    -------
    the customer's score with every reason, and the actions.
    """
    doses = {name: found for name in schema.features if (found := dose(schema, name, facts, others)) is not None}
    rows = [dict(facts), *({**facts, name: found.value} for name, found in doses.items())]
    answer = score(ml, schema, version, rows, as_of=as_of, row_key=row_key, reasons="all", request_id=request_id)
    told = explain(schema, facts, answer)
    points = {reason["feature"]: reason["points"] for reason in told.reasons}
    actions = [
        _action(schema, name, facts[name], found, points[name], told.churn_probability, then.churn_probability)
        for (name, found), then in zip(doses.items(), answer.predictions[1:], strict=True)
        if points.get(name, 0) > 0 and then.churn_probability < told.churn_probability
    ]
    return told, sorted(actions, key=lambda action: -action.points)


def _action(schema: Schema, name: str, value: Cell, found: Dose, points: float, now: float, then: float) -> Action:
    about, label = schema.features[name], schema.feature_label(name)
    target = shown_value(found.value, about.unit)
    return Action(
        feature=name,
        label=label,
        action=about.action or f"Aim at {target} instead of {shown_value(value, about.unit)}: {label}",
        purpose=about.purpose,
        points=points,
        value=value,
        unit=about.unit,
        target=found.value,
        dose=Compared(
            plan=found.alike.plan,
            customers=found.alike.known(name),
            share=found.share,
            bounded_by=found.bounded_by,
            text=_origin(schema, name, found, target),
        ),
        score_if_changed=then,
        difference=then - now,
        note=ESTIMATE,
    )


def _origin(schema: Schema, name: str, found: Dose, target: str) -> str:
    about, label = schema.features[name], schema.feature_label(name)
    if schema.plan_feature is not None and found.alike.plan is not None:
        whom = f"the customers with {schema.feature_label(schema.plan_feature)} {found.alike.plan}"
    else:
        whom = "all customers"
    bound = "" if about.kind == "category" else "at least " if found.is_up else "at most "
    share = f"{found.share:.0%}".replace("%", " %") if found.share >= 0.01 else "less than 1 %"
    text = f"{label} is {bound}{target} for {share} of {whom}."
    if found.bounded_by == "step" and about.step is not None:
        text += f" The schema lets one action move it by {shown_value(abs(about.step), about.unit)} at most."
    return text


def dose(schema: Schema, name: str, facts: Mapping[str, Cell], others: Others) -> Dose | None:
    """Return the value to aim at; None if no action is possible or needed.

    For a number, it is the value of the customer who stands a quarter of the others ahead, no further than the schema's
    `target` and `step` allow (docs/definitions.md#dose); for a category, the schema's `target`, if others have it.
    """
    about, value = schema.features[name], facts[name]
    if not about.actionable or value is None:
        return None
    alike = others.like(facts, name)
    if about.kind == "category":
        if about.target is None or about.target == value:
            return None
        share = alike.share(name, about.target, is_up=True)
        return Dose(about.target, alike, share, is_up=True) if share > 0 else None
    assert isinstance(value, int | float)
    is_up = better_is_up(about)
    if is_up is None:
        return None
    wanted = alike.numbers[name].ahead(value, is_up=is_up)
    if wanted is None:
        return None
    reached, bounded_by = _bounded(about, value, wanted, is_up=is_up)
    is_better = reached > value if is_up else reached < value
    share = alike.share(name, reached, is_up=is_up)
    return Dose(reached, alike, share, is_up, bounded_by) if is_better else None


def better_is_up(about: Feature) -> bool | None:
    """Return whether actions aim at larger values of a number; None if the schema does not say."""
    if about.direction != "none":
        return about.direction == "down"
    if about.step:
        return about.step > 0
    return False if isinstance(about.target, int | float) else None


def _bounded(
    about: Feature, value: float, wanted: float, *, is_up: bool
) -> tuple[float, Literal["step", "target"] | None]:
    """Return the wanted value as people write it, no further from the present one than the schema allows."""
    nearer, rounded = (min, floor) if is_up else (max, ceil)
    found = wanted if about.whole else float(f"{wanted:.3g}")
    bounded_by: Literal["step", "target"] | None = None
    stepped = None if about.step is None else value + abs(about.step) * (1 if is_up else -1)
    if stepped is not None and nearer(found, stepped) != found:
        found, bounded_by = stepped, "step"
    if isinstance(about.target, int | float) and nearer(found, about.target) != found:
        found, bounded_by = about.target, "target"
    return rounded(found) if about.whole else found, bounded_by
