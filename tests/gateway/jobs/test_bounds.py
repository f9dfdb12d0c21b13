"""A job's result, error and file are bounded, and so is the queue of the worker."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from database.jobs import jobs, lost_jobs, workers
from database.jobs.jobs import Job
from gateway.services.exporting import parquet
from gateway.services.importing import uploads
from gateway.services.jobs import work
from gateway.services.jobs.params import ExportParams
from gateway.services.jobs.work import Work
from gateway.services.maintenance import retention
from shared.clock import iso
from shared.errors import DiskFull, InvalidTable, ServiceUnavailable, SpoolFull
from shared.parsing_limits import MAX_DETAILS, MAX_ERROR_BYTES, MAX_RESULT_BYTES
from tests.gateway.campaigns.campaign_base import Base
from tests.world import World, on


def ended(world: World, result: Any) -> Job:
    def handler(_: Work, params: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    return world.run("preview", handler)


def test_a_result_that_is_too_large_fails_the_job_in_a_sentence(world: World) -> None:
    job = ended(world, {"cells": "x" * MAX_RESULT_BYTES})
    assert (job.state, job.error["code"], job.result) == ("failed", "too_large", None)  # type: ignore[index]
    assert f"{MAX_RESULT_BYTES:,}" in job.error["message"]  # type: ignore[index]


@pytest.mark.parametrize("value", ["x", "x" * 10_000])
def test_an_error_keeps_so_many_details_and_bytes(world: World, value: str) -> None:
    details: Any = [{"row": n, "value": value, "message": "wrong"} for n in range(5_000)]
    job = ended(world, InvalidTable("Rows are wrong." + value * 100, details=details))
    assert job.state == "failed"
    assert job.error is not None
    assert 0 < len(job.error["details"]) <= MAX_DETAILS
    assert len(str(job.error)) <= 2 * MAX_ERROR_BYTES


def test_a_job_that_takes_too_much_memory_says_so(world: World) -> None:
    job = ended(world, MemoryError())
    assert (job.state, job.error["code"]) == ("failed", "too_large")  # type: ignore[index]
    assert "WORKER_MEMORY_MB" in job.error["message"]  # type: ignore[index]


def test_what_jobs_came_to_is_kept_for_so_many_days_and_the_jobs_for_longer(world: World) -> None:
    done, failed = ended(world, {"n": 1}), ended(world, InvalidTable("x", details=[{"row": 1, "message": "y"}]))
    limits = retention.Limits(None, None, None, results=world.settings.job_results_days)
    assert retention.run(world.database, limits, clock=on("2026-07-29"))["results"] == 0
    assert retention.run(world.database, limits, clock=on("2026-08-15"), dry_run=True)["results"] == 2
    assert retention.run(world.database, limits, clock=on("2026-08-15"))["results"] == 2
    found = [work.read(world.database, job.id) for job in (done, failed)]
    assert [(job.state, job.result) for job in found] == [("done", None), ("failed", None)]
    assert found[1].error == {"code": "invalid_table", "message": "x"}


# --- the spool ------------------------------------------------------------------------------------------------------


def kept(folder: Path, size: int, most: int) -> Path:
    return uploads.keep(folder, lambda to: to.write_bytes(b"x" * size) and None, most_bytes=most)


def test_uploads_take_no_more_room_than_is_set_aside_for_them(tmp_path: Path) -> None:
    kept(tmp_path, 60, 100)
    with pytest.raises(SpoolFull, match="MAX_SPOOL_MB"):
        kept(tmp_path, 60, 100)
    assert kept(tmp_path, 40, 100).exists(), "what did not fit was removed"


def test_what_a_process_left_goes_after_an_hour_and_what_is_needed_stays(tmp_path: Path) -> None:
    needed, left, young = (kept(tmp_path, 1, 100) for _ in range(3))
    rejects = uploads.rejects_path(tmp_path, 7)
    rejects.touch()
    for path in (needed, left, rejects):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    uploads.sweep(tmp_path, needed={str(needed.resolve())})
    assert [path.exists() for path in (needed, left, young, rejects)] == [True, False, True, True]


# --- the disk, and clocks -------------------------------------------------------------------------------------------


def test_where_the_disk_is_full_nobody_says_that_no_worker_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("database.engine.files.free_disk", lambda database: 4096)
    with pytest.raises(DiskFull, match="disk is full"):
        work.require_worker(world.database, world.clock)
    monkeypatch.setattr("database.engine.files.free_disk", lambda database: 10**9)
    with pytest.raises(ServiceUnavailable, match="No worker is running"):
        work.require_worker(world.database, world.clock)


def test_where_the_disk_is_nearly_full_people_sign_in_and_store_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notes and jobs without end would otherwise fill it, and nobody signs in on a full disk."""
    Base(world, 20)
    assert world.signed_in("analyst") != world.signed_in("admin")
    with world.database.write() as connection:
        workers.seen(connection, "w", iso(world.clock()))
    monkeypatch.setattr("database.engine.sqlite.space.free_disk", lambda database: 40_000_000)
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", "/api/customers/u0003/work", {"note": "n" * 2000}),
        ("PATCH", "/api/customers/work", {"customers": ["u0003"], "status": "saved"}),
        ("POST", "/api/campaigns", {"name": "spring", "reduction": 0.2}),
        ("POST", "/api/predictions/generate", {}),
    ]
    for method, path, body in asked:
        answer = world.ask(method, path, json=body, headers={"Prefer": "respond-async"})
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "disk_full"), path
        assert "nearly full" in answer.get_json()["message"], path
    assert world.login("analyst@example.com").status_code == 200
    assert world.ask("DELETE", "/api/customers/u0003", "admin").status_code == 200


def test_a_worker_that_was_seen_in_the_future_was_seen_by_another_clock(world: World) -> None:
    with world.database.write() as connection:
        workers.seen(connection, "w", iso(on("2026-07-01")()))
    with pytest.raises(ServiceUnavailable, match="No worker"):
        work.require_worker(world.database, world.clock)


def test_an_export_for_which_the_disk_has_no_room_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(parquet, "write", full)
    job = world.run("export", lambda given, _: parquet.run(given, ExportParams("customers")))
    assert (job.state, job.error["code"]) == ("failed", "disk_full")  # type: ignore[index]


def test_a_bound_job_is_taken_up_again_more_often_than_others(world: World) -> None:
    job = world.job("import")
    with world.database.write() as connection:
        jobs.bind(connection, job)
    attempts = 1
    while True:
        with world.database.write() as connection:
            lost_jobs.requeue_or_end(connection, lost_jobs.heartbeats(connection), iso(world.clock()))
            again = jobs.claim_one(connection, job.id, worker="w", now=iso(world.clock()))
        if again is None:
            break
        attempts += 1
    last = work.read(world.database, job.id)
    assert (attempts, last.state) == (jobs.MAX_BOUND_ATTEMPTS, "failed")
    assert "kept" in last.error["message"]  # type: ignore[index]
