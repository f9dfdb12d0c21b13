"""What the routes ask for: scores, trainings, and whether there is a model.

Law: no Flask here; bytes and plain values in, bytes and plain values out.
"""

from __future__ import annotations

from typing import Any

import structlog

from ml_service.api import codec
from ml_service.data.dataset import read_params, read_snapshot
from ml_service.model.registry import Registry
from ml_service.training.pipeline import split_snapshot
from ml_service.training.process import Trainer, TrainingRun
from shared.contracts.api import TOP_REASONS, PredictRequest
from shared.errors import CorruptModel, InvalidInput, NoModel, NotFound

log = structlog.get_logger()


class MLService:
    """The registry and the trainer, joined.

    Parameters
    ----------
    first_version
        Of the first model, when a training names none.
    """

    def __init__(self, registry: Registry, trainer: Trainer, *, first_version: str) -> None:
        self.registry, self._trainer, self._first_version = registry, trainer, first_version

    def problem(self) -> str | None:
        """Why the newest model can't score; None where it can."""
        try:
            self.registry.get()
        except (NoModel, CorruptModel) as error:
            return error.message
        return None

    def fallback(self) -> str | None:
        """Why the newest model is scored by xgboost itself; None where its tables do that, or it can't score."""
        try:
            return self.registry.get().trees.prepare()
        except (NoModel, CorruptModel):
            return None

    def score_table(self, body: bytes, version: str | None) -> bytes:
        """Arrow stream in, Arrow stream out."""
        table = codec.read_arrow(body)
        model = self.registry.get(version)
        rows = codec.rows_of_table(model, table)
        return codec.arrow_answer(model, model.explain_rows(rows.matrix, rows.row_keys))

    def score_request(self, request: PredictRequest, version: str | None) -> dict[str, Any]:
        """A few rows; `PredictResponse` as plain values."""
        if request.model_version and version and request.model_version != version:
            raise InvalidInput("model_version: the body and the query name different versions.")
        model = self.registry.get(codec.checked_version(request.model_version or version))
        rows = codec.rows_of_request(model, request)
        n_reasons = {"top": TOP_REASONS, "all": len(model.schema.features), "none": 0}[request.reasons]
        return codec.json_answer(model, model.explain_rows(rows.matrix, rows.row_keys, n_reasons=n_reasons))

    def start_training(self, body: bytes | None) -> TrainingRun:
        """Check everything that can be checked now, then start. Without a body: the simulated subscribers.

        Raises
        ------
        ServiceError
            InvalidInput, InvalidSchema, MalformedRequest, InsufficientData, NotFound (the champion), Conflict.
        """
        if body is None:
            return self._trainer.start(None, version=self.registry.next_version(self._first_version))
        table = codec.read_arrow(body)
        params, schema = read_params(table)
        snapshot = read_snapshot(table, schema)
        split_snapshot(snapshot, params.seed)
        if params.champion_version is not None and params.champion_version not in self.registry.versions():
            raise NotFound(f"There is no model {params.champion_version} on disk to judge beside the new one.")
        return self._trainer.start(body, version=params.model_version, params=params)

    def start_backtest(self, body: bytes) -> TrainingRun:
        """Check the snapshot, then start.

        Raises
        ------
        ServiceError
            InvalidInput, InvalidSchema, MalformedRequest, Conflict.
        """
        table = codec.read_arrow(body)
        params, schema = read_params(table)
        read_snapshot(table, schema)
        return self._trainer.start_backtest(body, params)
