"""Training over REST.

Law: every figure comes from the training's report on held-out rows; a misspelt option never trains something else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Response
from pydantic import BaseModel, Field, StrictBool, model_validator

from gateway.openapi import Legacy, blueprint, ok
from gateway.routes.jobs.job_responses import answer_job, answers_job
from gateway.routes.schemas import Balanced
from gateway.services import kinds
from gateway.services.jobs.params import TrainingParams
from gateway.services.models.training_params import checked_params
from gateway.web_environment import environment
from shared.errors import Detail, InvalidInput

bp = blueprint("training", __name__, prefix="/api/model")
TRAIN_WAIT_S = 300.0


#: Likeness from which a name is a misspelt option, and so many names are looked at.
NEAR, MOST_NAMES = 0.75, 100
KNOWN = "a training takes allow_leaks, without, again"
OPTIONS = ("allow_leaks", "without", "again")


class TrainBody(Legacy):
    """Old clients send `{}`, or names of their own, which are ignored; beside our options they are refused."""

    allow_leaks: list[str] = Field(default_factory=list, max_length=100, description="Features the leak guard allows")
    without: list[str] = Field(default_factory=list, max_length=500, description="Features to leave out, by name")
    again: StrictBool = Field(False, description="Train even if data and parameters are those of a version that stands")

    @model_validator(mode="before")
    @classmethod
    def _is_spelt_right(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            _refuse_misspelt(value)
        return value


def _refuse_misspelt(names: Iterable[str]) -> None:
    """Refuse names that we don't know where a body has one of our options, or nearly one: it is no old client's."""
    given = list(names)
    unknown = [name for name in given if name not in OPTIONS][:MOST_NAMES]
    near = {name: difflib.get_close_matches(name.lower(), OPTIONS, n=1, cutoff=NEAR) for name in unknown}
    if near and (any(near.values()) or any(name in OPTIONS for name in given)):
        details: list[Detail] = [
            {"field": name, "message": f"unknown; {f'did you mean {meant[0]}? ' if meant else ''}{KNOWN}"}
            for name, meant in near.items()
        ]
        raise InvalidInput.of(details)


class TrainMetrics(BaseModel):
    """Figures on held-out rows at natural prevalence, and balanced ones."""

    auc: float | None
    precision: float | None
    recall: float | None
    f1_score: float | None
    training_samples: int
    model_version: str
    threshold: float
    prevalence: float
    n: int
    balanced: Balanced


class Trained(BaseModel):
    """A finished training."""

    message: str
    unchanged: bool = Field(False, description="Nothing new to learn: the figures are those of a version that stands")
    metrics: TrainMetrics
    promoted: bool
    decision: str


@bp.post("/train", summary="Train on the matured snapshots", responses=answers_job(Trained))
def train(body: TrainBody) -> Response:
    """The worker runs `services.models.training.run`. Waits up to 300 s, then answers 202 with the job (RFC 7240)."""
    return answer_job(
        kinds.TRAIN,
        checked_params(
            environment().database, TrainingParams(tuple(body.allow_leaks), tuple(body.without), again=body.again)
        ),
        default_wait_s=TRAIN_WAIT_S,
        done=lambda result: ok(result, message=result["message"]),
    )
