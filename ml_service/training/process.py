"""A training in a process of its own: scoring stays fast, and stopping it leaves nothing behind.

Law: whatever ends a training (its end, an error, a closed connection, a killed process), the caller is told, the child
is gone and its folder with it.
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

#: A line at least this often, so that a broken connection is noticed by writing to it.
HEARTBEAT_S = 1.5
DYING_S = HEARTBEAT_S + 1.0
STOP_WAIT_S = 5.0

log = structlog.get_logger()


class Trainer:
    """Starts trainings, one at a time.

    Parameters
    ----------
    threads
        Of xgboost, per training.
    """

    def __init__(self, registry: Registry, *, threads: int, log_level: LogLevel) -> None:
        self._registry, self._threads, self._log_level = registry, threads, log_level
        self._busy = threading.Lock()

    def start(self, body: bytes | None, *, version: str, params: TrainParams | None = None) -> TrainingRun:
        """Start a training on an Arrow body, or on the simulated subscribers.

        The caller must exhaust or close what it gets.

        Raises
        ------
        Conflict
            While another training runs, or where the version is on disk already.
        """
        # One that was cancelled a moment ago notices with its next line: wait for it to be gone.
        if not self._busy.acquire(timeout=DYING_S):
            raise Conflict("Another training is running; one at a time.", retry_after_s=30)
        try:
            if self._registry.path(version).exists():
                raise Conflict(f"Model {version} is on disk already; a version is never overwritten.")
            return self._run(body, version, params, only_backtest=False)
        except BaseException:
            self._busy.release()
            raise

    def start_backtest(self, body: bytes, params: TrainParams) -> TrainingRun:
        """Start a backtest, which leaves no model. The caller must exhaust or close what it gets.

        Raises
        ------
        Conflict
            While a training runs.
        """
        if not self._busy.acquire(blocking=False):
            raise Conflict("A training is running; one at a time.", retry_after_s=30)
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
    """A running training: iterate for its progress, then read `report`; `close` ends it at any time."""

    def __init__(self, job: Job, registry: Registry, busy: threading.Lock) -> None:
        self._job, self._registry, self._busy = job, registry, busy
        self._closing = threading.Lock()
        self._closed = False
        self.report: TrainReport | None = None
        self.backtest: Backtest | None = None
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe(duplex=False)
        self.process = spawn.Process(target=run, args=(theirs, job), daemon=True, name=f"training {job.version}")
        try:
            self.process.start()
        except BaseException:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise
        # Only the child may hold that end, or its death would not be seen here.
        theirs.close()

    def finished_report(self) -> TrainReport:
        """The report of a training that was iterated to its end."""
        if self.report is None:
            raise errors.Cancelled("The training was stopped.")
        return self.report

    def result(self) -> dict[str, Any]:
        """The last line of the answer."""
        if self.backtest is not None:
            return {"backtest": self.backtest.model_dump(mode="json")}
        return {"report": self.finished_report().model_dump(mode="json")}

    def __iter__(self) -> Iterator[Progress]:
        """Progress as it comes, the last one again after a silence.

        Raises
        ------
        ServiceError
            What the child raised, or that it died.
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
                f"The training process ended without a word (exit code {self.process.exitcode}); nothing was kept. "
                "If that was for want of memory, send fewer rows."
            ) from None
        return received

    def _finish(self, report: TrainReport) -> None:
        artefacts.publish(self._job.folder / MODEL_FOLDER, self._registry.path(self._job.version))
        self._registry.get(self._job.version)
        self.report = report

    def close(self) -> None:
        """End the child if it runs, remove what it left, let the next training in. Safe to call twice."""
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
