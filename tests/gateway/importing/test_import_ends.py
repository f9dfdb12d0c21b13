"""An import whose worker dies, at any step between its acceptance and its job's end, ends true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from database.customers import churn_history
from database.importing import import_writer, imports
from database.jobs import jobs, lost_jobs
from database.jobs.jobs import Job
from gateway.services import kinds
from gateway.services.customers import erasing
from gateway.services.importing import import_file, import_outcomes, publish_import, uploads
from gateway.services.jobs import running, work
from gateway.services.jobs.params import ImportParams
from gateway.worker import Worker
from shared.clock import iso
from shared.schema.features import schema_from_dict
from tests.prefork import ROOT
from tests.world import World

SCHEMA = schema_from_dict(
    {
        "id": "id", "as_of": "day", "features": {"x": {"kind": "number"}},
        "subscription": {"start": "start", "end": "end"},
    }
)  # fmt: skip
ROWS = """id,day,x,start,end
a,2026-05-01,1,2025-01-01,
b,2026-05-01,1,2025-01-01,2026-05-20
c,2026-05-01,1,2025-01-01,
a,2026-06-01,1,2025-01-01,
c,2026-06-01,3,2025-01-01,
"""


class Killed(BaseException):
    """As if the process had ended here."""


def uploaded(world: World, text: str = ROWS) -> str:
    most = 10**9
    return str(
        uploads.keep(world.settings.data_folder, lambda to: to.write_text(text) and None, most_bytes=most).resolve()
    )


def queued(world: World, path: str) -> int:
    return work.submit(world.database, world.clock, kinds.IMPORT, ImportParams(path, "mine.csv", SCHEMA.as_dict()))


def taken(world: World, job_id: int) -> Job:
    with world.database.write() as connection:
        job = jobs.claim_one(connection, job_id, worker="w", now=iso(world.clock()))
    assert job is not None
    return job


def die(world: World, job_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the job without anything that a process does on its way out: it is killed."""
    monkeypatch.setattr(running, "_write_end", lambda work, write: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        running.run(work.Work(world.environment, taken(world, job_id)), kinds.IMPORT)


def taken_up_again(world: World, job_id: int) -> Job:
    with world.database.write() as connection:
        assert lost_jobs.requeue_or_end(connection, lost_jobs.heartbeats(connection), iso(world.clock())) == [job_id]
    return running.run(work.Work(world.environment, taken(world, job_id)), kinds.IMPORT)


def figures(world: World) -> list[churn_history.Period]:
    """The history of churn, which is computed from the facts."""
    with world.database.read() as connection:
        return churn_history.history(connection)


RENEWED = [churn_history.Period("2026-05-02", "2026-06-01", 3, 1)]


def before(function: Callable[..., Any]) -> Callable[..., Any]:
    def killed(*args: Any, **more: Any) -> Any:
        raise Killed

    return killed


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    def killed(*args: Any, **more: Any) -> Any:
        function(*args, **more)
        raise Killed

    return killed


#: Each step between the acceptance of an import and the end of its job, in their order.
STEPS: tuple[tuple[str, Any, str, Callable[..., Any]], ...] = (
    ("accepted", import_file, "_accept", after),
    ("writing", import_writer.ImportWriter, "_apply_rows", after),
    ("not published yet", import_writer.ImportWriter, "publish", before),
    ("published", import_writer.ImportWriter, "publish", after),
    ("before the figures", publish_import, "refresh_figures", before),
    ("within the figures", publish_import, "refresh_roll_up", before),
    ("after the figures", publish_import, "refresh_figures", after),
    ("before it is settled", publish_import, "settle", before),
    ("settled", publish_import, "settle", after),
    ("the upload is gone", publish_import, "_renew", after),
    ("before the job's end", import_file, "_import", after),
)


@pytest.mark.parametrize(("at", "room", "name", "when"), STEPS, ids=[step[0] for step in STEPS])
def test_wherever_its_worker_dies_the_next_attempt_tells_what_the_file_brought(
    world: World, monkeypatch: pytest.MonkeyPatch, at: str, room: Any, name: str, when: Callable[..., Any]
) -> None:
    path = uploaded(world)
    job_id = queued(world, path)
    with monkeypatch.context() as patched:
        patched.setattr(room, name, when(getattr(room, name)))
        die(world, job_id, patched)
    ended = taken_up_again(world, job_id)
    assert (ended.state, ended.attempt, ended.error) == ("done", 2, None), at
    assert ended.result is not None
    assert {name: ended.result[name] for name in ("customers_new", "unchanged", "rows")} == {
        "customers_new": 3, "unchanged": False, "rows": 5,
    }  # fmt: skip
    assert figures(world) == RENEWED
    with world.database.read() as connection:
        assert [found["state"] for found in imports.page(connection)] == ["published"]
        assert imports.unsettled(connection) == []
    assert list(Path(path).parent.iterdir()) == []


def test_figures_are_renewed_by_the_next_import_where_the_job_itself_is_not_taken_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(publish_import, "refresh_figures", before(publish_import.refresh_figures))
        die(world, queued(world, uploaded(world)), patched)
    assert not figures(world)
    again = running.run(work.Work(world.environment, taken(world, queued(world, uploaded(world)))), kinds.IMPORT)
    assert again.result is not None
    assert again.result["unchanged"] is True
    assert figures(world) == RENEWED


def test_a_failure_after_publishing_is_no_failure_of_the_import(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = queued(world, uploaded(world))
    with monkeypatch.context() as patched:
        patched.setattr(publish_import, "refresh_figures", lambda work: 1 / 0)
        job = running.run(work.Work(world.environment, taken(world, job_id)), kinds.IMPORT)
    assert (job.state, job.error) == ("queued", None)
    job = running.run(work.Work(world.environment, taken(world, job_id)), kinds.IMPORT)
    assert (job.state, job.result["customers_new"]) == ("done", 3)  # type: ignore[index]


def test_an_import_that_was_accepted_is_not_cancelled_any_more_and_one_that_was_cancelled_is_not_accepted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, early = queued(world, uploaded(world)), queued(world, uploaded(world, ROWS.replace("a,2026", "d,2026")))

    def cancel_after(job_id: int, function: Callable[..., Any]) -> Callable[..., Any]:
        def cancelled(*args: Any, **more: Any) -> Any:
            result = function(*args, **more)
            work.cancel(world.database, world.clock, job_id)
            return result

        return cancelled

    with monkeypatch.context() as patched:
        patched.setattr(import_file, "_accept", cancel_after(late, import_file._accept))
        job = running.run(work.Work(world.environment, taken(world, late)), kinds.IMPORT)
    assert (job.state, job.cancel_requested) == ("done", False)
    monkeypatch.setattr(import_file, "_is_imported", cancel_after(early, import_file._is_imported))
    job = running.run(work.Work(world.environment, taken(world, early)), kinds.IMPORT)
    assert job.state == "cancelled"
    with world.database.read() as connection:
        assert len(imports.page(connection)) == 1


def test_who_finishes_the_import_of_another_can_still_be_cancelled_and_it_is_finished_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = queued(world, uploaded(world)), queued(world, uploaded(world, ROWS.replace("a,2026", "d,2026")))
    with monkeypatch.context() as patched:
        patched.setattr(import_file, "_accept", after(import_file._accept))
        die(world, first, patched)
    begun = work.Work(world.environment, taken(world, second))
    begun.stops.set()
    assert running.run(begun, kinds.IMPORT).state == "cancelled"
    with world.database.read() as connection:
        assert imports.pending(connection) is not None
    with world.database.write() as connection:
        lost_jobs.requeue_or_end(connection, lost_jobs.heartbeats(connection), iso(world.clock()))
    ended = running.run(work.Work(world.environment, taken(world, first)), kinds.IMPORT)
    assert (ended.state, figures(world)) == ("done", RENEWED)


def test_what_the_same_file_says_of_ends_is_not_called_cancelled_once_it_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.run(work.Work(world.environment, taken(world, queued(world, uploaded(world)))), kinds.IMPORT)
    told = replace(
        ImportParams(uploaded(world), "mine.csv", SCHEMA.as_dict()), ends_complete_to=date.fromisoformat("2026-06-20")
    )
    job_id = work.submit(world.database, world.clock, kinds.IMPORT, told)

    def renew(given: work.Work) -> int:
        if work.cancel(world.database, world.clock, job_id).cancel_requested:
            given.stops.set()
        given.check()
        return 0

    monkeypatch.setattr(import_file, "refresh_figures", renew)
    job = running.run(work.Work(world.environment, taken(world, job_id)), kinds.IMPORT)
    assert (job.state, job.error) == ("done", None)
    assert job.result["complete_to"] == "2026-06-20"  # type: ignore[index]


def test_outcomes_whose_worker_dies_are_applied_again_from_the_upload_which_is_still_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.run(work.Work(world.environment, taken(world, queued(world, uploaded(world)))), kinds.IMPORT)
    path = uploaded(world, "user_id,ended_at\na,2026-06-20\n")
    params = {"path": path, "file_name": "ends.csv"}
    given = kinds.IMPORT_OUTCOMES.read(params)
    job_id = work.submit(world.database, world.clock, kinds.IMPORT_OUTCOMES, given)
    with monkeypatch.context() as patched:
        patched.setattr(import_outcomes, "refresh_figures", before(import_outcomes.refresh_figures))
        patched.setattr(running, "_write_end", before(running._write_end))
        with pytest.raises(Killed):
            running.run(work.Work(world.environment, taken(world, job_id)), kinds.IMPORT_OUTCOMES)
    with world.database.write() as connection:
        lost_jobs.requeue_or_end(connection, lost_jobs.heartbeats(connection), iso(world.clock()))
    job = running.run(work.Work(world.environment, taken(world, job_id)), kinds.IMPORT_OUTCOMES)
    assert (job.state, job.result["ended"]) == ("done", 1)  # type: ignore[index]
    assert not Path(path).exists()


def test_a_file_that_is_gone_is_named_as_its_owner_named_it(world: World) -> None:
    path = uploaded(world)
    Path(path).unlink()
    job = running.run(work.Work(world.environment, taken(world, queued(world, path))), kinds.IMPORT)
    assert (job.state, job.error["code"]) == ("failed", "not_found")  # type: ignore[index]
    assert "mine.csv" in job.error["message"]  # type: ignore[index]
    assert "/" not in job.error["message"]  # type: ignore[index]


KILLED = """
import os, signal, sys
from gateway.environment import open_environment
from gateway.services.importing import publish_import
from gateway.worker import Worker
publish_import.refresh_figures = lambda work: os.kill(os.getpid(), signal.SIGKILL)
Worker(open_environment(pooled=False)).run_one("bulk")
"""


def test_a_worker_that_is_killed_after_publishing_leaves_a_job_that_ends_true(world: World) -> None:
    job_id = queued(world, uploaded(world))
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = {**kept, "PYTHONPATH": str(ROOT), "APP_ENV": "test", "DATABASE_PATH": str(world.settings.database_path)}
    done = subprocess.run([sys.executable, "-c", KILLED], env=env, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    ended = taken_up_again(world, job_id)
    assert (ended.state, ended.result["customers_new"]) == ("done", 3)  # type: ignore[index]
    assert figures(world) == RENEWED
    assert Worker(replace(world).environment).run_one("bulk") is None


def test_nobody_is_erased_while_an_accepted_import_waits_to_be_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker died, so no lock is held; written later, it would bring facts of somebody who is gone."""
    first = ROWS.replace("2026-0", "2025-0")
    job = running.run(work.Work(world.environment, taken(world, queued(world, uploaded(world, first)))), kinds.IMPORT)
    assert job.state == "done", job.error
    second = queued(world, uploaded(world))
    accept = import_file._accept
    with monkeypatch.context() as patched:
        patched.setattr(import_file, "_accept", after(accept))
        die(world, second, patched)
    refused = world.ask("DELETE", "/api/customers/b", "admin")
    assert (refused.status_code, refused.get_json()["message"]) == (409, erasing.BUSY)
    assert taken_up_again(world, second).state == "done"
    assert world.ask("DELETE", "/api/customers/b", "admin").status_code == 200
    assert world.ask("GET", "/api/customers/b").status_code == 404
