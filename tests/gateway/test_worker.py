"""The worker: lanes that nothing stops but being told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from database.jobs import job_lists, jobs, workers
from database.jobs.jobs import Job
from database.models import models
from gateway.services import kinds
from gateway.services.jobs import work
from gateway.services.jobs.heartbeat_watch import HeartbeatWatch
from gateway.services.jobs.params import FileParams, ScoreParams, TrainingParams
from gateway.services.jobs.work import Work
from gateway.services.scoring import keeping
from gateway.worker import Worker
from shared.clock import iso, utc_now
from tests.world import World


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Quick stand-ins for every kind of work."""
    made: dict[str, Any] = {
        name: replace(kind, run=lambda given, params: {"kind": given.job.kind}) for name, kind in kinds.KINDS.items()
    }
    monkeypatch.setattr(kinds, "KINDS", made)
    return made


def a_worker(world: World, watch: HeartbeatWatch | None = None) -> Worker:
    return Worker(replace(world, clock=utc_now).environment, name="w", watch=watch)


@pytest.fixture
def running(world: World, handlers: dict[str, Any]) -> Iterator[World]:
    """A worker at work."""
    made = a_worker(world)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield world
    made.stop()
    thread.join(10)
    assert not thread.is_alive()


def ended(world: World, job_id: int, seconds: float = 10) -> Job:
    return work.wait_for(world.database, job_id, seconds)


def test_a_job_is_taken_run_and_ended(running: World) -> None:
    job_id = work.submit(running.database, utc_now, kinds.SCORE, ScoreParams())
    assert ended(running, job_id).result == {"kind": "score"}
    work.require_worker(running.database, utc_now)


def test_a_worker_is_seen_before_it_takes_a_job(
    world: World, handlers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, upkeep = threading.Event(), Worker._run_upkeep

    def slowly(worker: Worker) -> None:
        taken.wait(0.5)  # a lane that has started would take the job now
        upkeep(worker)

    def asks(given: Work, _: Any) -> dict[str, Any]:
        taken.set()
        return {"is_seen": work.worker_is_running(given.database, utc_now)}

    monkeypatch.setattr(Worker, "_run_upkeep", slowly)
    handlers["score"] = replace(kinds.SCORE, run=asks)
    job_id = work.submit(world.database, utc_now, kinds.SCORE, ScoreParams())
    with world.working():
        assert ended(world, job_id).result == {"is_seen": True}


def test_a_short_job_waits_for_neither_a_training_nor_a_run(running: World, handlers: dict[str, Any]) -> None:
    release = threading.Event()

    def long(_: Work, params: Any) -> dict[str, Any]:
        release.wait(10)
        return {}

    handlers.update(train=replace(kinds.TRAIN, run=long), score=replace(kinds.SCORE, run=long))
    slow = [
        work.submit(running.database, utc_now, kinds.TRAIN, TrainingParams()),
        work.submit(running.database, utc_now, kinds.SCORE, ScoreParams()),
    ]
    quick = work.submit(running.database, utc_now, kinds.PREVIEW, FileParams("a", "a"))
    assert ended(running, quick).state == "done"
    assert {work.read(running.database, each).state for each in slow} <= {"queued", "running"}
    release.set()
    assert [ended(running, each).state for each in slow] == ["done", "done"]


def test_figures_are_not_measured_beside_a_job(
    world: World, handlers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(keeping, "keep_renewed", lambda database, cut, **how: asked.update(how))
    made = a_worker(world)
    made._keep_figures()
    handlers["score"] = replace(kinds.SCORE, run=lambda given, params: {"busy": asked["is_busy"]()})
    assert not asked["is_busy"]()
    job_id = work.submit(world.database, utc_now, kinds.SCORE, ScoreParams())
    made.run_one("bulk")
    assert work.read(world.database, job_id).result == {"busy": True}
    assert not asked["is_busy"]()
    made.stop()
    assert asked["stops"].is_set()


def test_an_idle_lane_looks_for_jobs_only_once_something_was_written(
    running: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, has_queued = [0], job_lists.has_queued

    def counted(*asked: Any) -> bool:
        looks[0] += 1
        return has_queued(*asked)

    monkeypatch.setattr(job_lists, "has_queued", counted)
    before = running.database.version()
    time.sleep(1.0)
    commits = running.database.version() - before
    assert looks[0] <= len(kinds.LANES) * (commits + 1)
    job_id = work.submit(running.database, utc_now, kinds.SCORE, ScoreParams())
    assert ended(running, job_id).result == {"kind": "score"}


def test_a_job_that_breaks_does_not_stop_its_lane(running: World, handlers: dict[str, Any]) -> None:
    def broken(_: Work, params: Any) -> dict[str, Any]:
        raise ZeroDivisionError

    handlers["preview"] = replace(kinds.PREVIEW, run=broken)
    first = work.submit(running.database, utc_now, kinds.PREVIEW, FileParams("a", "a"))
    second = work.submit(running.database, utc_now, kinds.PROPOSE_SCHEMA, FileParams("a", "a"))
    assert (ended(running, first).state, ended(running, second).state) == ("failed", "done")


def test_a_look_at_the_table_that_fails_does_not_stop_a_lane(running: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = job_lists.has_queued, []

    def sometimes(*args: Any, **more: Any) -> bool:
        if len(failures) < 4:
            failures.append("failed")
            raise OSError("database is locked")
        return real(*args, **more)

    monkeypatch.setattr(job_lists, "has_queued", sometimes)
    job_id = work.submit(running.database, utc_now, kinds.SCORE, ScoreParams())
    assert ended(running, job_id, 8).state == "done"
    assert len(failures) == 4


def test_a_job_of_an_unknown_kind_fails_and_its_lane_goes_on(running: World) -> None:
    with running.database.write() as connection:
        odd = jobs.create(connection, kind="webhook", params={}, now=iso(utc_now()))
    following = work.submit(running.database, utc_now, kinds.SCORE, ScoreParams())
    assert ended(running, following, 8).state == "done"
    assert work.read(running.database, odd).state == "failed"


def test_a_job_whose_worker_fell_silent_is_taken_back_and_run(world: World, handlers: dict[str, Any]) -> None:
    job_id = work.submit(world.database, utc_now, kinds.SCORE, ScoreParams())
    with world.database.write() as connection:
        jobs.claim(connection, lane=kinds.LANES["bulk"], worker="dead", now="2020-01-01T00:00:00.000Z")
    seconds = iter(range(0, 60, 5))
    made = a_worker(world, HeartbeatWatch(lambda: next(seconds)))
    for _ in range(3):
        made._run_upkeep()
        assert work.read(world.database, job_id).state == "running"
    made._run_upkeep()
    assert work.read(world.database, job_id).state == "queued"
    assert made.run_one("bulk").attempt == 2  # type: ignore[union-attr]
    assert made.run_one("bulk") is None


def test_the_version_of_a_training_whose_worker_stopped_is_given_back_whatever_becomes_of_its_next_attempt(
    world: World,
) -> None:
    work.submit(world.database, utc_now, kinds.TRAIN, TrainingParams())
    with world.database.write() as connection:
        job = jobs.claim(connection, lane=kinds.LANES["training"], worker="dead", now="2020-01-01T00:00:00.000Z")
        assert job is not None
        told = {"version": "2.4.1", "schema_checksum": "x", "trained_on": "2020-01-01", "now": "2020-01-01"}
        models.reserve(connection, job_id=job.id, **told)
    seconds = iter(range(0, 60, 5))
    made = a_worker(world, HeartbeatWatch(lambda: next(seconds)))

    def versions() -> list[str]:
        made._run_upkeep()
        with world.database.read() as connection:
            return [each.version for each in models.versions(connection)]

    assert [versions() for _ in range(4)] == [["2.4.1"], ["2.4.1"], ["2.4.1"], []]


def test_a_job_whose_worker_still_beats_is_left_alone(world: World, handlers: dict[str, Any]) -> None:
    job_id = work.submit(world.database, utc_now, kinds.SCORE, ScoreParams())
    with world.database.write() as connection:
        jobs.claim(connection, lane=kinds.LANES["bulk"], worker="alive", now=iso(utc_now()))
    a_worker(world)._run_upkeep()
    assert work.read(world.database, job_id).state == "running"


def test_two_workers_share_the_jobs_and_run_none_twice(world: World, handlers: dict[str, Any]) -> None:
    runs: list[int] = []

    def count(given: Work, params: Any) -> dict[str, Any]:
        runs.append(given.job.id)
        time.sleep(0.02)
        return {}

    handlers["score"] = replace(kinds.SCORE, run=count)
    ids = [work.submit(world.database, utc_now, kinds.SCORE, ScoreParams()) for _ in range(12)]
    workers = [Worker(replace(world, clock=utc_now).environment, name=f"w{k}") for k in range(2)]
    threads = [threading.Thread(target=made.run) for made in workers]
    for thread in threads:
        thread.start()
    assert all(ended(world, job_id).state == "done" for job_id in ids)
    for made, thread in zip(workers, threads, strict=True):
        made.stop()
        thread.join(10)
    assert sorted(runs) == ids


def test_a_cancelled_job_in_the_queue_is_never_run(world: World, handlers: dict[str, Any]) -> None:
    job_id = work.submit(world.database, utc_now, kinds.SCORE, ScoreParams())
    work.cancel(world.database, utc_now, job_id)
    assert a_worker(world).run_one("bulk") is None
    assert work.read(world.database, job_id).state == "cancelled"


def test_without_a_worker_readiness_is_degraded_and_health_says_that_it_is_away(demo_world: World) -> None:
    ready = demo_world.client.get("/api/health/ready")
    assert (ready.status_code, ready.get_json()["status"], ready.get_json()["worker"]) == (200, "degraded", "away")
    assert demo_world.client.get("/api/health").get_json()["dependencies"]["worker"] == "away"
    with demo_world.database.write() as connection:
        workers.seen(connection, "w", iso(demo_world.clock()))
    ready = demo_world.client.get("/api/health/ready")
    assert (ready.status_code, ready.get_json()["status"], ready.get_json()["worker"]) == (200, "ready", "OK")
