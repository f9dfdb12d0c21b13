"""A worker that stands still amid a Parquet export and comes back spoils nothing of the next attempt."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.jobs import jobs, lost_jobs
from gateway.services import kinds
from gateway.services.exporting import export_files, parquet
from gateway.services.jobs import running
from gateway.services.jobs.work import Work, read
from shared.clock import iso
from shared.errors import Cancelled
from tests.gateway.customers_conftest import small
from tests.world import World

LONG_S = 30


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = small(tmp_path)
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 20)
    yield made.world
    made.database.close()


def next_attempt(world: World, job_id: int) -> Work:
    """The job, which its worker lost, claimed again."""
    with world.database.write() as connection:
        lost_jobs.requeue_or_end(connection, lost_jobs.heartbeats(connection), iso(world.clock()))
        job = jobs.claim_one(connection, job_id, worker="next", now=iso(world.clock()))
    assert job is not None
    return Work(world.environment, job)


@pytest.mark.parametrize("sees", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_a_worker_that_comes_back_does_not_spoil_the_file_of_the_next_attempt(
    world: World, monkeypatch: pytest.MonkeyPatch, sees: bool, after: bool
) -> None:
    """The first attempt goes on amid the second one, or after it, and sees that it was lost, or not."""
    first = world.work("export", {"content": "customers"})
    step, stands, goes_on = Work.step, threading.Event(), threading.Event()
    thread = threading.Thread(target=running.run, args=(first, kinds.EXPORT))

    def stands_still(self: Work, progress: float, stage: str) -> None:
        if self.job.attempt == 1:
            stands.set()
            assert goes_on.wait(LONG_S)
            if sees:
                raise Cancelled("lost")
        elif not after:
            goes_on.set()
            thread.join(LONG_S)
        if self.job.attempt == 2:
            step(self, progress, stage)

    monkeypatch.setattr(Work, "step", stands_still)
    thread.start()
    assert stands.wait(LONG_S)
    running.run(next_attempt(world, first.job.id), kinds.EXPORT)
    goes_on.set()
    thread.join(LONG_S)
    job = read(world.database, first.job.id)
    assert job.state == "done", job.error
    assert job.result is not None
    file = export_files.path(world.settings.data_folder, job.id)
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == job.result["sha256"]
