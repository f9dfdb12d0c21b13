"""How the points of each feature go with its value, over REST.

Law: the ML service computes them for a sample of the shown run's customers; the answer says how many those are.
"""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, Field

from gateway.openapi import answers, blueprint, ok
from gateway.services.models import dependence
from gateway.web_environment import environment
from shared.contracts.dependence import PointsByValue

bp = blueprint("dependence", __name__, prefix="/api/model")


class FeatureByValue(PointsByValue):
    """One feature with its words."""

    label: str
    unit: str | None


class DependenceOut(BaseModel):
    """The points of every feature by its value, the most important feature first."""

    model_version: str | None
    as_of: str | None
    customers: int | None = Field(description="Customers of the shown run")
    sampled: int | None = Field(description="Those whose points are summed up here")
    features: list[FeatureByValue]
    reason: str | None = Field(description="Why there are none")


@bp.get("/dependence", summary="Points by value", responses=answers(DependenceOut))
def points_by_value() -> Response:
    """Associations in the model's own reasons: nothing here says what a changed value would do."""
    env = environment()
    run = dependence.shown_run(env.database)
    if run is None:
        none = {"model_version": None, "as_of": None, "customers": None, "sampled": None}
        return ok(DependenceOut(**none, features=[], reason="Nothing is scored yet: train a model, then score."))
    schema, found = dependence.points_by_value(env.database, env.query_cache, env.ml, run)
    features = [
        FeatureByValue(
            **each.model_dump(), label=schema.feature_label(each.feature), unit=schema.features[each.feature].unit
        )
        for each in found.features
    ]
    told = {"model_version": found.model_version, "as_of": run.as_of, "customers": run.customers}
    return ok(DependenceOut(**told, sampled=found.rows, features=features, reason=None))
