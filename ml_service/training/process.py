"""Trainer: runs trainings and backtests in child processes, so that scoring stays fast and they can be stopped.

Law: however a training ends (success, an error, a closed connection, a killed process), the caller gets the outcome,
and the child process and its folder are removed.
"""

from __future__ import annotations

import multiprocessing
import shutil
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import structlog

from ml_service.model import artefacts
from ml_service.model.registry import Registry
from ml_service.training.child import BODY_FILE, MODEL_FOLDER, Job, run
from shared import errors
from shared.contracts.api import Backtest, Progress, TrainParams, TrainReport
from shared.errors import Conflict, ServiceUnavailable
from shared.web.logs import LogLevel

#: A progress line is sent at least this often, because a broken connection is only noticed by writing to it.
HEARTBEAT_S = 1.5
STOP_GRACE_S = HEARTBEAT_S + 1.0
STOP_WAIT_S = 5.0

log = structlog.get_logger()


class Trainer:
    """Starts trainings and backtests, one at a time.

    Parameters
    ----------
    registry : Registry
        Receives the finished models.
    threads : int
        Threads of xgboost per training.
    log_level : str
        Log level of the child process.
    """

    def __init__(self, registry: Registry, *, threads: int, log_level: LogLevel) -> None:
        self._registry, self._threads, self._log_level = registry, threads, log_level
        self._busy = threading.Lock()

    def start(self, body: bytes | None, *, version: str, params: TrainParams | None = None) -> TrainingRun:
        """Start a training on an Arrow stream, or on the simulated subscribers if there is none.

        The caller must exhaust or close the run.

        Raises
        ------
        Conflict
            If another training is running, or the version already exists.
        """
        # A training that was just cancelled notices that with its next progress line, so wait for it to end.
        if not self._busy.acquire(timeout=STOP_GRACE_S):
            raise Conflict("Another training is running; only one can run at a time.", retry_after_s=30)
        try:
            if self._registry.path(version).exists():
                raise Conflict(f"Model {version} already exists; a version is never overwritten.")
            return self._run(body, version, params, only_backtest=False)
        except BaseException:
            self._busy.release()
            raise

    def start_backtest(self, body: bytes, params: TrainParams) -> TrainingRun:
        """Start a backtest, which keeps no model; the caller must exhaust or close the run.

        Raises
        ------
        Conflict
            If a training is running.
        """
        if not self._busy.acquire(blocking=False):
            raise Conflict("A training is running; only one can run at a time.", retry_after_s=30)
        try:
            return self._run(body, "backtest", params, only_backtest=True)
        except BaseException:
            self._busy.release()
            raise

    def _run(self, body: bytes | None, version: str, params: TrainParams | None, *, only_backtest: bool) -> TrainingRun:
        root = self._registry.folder
        folder = root / artefacts.unfinished_name()
        folder.mkdir(parents=True)
        if body is not None:
            (folder / BODY_FILE).write_bytes(body)
        job = Job(folder, root, version, params, only_backtest, self._threads, self._log_level)
        return TrainingRun(job, self._registry, self._busy)


class TrainingRun:
    """A running training or backtest: iterate over its progress, then read `result`; `close` stops it."""

    def __init__(self, job: Job, registry: Registry, busy: threading.Lock) -> None:
        self._job, self._registry, self._busy = job, registry, busy
        self._closing = threading.Lock()
        self._closed = False
        self.report: TrainReport | None = None
        self.backtest: Backtest | None = None
        spawn = multiprocessing.get_context("spawn")
        self._pipe, child_pipe = spawn.Pipe(duplex=False)
        self.process = spawn.Process(target=run, args=(child_pipe, job), daemon=True, name=f"training {job.version}")
        try:
            self.process.start()
        except BaseException:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise
        # If the parent kept its copy of this pipe open, it would not notice that the child has died.
        child_pipe.close()

    def finished_report(self) -> TrainReport:
        """The report of a finished training; raises Cancelled if it was stopped."""
        if self.report is None:
            raise errors.Cancelled("The training was stopped.")
        return self.report

    def result(self) -> dict[str, Any]:
        """The last line of the answer: the report or the backtest."""
        if self.backtest is not None:
            return {"backtest": self.backtest.model_dump(mode="json")}
        return {"report": self.finished_report().model_dump(mode="json")}

    def __iter__(self) -> Iterator[Progress]:
        """Yield progress as it arrives; repeat the last one if none arrives within `HEARTBEAT_S`.

        Raises
        ------
        ServiceError
            The error of the child, or ServiceUnavailable if it died.
        """
        last = Progress(progress=0.0, stage="starting")
        try:
            yield last
            while self.report is None and self.backtest is None:
                message = self._receive(self._pipe)
                if "report" in message:
                    self._finish(TrainReport.model_validate(message["report"]))
                    return
                if "backtest" in message:
                    self.backtest = Backtest.model_validate(message["backtest"])
                    return
                if "error" in message:
                    error = message["error"]
                    raise errors.from_code(error["code"], error["message"], error["details"])
                last = Progress.model_validate(message) if message else last
                yield last
        finally:
            self.close()

    def _receive(self, pipe: Connection) -> dict[str, Any]:
        try:
            received: dict[str, Any] = pipe.recv() if pipe.poll(HEARTBEAT_S) else {}
        except (EOFError, OSError):
            if self._closed:
                raise errors.Cancelled("The training was stopped.") from None
            self.process.join(STOP_WAIT_S)
            raise ServiceUnavailable(
                f"The training process died (exit code {self.process.exitcode}); nothing was kept. "
                "If it ran out of memory, send fewer rows."
            ) from None
        return received

    def _finish(self, report: TrainReport) -> None:
        artefacts.publish(self._job.folder / MODEL_FOLDER, self._registry.path(self._job.version))
        self._registry.get(self._job.version)
        self.report = report

    def close(self) -> None:
        """Stop the child if it is running, remove its folder and allow the next training; safe to call twice."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            if self.report is None and self.process.is_alive():
                log.info("training_stopped", version=self._job.version)
                self.process.kill()
            self.process.join(STOP_WAIT_S)
            if self.process.is_alive():
                self.process.kill()
                self.process.join(STOP_WAIT_S)
            self._pipe.close()
            shutil.rmtree(self._job.folder, ignore_errors=True)
            self._busy.release()
