"""MLService: the use cases of the routes, from request bodies to answers, without Flask."""

from __future__ import annotations

from typing import Any

import structlog

from ml_service.api import codec
from ml_service.data.dataset import read_params, read_snapshot
from ml_service.evaluation.dependence import points_by_value
from ml_service.model.registry import Registry
from ml_service.training.pipeline import split_snapshot
from ml_service.training.process import Trainer, TrainingRun
from shared.contracts.api import TOP_REASONS, PredictRequest
from shared.contracts.dependence import DependenceAnswer
from shared.errors import CorruptModel, InvalidInput, NoModel, NotFound

log = structlog.get_logger()


class MLService:
    """Scores, trains and backtests with a registry and a trainer.

    Parameters
    ----------
    registry : Registry
    trainer : Trainer
    first_version : str
        Version of the first model if a training names none.
    """

    def __init__(self, registry: Registry, trainer: Trainer, *, first_version: str) -> None:
        self.registry, self._trainer, self._first_version = registry, trainer, first_version

    def problem(self) -> str | None:
        """The reason why the newest model can't score; None if it can."""
        try:
            self.registry.get()
        except (NoModel, CorruptModel) as error:
            return error.message
        return None

    def fallback(self) -> str | None:
        """The reason why xgboost scores instead of the tables of the newest model; None if the tables do."""
        try:
            return self.registry.get().trees.prepare()
        except (NoModel, CorruptModel):
            return None

    def score_table(self, body: bytes, version: str | None, as_of: str | None = None) -> bytes:
        """Score the rows of an Arrow stream, all of one date; the answer is an Arrow stream too."""
        table = codec.read_arrow(body)
        model = self.registry.get(version)
        rows = codec.rows_of_table(model, table, as_of)
        return codec.arrow_answer(model, rows, model.explain_rows(rows.matrix, rows.row_keys, rows.dates))

    def score_request(self, request: PredictRequest, version: str | None) -> dict[str, Any]:
        """Score a few rows; the answer is a `PredictResponse` as plain values."""
        if request.model_version and version and request.model_version != version:
            raise InvalidInput("model_version: the body and the query string name different versions.")
        model = self.registry.get(codec.checked_version(request.model_version or version))
        rows = codec.rows_of_request(model, request)
        n_reasons = {"top": TOP_REASONS, "all": len(model.schema.features), "none": 0}[request.reasons]
        explained = model.explain_rows(rows.matrix, rows.row_keys, rows.dates, n_reasons=n_reasons)
        return codec.json_answer(model, rows, explained, with_outlook=request.outlook)

    def dependence(self, request: PredictRequest) -> DependenceAnswer:
        """Explain rows, and sum up each feature's points by its value."""
        model = self.registry.get(codec.checked_version(request.model_version))
        rows = codec.rows_of_request(model, request)
        if not len(rows.matrix.values):
            raise InvalidInput("columns: at least one row is needed.")
        everything = len(model.schema.features)
        explained = model.explain_rows(rows.matrix, rows.row_keys, rows.dates, n_reasons=everything)
        found = points_by_value(model, rows.matrix.values, explained)
        return DependenceAnswer(model_version=model.version, rows=len(rows.matrix.values), features=found)

    def start_training(self, body: bytes | None) -> TrainingRun:
        """Check a snapshot and start a training; without a body, train on the simulated subscribers.

        Raises
        ------
        MalformedRequest, InvalidInput, InvalidSchema, InsufficientData
            If the snapshot can't be used.
        NotFound
            If the champion is not on disk.
        Conflict
            If another training is running, or the version already exists.
        """
        if body is None:
            return self._trainer.start(None, version=self.registry.next_version(self._first_version))
        table = codec.read_arrow(body)
        params, schema = read_params(table)
        snapshot = read_snapshot(table, schema)
        split_snapshot(snapshot.without(params.without), params.seed)
        if params.champion_version is not None and params.champion_version not in self.registry.versions():
            raise NotFound(f"There is no model {params.champion_version} on disk to compare the new one with.")
        return self._trainer.start(body, version=params.model_version, params=params)

    def start_backtest(self, body: bytes) -> TrainingRun:
        """Check a snapshot and start a backtest.

        Raises
        ------
        MalformedRequest, InvalidInput, InvalidSchema
            If the snapshot can't be used.
        Conflict
            If a training is running.
        """
        table = codec.read_arrow(body)
        params, schema = read_params(table)
        read_snapshot(table, schema)
        return self._trainer.start_backtest(body, params)
