"""The other side of `ml_service.training.process`: what runs in the child.

Law: it writes only into the folder it was given, and ends when its parent does.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import parent_process
from pathlib import Path
from typing import Any

import structlog

from ml_service.data.dataset import Snapshot, read_params, read_snapshot
from ml_service.data.simulated import simulated
from ml_service.model.churn_model import ChurnModel
from ml_service.training.backtest import backtest
from ml_service.training.pipeline import Effort, train
from shared.clock import iso, utc_now
from shared.contracts import arrow
from shared.contracts.api import Backtest, TrainParams, TrainReport
from shared.errors import CorruptModel, ServiceError
from shared.web.logs import LogLevel, configure_logs

BODY_FILE, MODEL_FOLDER = "snapshot.arrow", "model"
PARENT_CHECK_S = 1.0
#: Progress lines closer together than this say nothing new.
MIN_INTERVAL_S = 0.2

log = structlog.get_logger()


@dataclass(frozen=True)
class Job:
    """What the child is told; plain values, since it is another process.

    Attributes
    ----------
    folder
        Holds the Arrow body (absent: train on the simulated subscribers) and takes the finished model.
    params
        What came with the body.
    """

    folder: Path
    registry: Path
    version: str
    params: TrainParams | None
    only_backtest: bool
    threads: int
    log_level: LogLevel


def run(pipe: Connection, job: Job) -> None:
    """Train, save into the job's folder, and tell the parent how it went."""
    configure_logs(service="ml-training", level=job.log_level)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        _send(pipe, _outcome(pipe, job))
    except _ParentGoneError:
        log.info("training_stopped", version=job.version, reason="the service is gone")


def _outcome(pipe: Connection, job: Job) -> dict[str, Any]:
    try:
        if job.only_backtest:
            return {"backtest": _backtest(pipe, job).model_dump(mode="json")}
        return {"report": _train(pipe, job).model_dump(mode="json")}
    except _ParentGoneError:
        raise
    except ServiceError as error:
        return {"error": {"code": error.code, "message": error.message, "details": error.details}}
    except Exception:
        # The last handler of this process: what nobody foresaw goes to the log, and the parent hears that it happened.
        log.exception("training_failed", version=job.version)
        message = "The training failed for a reason that the ML service's log names; nothing was kept."
        return {"error": {"code": "service_error", "message": message, "details": []}}


class _ParentGoneError(Exception):
    """Nobody is left at the other end of the pipe."""


def _send(pipe: Connection, message: dict[str, Any]) -> None:
    try:
        pipe.send(message)
    except OSError:
        raise _ParentGoneError from None


def _backtest(pipe: Connection, job: Job) -> Backtest:
    assert job.params is not None
    return backtest(
        _snapshot(job),
        trials=job.params.trials,
        seed=job.params.seed,
        threads=job.threads,
        progress=_ProgressSender(pipe),
    )


def _train(pipe: Connection, job: Job) -> TrainReport:
    champion, notes = _champion(job)
    params = job.params or TrainParams(model_version=job.version, table_schema={})
    trained = train(
        _snapshot(job),
        version=job.version,
        seed=params.seed,
        threads=job.threads,
        effort=Effort(params.trials, params.time_budget_s),
        allow_leaks=params.allow_leaks,
        champion=champion,
        notes=notes,
        progress=_ProgressSender(pipe),
    )
    about = {"created_at": iso(utc_now()), "data_sha256": trained.report.data_sha256}
    trained.model.save(job.folder / MODEL_FOLDER, about=about)
    return trained.report


def _champion(job: Job) -> tuple[ChurnModel | None, list[str]]:
    version = None if job.params is None else job.params.champion_version
    if version is None:
        return None, []
    try:
        return ChurnModel.load(job.registry / version, threads=job.threads), []
    except CorruptModel as error:
        # A champion that can't be read is a reason to train anew, not one to refuse it.
        return None, [f"The champion could not be judged beside the new model. {error.message}"]


def _snapshot(job: Job) -> Snapshot:
    body = job.folder / BODY_FILE
    if not body.exists():
        return simulated().snapshot
    table = arrow.decode(body.read_bytes())
    _, schema = read_params(table)
    return read_snapshot(table, schema)


class _ProgressSender:
    """Progress to the parent, not more often than anybody reads."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._sent, self._stage = pipe, float("-inf"), ""

    def __call__(self, done: float, stage: str) -> None:
        now, kind = time.monotonic(), stage.partition(", round")[0]
        if kind != self._stage or now - self._sent >= MIN_INTERVAL_S:
            self._sent, self._stage = now, kind
            line: dict[str, Any] = {"progress": round(done, 4), "stage": stage}
            _send(self._pipe, line)


def _end_with_the_parent() -> None:
    parent = parent_process()
    while parent is None or parent.is_alive():
        time.sleep(PARENT_CHECK_S)
    # Nobody is left to read the answer. What lies in the folder is swept at the service's next start.
    os._exit(1)
