"""Training over REST.

Law: every figure comes from the training's report on held-out rows.
"""

from __future__ import annotations

from flask import Response
from pydantic import BaseModel, Field, StrictBool

from gateway.openapi import Legacy, blueprint, ok
from gateway.routes.jobs.job_responses import answer_job, answers_job
from gateway.routes.schemas import Balanced
from gateway.services import kinds
from gateway.services.jobs.params import TrainingParams
from gateway.services.models.training_params import checked_params
from gateway.web_environment import environment

bp = blueprint("training", __name__, prefix="/api/model")
TRAIN_WAIT_S = 300.0


class TrainBody(Legacy):
    """Old clients send `{}`."""

    allow_leaks: list[str] = Field(default_factory=list, max_length=100, description="Features the leak guard allows")
    without: list[str] = Field(default_factory=list, max_length=500, description="Features to leave out, by name")
    again: StrictBool = Field(False, description="Train even if data and parameters are those of the live model")


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
    unchanged: bool = Field(False, description="There was nothing new to learn: the figures are the live model's")
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
