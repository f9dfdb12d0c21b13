"""Work as jobs: whatever happens inside, a job ends once and says why."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import date
from inspect import signature
from typing import Any

import pytest
import structlog
from sqlalchemy import insert
from structlog.testing import capture_logs

from database.jobs import jobs, lost_jobs, workers
from database.tables import tables
from gateway.services import kinds
from gateway.services.jobs import running, work
from gateway.services.jobs.params import (
    ExportParams,
    FileParams,
    ImportParams,
    NoParams,
    OutcomesParams,
    ScoreParams,
    TrainingParams,
)
from gateway.services.jobs.work import Work
from shared.clock import iso
from shared.errors import Cancelled, InvalidInput, NoModel, NotFound, ServiceError, ServiceUnavailable
from tests.world import World


def test_what_a_handler_returns_is_the_jobs_result(world: World) -> None:
    job = world.run("score", lambda work, params: {"n": 3})
    assert (job.state, job.result, job.error, job.progress) == ("done", {"n": 3}, None, 1.0)
    assert job.finished_at == iso(world.clock())
    assert work.result_or_raise(job) == {"n": 3}


def test_a_failure_is_recorded_and_raised_again_as_it_was(world: World) -> None:
    def handler(_: Work, params: Any) -> dict[str, Any]:
        raise InvalidInput("Row 7 is wrong.", details=[{"row": 7, "message": "negative"}])

    job = world.run("import", handler)
    assert job.state == "failed"
    with pytest.raises(ServiceError, match="Row 7 is wrong") as caught:
        work.result_or_raise(job)
    assert (caught.value.code, caught.value.details) == ("validation_failed", [{"row": 7, "message": "negative"}])


@pytest.mark.usefixtures("unfiltered_logs")
def test_no_log_line_says_what_a_job_failed_on(world: World) -> None:
    """A refusal quotes a cell of somebody's file, and a failed statement what it would have written."""
    told = "ann@example.com"

    def refuses(_: Work, params: Any) -> dict[str, Any]:
        raise InvalidInput(f"line 3, e-mail: '{told}' is there twice")

    def breaks(work: Work, params: Any) -> dict[str, Any]:
        with work.database.write() as connection:
            connection.execute(insert(tables.users).values(email=told))
        return {}

    with capture_logs([structlog.processors.format_exc_info]) as lines:
        for handler, code in ((refuses, "validation_failed"), (breaks, "internal")):
            job = world.run("import", handler)
            assert job.error is not None
            assert job.error["code"] == code
    assert {line["event"] for line in lines} >= {"job_failed", "job_crashed"}
    assert told not in str(lines)


@pytest.mark.parametrize("odd", [ZeroDivisionError("secret words"), KeyError("x"), AssertionError(), RuntimeError()])
def test_an_unknown_exception_fails_the_job_without_telling_its_text(world: World, odd: Exception) -> None:
    def handler(_: Work, params: Any) -> dict[str, Any]:
        raise odd

    job = world.run("score", handler)
    assert (job.state, job.error["code"]) == ("failed", "internal")  # type: ignore[index]
    assert "secret" not in job.error["message"]  # type: ignore[index]


def test_a_result_that_is_no_json_fails_the_job_instead_of_losing_it(world: World) -> None:
    job = world.run("score", lambda work, params: {"n": object()})
    assert job.state == "failed"


def test_an_interrupt_cancels_the_job_so_that_nobody_runs_it_again(world: World) -> None:
    begun = world.work("train")

    def handler(_: Work, params: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.run(begun, replace(kinds.TRAIN, run=handler))
    assert work.read(world.database, begun.job.id).state == "cancelled"


def test_steps_are_told_and_kept_and_parts_of_the_work_fill_parts_of_the_bar(world: World) -> None:
    told: list[tuple[float, str]] = []
    kept: list[float] = []

    def handler(given: Work, params: Any) -> dict[str, Any]:
        given.step(0.5, "half")
        kept.append(work.read(world.database, given.job.id).progress)
        part = given.within(0.5, 1.0)
        part.step(0.5, "part")
        part.within(0.5, 1.0).step(1.0, "deep")
        part.step(7.0, "too far")
        return {}

    world.run("score", handler, report=lambda progress, stage: told.append((progress, stage)))
    assert told == [(0.5, "half"), (0.75, "part"), (1.0, "deep"), (1.0, "too far")]
    assert kept == [0.5]


def test_a_running_job_stops_at_its_next_step_when_somebody_cancels_it(world: World) -> None:
    reached: list[str] = []

    def handler(given: Work, params: Any) -> dict[str, Any]:
        work.cancel(world.database, world.clock, given.job.id)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            given.step(0.5, "still here")
            time.sleep(0.05)
        reached.append("the end")
        return {}

    job = world.run("score", handler)
    assert (job.state, job.error["code"], reached) == ("cancelled", "cancelled", [])  # type: ignore[index]
    with pytest.raises(ServiceError) as caught:
        work.result_or_raise(job)
    assert caught.value.code == Cancelled.code


def test_a_cancelled_job_stops_too_when_its_work_says_nothing_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "HEARTBEAT_S", 0.05)
    seen = threading.Event()

    def handler(given: Work, params: Any) -> dict[str, Any]:
        work.cancel(world.database, world.clock, given.job.id)
        for _ in range(200):
            if given.stops.is_set():
                seen.set()
                break
            time.sleep(0.05)
        return {}

    world.run("score", handler)
    assert seen.is_set()


def test_the_heart_goes_on_beating_after_a_beat_that_failed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HEARTBEAT_S", 0.05)
    beats: list[str] = []
    real = jobs.heartbeat

    def beat(*args: Any, **more: Any) -> bool:
        beats.append("beat")
        if len(beats) == 1:
            raise OSError("the disk is busy")
        return real(*args, **more)

    monkeypatch.setattr(jobs, "heartbeat", beat)

    def handler(_: Work, params: Any) -> dict[str, Any]:
        deadline = time.monotonic() + 3
        while len(beats) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        return {}

    assert world.run("score", handler).state == "done"
    assert len(beats) >= 3


def test_a_job_lost_to_another_worker_stops_at_its_next_step_and_leaves_the_others_alone(world: World) -> None:
    def handler(given: Work, params: Any) -> dict[str, Any]:
        with world.database.write() as connection:
            lost_jobs.requeue_or_end(connection, lost_jobs.heartbeats(connection), now=iso(world.clock()))
            assert jobs.claim_one(connection, given.job.id, worker="other", now=iso(world.clock())) is not None
        given.step(0.9, "late")
        return {"by": "the first"}

    job = world.run("score", handler)
    assert (job.state, job.attempt, job.result) == ("running", 2, None)


def test_waiting_ends_with_the_job_or_with_the_time(world: World) -> None:
    job_id = work.submit(world.database, world.clock, kinds.SCORE, ScoreParams())
    began = time.monotonic()
    assert work.wait_for(world.database, job_id, 0.15).state == "queued"
    assert 0.1 < time.monotonic() - began < 2

    def end() -> None:
        with world.database.write() as connection:
            jobs.request_cancel(connection, job_id, iso(world.clock()))

    timer = threading.Timer(0.1, end)
    timer.start()
    assert work.wait_for(world.database, job_id, 10).state == "cancelled"
    timer.join()


def test_a_job_that_is_not_there_is_not_found(world: World) -> None:
    for ask in (lambda: work.read(world.database, 9), lambda: work.cancel(world.database, world.clock, 9)):
        with pytest.raises(NotFound, match="no job 9"):
            ask()


def test_without_a_worker_seen_lately_a_job_would_wait_for_ever(world: World) -> None:
    with pytest.raises(ServiceUnavailable, match="retainstream worker"):
        work.require_worker(world.database, world.clock)
    with world.database.write() as connection:
        workers.seen(connection, "w", iso(world.clock()))
    work.require_worker(world.database, world.clock)


@pytest.mark.parametrize("name", sorted(kinds.KINDS))
def test_every_kind_of_work_has_a_lane_and_a_handler(name: str, world: World) -> None:
    kind = kinds.KINDS[name]
    holding = {one for one, lane in kinds.LANES.items() if (name in lane.kinds) is not lane.is_the_rest}
    assert holding == {kind.lane}, "the lane that it names, and no other, holds its jobs"
    assert list(signature(kind.run).parameters) == ["work", "params"]
    job = world.job(name)
    assert (job.kind, job.state) == (name, "running")
    assert kind.store(kind.read(job.params)) == job.params


@pytest.mark.parametrize(
    "name, stored, read",
    [
        ("train", {}, TrainingParams()),
        ("train", {"allow_leaks": ["tenure"]}, TrainingParams(("tenure",))),
        ("score", {"sample_size": None}, ScoreParams()),
        ("score", {"sample_size": 5, "allow_missing": ["plan"]}, ScoreParams(5, ("plan",))),
        ("preview", {"path": "a", "file_name": "b"}, FileParams("a", "b")),
        ("import-outcomes", {"path": "a", "file_name": "b", "keep_good": True}, OutcomesParams("a", "b", False, True)),
        (
            "import",
            {"path": "a", "file_name": "b", "schema": {}, "as_of": "2026-06-01", "full_snapshot": True},
            ImportParams("a", "b", {}, date(2026, 6, 1)),
        ),
        ("import", {"path": "a", "file_name": "b", "schema": {}, "as_of": None}, ImportParams("a", "b", {})),
        (
            "export",
            {"content": "risk", "filters": [["plan", "Standard"]]},
            ExportParams("risk", (("plan", "Standard"),)),
        ),
        ("demo", {}, NoParams()),
    ],
)
def test_parameters_stored_by_earlier_versions_are_read(name: str, stored: dict[str, Any], read: Any) -> None:
    assert kinds.KINDS[name].read(stored) == read


def test_parameters_that_cannot_be_read_fail_the_job(world: World) -> None:
    with world.database.write() as connection:
        jobs.create(connection, kind="import", params={"path": 5}, now=iso(world.clock()))
        job = jobs.claim(connection, lane=kinds.LANES["bulk"], worker="w", now=iso(world.clock()))
    assert job is not None
    ended = running.run(Work(world.environment, job), kinds.IMPORT)
    assert (ended.state, ended.error["code"]) == ("failed", "internal")  # type: ignore[index]


def test_a_failure_without_a_class_of_its_own_keeps_its_code(world: World) -> None:
    def handler(_: Work, params: Any) -> dict[str, Any]:
        raise NoModel("Train one first.")

    with pytest.raises(ServiceError) as caught:
        work.result_or_raise(world.run("score", handler))
    assert (caught.value.code, caught.value.message) == ("no_model", "Train one first.")
