"""The child process of a training or a backtest; `ml_service.training.process` starts it.

Law: it writes only to the folder of its job, and ends when its parent ends.
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
from ml_service.model import artefacts
from ml_service.model.churn_model import ChurnModel
from ml_service.training.backtest import backtest
from ml_service.training.pipeline import Effort, train
from shared.clock import iso, utc_now
from shared.contracts import arrow
from shared.contracts.api import Backtest, TrainParams, TrainReport
from shared.errors import CorruptModel, ServiceError, Unchanged
from shared.web.logs import LogLevel, configure_logs, log_everything

BODY_FILE, MODEL_FOLDER = "snapshot.arrow", "model"
PARENT_CHECK_S = 1.0
#: Minimum time between two progress lines of the same stage.
MIN_INTERVAL_S = 0.2

log = structlog.get_logger()


@dataclass(frozen=True)
class Job:
    """The task of the child, as values that can be pickled.

    Attributes
    ----------
    folder : Path
        Holds the Arrow stream, if there is one, and receives the finished model.
    registry : Path
        Folder of the model versions, for the champion.
    version : str
    params : TrainParams or None
        The metadata of the stream.
    only_backtest : bool
    threads : int
    log_level : str
    """

    folder: Path
    registry: Path
    version: str
    params: TrainParams | None
    only_backtest: bool
    threads: int
    log_level: LogLevel


def run(pipe: Connection, job: Job) -> None:
    """Train or backtest, and send the outcome to the parent."""
    configure_logs(service="ml-training", level=job.log_level)
    log_everything()
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    try:
        _send(pipe, _outcome(pipe, job))
    except _ParentGoneError:
        log.info("training_stopped", version=job.version, reason="the service has ended")


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
        # The last handler of this process: an unexpected error is logged and reported to the parent.
        log.exception("training_failed", version=job.version)
        message = "The training failed unexpectedly; the log of the ML service gives the reason. Nothing was kept."
        return {"error": {"code": "service_error", "message": message, "details": []}}


class _ParentGoneError(Exception):
    """The parent process has ended."""


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
    params = job.params or TrainParams(model_version=job.version, table_schema={})
    champion, notes = _sibling(job, params.champion_version)
    decided, _ = _sibling(job, params.decided_version)
    snapshot = _snapshot(job)
    if not params.again:
        _require_change(job, params, snapshot)
    trained = train(
        snapshot,
        version=job.version,
        seed=params.seed,
        threads=job.threads,
        effort=Effort(params.trials, params.time_budget_s),
        allow_leaks=params.allow_leaks,
        without=params.without,
        champion=champion,
        decided=decided,
        notes=[*notes, *params.notes],
        progress=_ProgressSender(pipe),
    )
    about = {"created_at": iso(utc_now()), "data_sha256": trained.report.data_sha256, **_determines(params)}
    trained.model.save(job.folder / MODEL_FOLDER, about=about)
    return trained.report


def _determines(params: TrainParams) -> dict[str, Any]:
    """The parameters that determine a model beside its data, for its manifest."""
    return {"trials": params.trials, "time_budget_s": params.time_budget_s, "seed": params.seed}


def _require_change(job: Job, params: TrainParams, snapshot: Snapshot) -> None:
    """Raise Unchanged if a training on these rows would make the champion, or another version, once more."""
    wanted = {
        "data_sha256": snapshot.without(params.without).checksum(),
        "left_out": [name for name in snapshot.schema.features if name in params.without],
        "natural_rate": snapshot.natural_rate,
        "libraries": artefacts.library_versions(),
        **_determines(params),
    }
    live = params.champion_version
    for version in dict.fromkeys([*([live] if live else []), *params.made]):
        try:
            manifest = artefacts.read_manifest(job.registry / version)
        except CorruptModel:
            continue
        if {name: manifest.get(name) for name in wanted} == wanted:
            which = version if version == live else f"{version}, which is not live"
            raise Unchanged(
                f"There is nothing new to learn: rows, features and parameters are those of model {which}.",
                details=[{"field": "model_version", "value": version, "message": "the version that they are those of"}],
            )


def _sibling(job: Job, version: str | None) -> tuple[ChurnModel | None, list[str]]:
    """The sibling of a version, or the version itself if it was never fitted again; a note if it can't be read."""
    if version is None:
        return None, []
    try:
        model = ChurnModel.load(job.registry / version, threads=job.threads, with_sibling=True)
    except CorruptModel as error:
        # An unreadable champion is a reason to train a new model, not to refuse the training.
        return None, [f"The new model could not be compared with model {version}. {error.message}"]
    return model.sibling or model, []


def _snapshot(job: Job) -> Snapshot:
    body = job.folder / BODY_FILE
    if not body.exists():
        return simulated().snapshot
    table = arrow.decode(body.read_bytes())
    _, schema = read_params(table)
    return read_snapshot(table, schema)


class _ProgressSender:
    """Sends progress to the parent, at most every 0.2 s per stage."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._sent, self._stage = pipe, float("-inf"), ""

    def __call__(self, done: float, stage: str) -> None:
        now, kind = time.monotonic(), stage.partition(", round")[0]
        if kind != self._stage or now - self._sent >= MIN_INTERVAL_S:
            self._sent, self._stage = now, kind
            line: dict[str, Any] = {"progress": round(done, 4), "stage": stage}
            _send(self._pipe, line)


def _exit_with_parent() -> None:
    parent = parent_process()
    while parent is None or parent.is_alive():
        time.sleep(PARENT_CHECK_S)
    # The service removes the abandoned folder when it starts again.
    os._exit(1)
