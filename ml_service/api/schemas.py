"""Answers of the ML service; those of scoring and training are in `shared.contracts.api`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from shared.contracts.api import Backtest, ErrorBody, Importance, TrainReport

Report = Annotated[dict[str, Any] | None, Field(description="The TrainReport of the training")]


class Failure(TypedDict):
    """The body of every failure."""

    success: Literal[False]
    message: str
    error: ErrorBody


class Health(TypedDict):
    """The answer of a running service."""

    status: str
    service: str
    model_loaded: bool
    version: str | None
    timestamp: str


class Readiness(TypedDict):
    """Whether the newest model can score, and by which method."""

    ready: bool
    reason: str | None
    version: str | None
    scored_by: Literal["tables", "xgboost"] | None
    no_tables_because: str | None
    timestamp: str


class FeatureImportances(TypedDict):
    """The features of a model and their importance."""

    model_version: str
    features: list[Importance]


class ModelSummary(TypedDict):
    """A version on disk."""

    model_version: str
    verified: bool
    problem: str | None
    created_at: str | None
    algorithm: str | None
    data_sha256: str | None
    threshold: float | None
    training_samples: int | None
    features: int | None
    auc: float | None


class ModelDetails(ModelSummary):
    """A version on disk with its manifest and its report."""

    manifest: dict[str, Any] | None
    report: Report


class ModelList(TypedDict):
    """All versions on disk, newest first."""

    newest: str | None
    models: list[ModelSummary]


class ReportLine(TypedDict):
    """The last NDJSON line of a training."""

    report: TrainReport


class BacktestLine(TypedDict):
    """The last NDJSON line of a backtest."""

    backtest: Backtest


class FailureLine(TypedDict):
    """The last NDJSON line if the work failed."""

    error: dict[str, Any]
