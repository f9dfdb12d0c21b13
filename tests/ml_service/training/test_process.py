"""Training in a process of its own: however it ends, nothing half written stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from ml_service.data.dataset import Snapshot
from ml_service.data.simulated import simulated
from ml_service.model.registry import Registry
from ml_service.training.process import Trainer, TrainingRun
from shared.contracts.api import Progress
from shared.errors import Cancelled, Conflict, NotFound, ServiceUnavailable
from tests.ml_service.conftest import as_stream


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(Registry(tmp_path / "models"), threads=1, log_level="error")


@pytest.fixture(scope="session")
def long_body() -> bytes:
    """A search long enough to be caught in the middle."""
    return as_stream(simulated(customers=500).snapshot, trials=40)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that finds a training running is told so at once."""
    monkeypatch.setattr("ml_service.training.process.STOP_GRACE_S", 0.1)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "models").iterdir())


def until_busy(run: TrainingRun) -> Generator[Progress, None, None]:
    """The run's lines from where the folds grow on. To drop them ends the training."""
    lines = iter(run)
    assert isinstance(lines, Generator)
    for progress in lines:
        if progress.stage.startswith("cross-validating"):
            return lines
    pytest.fail("the training ended before it could be caught")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_closing_ends_the_child_and_removes_its_folder(trainer: Trainer, long_body: bytes, tmp_path: Path) -> None:
    run = trainer.start(long_body, version="9.0.0")
    lines = until_busy(run)
    pid = run.process.pid
    assert pid is not None and not is_gone(pid)
    # While it runs, its version is not there for anybody.
    registry = Registry(tmp_path / "models")
    assert registry.versions() == []
    with pytest.raises(NotFound):
        registry.get("9.0.0")
    run.close()
    assert is_gone(pid)
    with pytest.raises(Cancelled):
        next(lines)
    assert left(tmp_path) == []
    trainer.start(long_body, version="9.0.0").close()


def test_one_training_at_a_time(trainer: Trainer, long_body: bytes, impatient: None) -> None:
    run = trainer.start(long_body, version="9.0.0")
    with pytest.raises(Conflict, match="Another training"):
        trainer.start(long_body, version="9.0.1")
    run.close()
    run.close()
    trainer.start(long_body, version="9.0.1").close()


def test_a_version_on_disk_is_never_overwritten(trainer: Trainer, undated: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "models" / "9.0.0").mkdir(parents=True)
    with pytest.raises(Conflict, match="already exists"):
        trainer.start(as_stream(undated), version="9.0.0")


def test_a_silent_child_still_gives_a_line_and_a_killed_one_is_reported_and_leaves_nothing(
    trainer: Trainer, long_body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_service.training.process.HEARTBEAT_S", 0.2)
    run = trainer.start(long_body, version="9.0.0")
    lines = until_busy(run)
    os.kill(run.process.pid or 0, signal.SIGSTOP)
    started = time.monotonic()
    stages = [next(lines).stage for _ in range(8)]
    assert len(set(stages[4:])) == 1 and time.monotonic() - started < 8 * 0.5
    os.kill(run.process.pid or 0, signal.SIGKILL)
    with pytest.raises(ServiceUnavailable, match="exit code -9"):
        list(lines)
    assert left(tmp_path) == []
    trainer.start(long_body, version="9.0.0").close()
