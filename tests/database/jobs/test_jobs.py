"""The jobs table: claimed once, followed, ended once, taken back from whoever fell silent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, select

from database.engine.session import Database
from database.jobs import job_lists, jobs, lost_jobs, workers
from database.jobs.jobs import Job, Lane
from database.tables import tables
from shared.errors import Cancelled, InvalidInput

T0, T1, T2 = (f"2026-06-30T12:00:{second:02}.000Z" for second in (0, 20, 40))


TRAINING, BULK = Lane(frozenset({"train"})), Lane(frozenset({"train"}), is_the_rest=True)


def queue(database: Database, **more: Any) -> int:
    with database.write() as connection:
        return jobs.create(connection, **{"kind": "score", "params": {}, "now": T0, **more})


def claim(database: Database, worker: str = "w", now: str = T0, lane: Lane = BULK) -> Job | None:
    with database.write() as connection:
        return jobs.claim(connection, lane=lane, worker=worker, now=now)


def read(database: Database, job_id: int) -> Job:
    with database.read() as connection:
        job = jobs.get(connection, job_id)
    assert job is not None
    return job


def beats(database: Database) -> dict[lost_jobs.Claim, int]:
    with database.read() as connection:
        return lost_jobs.heartbeats(connection)


def settle(database: Database, silent: dict[lost_jobs.Claim, int] | None = None) -> list[int]:
    """Requeue or end the jobs with these counts of heartbeats (by default, all running jobs)."""
    silent = beats(database) if silent is None else silent
    with database.write() as connection:
        return lost_jobs.requeue_or_end(connection, silent, T2)


def somebody(database: Database) -> int:
    with database.write() as connection:
        row = {"email": "a@example.com", "password_hash": "x", "name": "A", "role": "analyst"}
        query = insert(tables.users).values({**row, "created_at": T0, "updated_at": T0}).returning(tables.users.c.id)
        return connection.execute(query).scalar_one()


def test_a_new_job_is_queued_and_says_what_it_was_asked(database: Database) -> None:
    job = read(database, queue(database, params={"sample_size": 5}, request_id="r1"))
    assert (job.state, job.params, job.request_id) == ("queued", {"sample_size": 5}, "r1")
    assert (job.progress, job.attempt, job.is_final, job.result, job.error) == (0, 0, False, None, None)


def test_forty_jobs_are_claimed_once_each_by_eight_threads(database: Database) -> None:
    ids = [queue(database) for _ in range(40)]

    def take(worker: int) -> list[int]:
        mine = []
        while (job := claim(database, f"w{worker}")) is not None:
            mine.append(job.id)
        return mine

    with ThreadPoolExecutor(8) as threads:
        taken = [job_id for part in threads.map(take, range(8)) for job_id in part]
    assert sorted(taken) == ids
    assert all(read(database, job_id).attempt == 1 for job_id in ids)


def test_the_oldest_job_of_a_lane_is_taken_first_and_the_other_lane_is_left_alone(database: Database) -> None:
    training, first, unknown = (
        queue(database, kind="train"),
        queue(database),
        queue(database, kind="of another release"),
    )
    with database.read() as connection:
        assert job_lists.has_queued(connection, BULK)
    assert [claim(database).id, claim(database).id, claim(database)] == [first, unknown, None]  # type: ignore[union-attr]
    with database.read() as connection:
        assert not job_lists.has_queued(connection, BULK)
        assert job_lists.has_queued(connection, TRAINING)
    assert claim(database, lane=TRAINING).id == training  # type: ignore[union-attr]


def test_a_job_is_claimed_by_its_id_only_while_it_is_queued(database: Database) -> None:
    job_id = queue(database)
    with database.write() as connection:
        assert jobs.claim_one(connection, job_id, worker="a", now=T0) is not None
        assert jobs.claim_one(connection, job_id, worker="b", now=T0) is None


def test_a_beat_keeps_the_job_and_says_how_far_it_is(database: Database) -> None:
    job_id = queue(database)
    job = claim(database, now=T0)
    assert job is not None
    before = beats(database)
    with database.write() as connection:
        assert jobs.heartbeat(connection, job, now=T0, progress=0.5, stage="Half way") is False
    assert settle(database, before) == [], "by the same clock: the beat counts, not the moment"
    assert (read(database, job_id).progress, read(database, job_id).stage) == (0.5, "Half way")


def test_a_silent_job_is_queued_again_once_and_then_fails_saying_so(database: Database) -> None:
    job_id = queue(database)
    claim(database)
    assert settle(database) == [job_id]
    job = read(database, job_id)
    assert (job.state, job.progress, job.attempt) == ("queued", 0.0, 1)
    claim(database)
    assert settle(database) == [job_id]
    job = read(database, job_id)
    assert (job.state, job.finished_at) == ("failed", T2)
    assert "start this again" in job.error["message"]  # type: ignore[index]
    assert settle(database) == []


def test_a_silent_job_that_was_to_be_cancelled_is_cancelled(database: Database) -> None:
    job_id = queue(database)
    claim(database)
    with database.write() as connection:
        jobs.request_cancel(connection, job_id, T0)
    assert settle(database) == [job_id]
    assert read(database, job_id).state == "cancelled"


def test_a_worker_that_was_given_up_is_told_to_stop_and_ends_nothing(database: Database) -> None:
    job_id = queue(database)
    lost = claim(database, "first")
    settle(database)
    assert lost is not None
    with database.write() as connection:
        assert jobs.heartbeat(connection, lost, now=T2) is True  # queued again
    present = claim(database, "second", now=T2)
    assert present is not None
    with database.write() as connection:
        assert jobs.heartbeat(connection, lost, now=T2) is True
        jobs.finish(connection, lost, {"by": "first"}, T2)
        jobs.fail(connection, lost, InvalidInput("by the first"), T2)
    for write in (jobs.bind, partial(jobs.note_result, result={"by": "first"})):
        with pytest.raises(Cancelled), database.write() as connection:
            write(connection, lost)
    found = read(database, job_id)
    assert (found.state, found.is_bound, found.result) == ("running", False, None)
    with database.write() as connection:
        assert jobs.heartbeat(connection, present, now=T2) is False
        jobs.finish(connection, present, {"by": "second"}, T2)
    assert read(database, job_id).result == {"by": "second"}


def test_cancelling_ends_a_queued_job_asks_a_running_one_and_leaves_a_finished_one(database: Database) -> None:
    queued, running, done = queue(database), queue(database), queue(database)
    with database.write() as connection:
        held = [jobs.claim_one(connection, job_id, worker="w", now=T0) for job_id in (running, done)]
        assert held[0] is not None
        assert held[1] is not None
        jobs.finish(connection, held[1], {"n": 1}, T1)
        for job_id in (queued, running, done):
            jobs.request_cancel(connection, job_id, T2)
        assert jobs.request_cancel(connection, 999, T2) is None
        assert jobs.heartbeat(connection, held[0], now=T2) is True
    assert (read(database, queued).state, read(database, queued).finished_at) == ("cancelled", T2)
    assert (read(database, running).state, read(database, running).cancel_requested) == ("running", True)
    assert (read(database, done).state, read(database, done).result) == ("done", {"n": 1})
    assert claim(database) is None


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_a_final_state_stays(database: Database, state: str) -> None:
    job_id = queue(database)
    job = claim(database)
    assert job is not None

    def end(connection: Any, how: str) -> None:
        if how == "done":
            jobs.finish(connection, job, {"n": 1}, T1)
        else:
            error = Cancelled("stop") if how == "cancelled" else InvalidInput("wrong")
            jobs.fail(connection, job, error, T1)

    with database.write() as connection:
        end(connection, state)
    before = read(database, job_id)
    for other in ("done", "failed", "cancelled"):
        with database.write() as connection:
            end(connection, other)
            jobs.request_cancel(connection, job_id, T2)
            assert jobs.claim_one(connection, job_id, worker="x", now=T2) is None
        settle(database)
    assert read(database, job_id) == before
    assert before.state == state


def test_a_failure_keeps_its_code_its_sentence_and_its_details(database: Database) -> None:
    job_id = queue(database)
    job = claim(database)
    assert job is not None
    error = InvalidInput("Two rows are wrong.", details=[{"row": 7, "field": "x", "message": "negative"}])
    with database.write() as connection:
        jobs.fail(connection, job, error, T1)
    assert read(database, job_id).error == {
        "code": "validation_failed",
        "message": "Two rows are wrong.",
        "details": [{"row": 7, "field": "x", "message": "negative"}],
    }


def test_the_same_key_of_the_same_user_and_kind_is_the_same_job(database: Database) -> None:
    user = somebody(database)
    first = queue(database, user_id=user, idempotency_key="k")
    assert queue(database, user_id=user, idempotency_key="k") == first
    assert queue(database, user_id=user, idempotency_key="other") != first
    assert queue(database, user_id=user, idempotency_key="k", kind="import") != first
    assert queue(database, user_id=user) != queue(database, user_id=user)


def test_eight_threads_with_one_key_make_one_job(database: Database) -> None:
    user = somebody(database)
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: queue(database, user_id=user, idempotency_key="k"), range(16)))
    assert len(made) == 1


def test_pages_are_newest_first_and_can_be_filtered(database: Database) -> None:
    ids = [queue(database, kind=kind) for kind in ("score", "train", "score", "score")]
    claim(database)
    with database.read() as connection:
        assert [job.id for job in job_lists.page(connection, limit=2)] == ids[:1:-1]
        assert [job.id for job in job_lists.page(connection, limit=9, before_id=ids[2])] == ids[1::-1]
        assert [job.id for job in job_lists.page(connection, limit=9, kinds={"train"})] == [ids[1]]
        assert [job.id for job in job_lists.page(connection, limit=9, state="running")] == [ids[0]]
        assert job_lists.active(connection, "train") == ids[1]
        assert job_lists.active(connection, "demo") is None


def test_a_worker_is_known_while_it_was_seen_lately(database: Database) -> None:
    with database.write() as connection:
        assert not workers.any_seen(connection, since=T0, until="9999")
        workers.seen(connection, "w", T0)
        workers.seen(connection, "w", T1)
        assert workers.any_seen(connection, since=T1, until="9999")
        assert not workers.any_seen(connection, since=T2, until="9999")
        assert connection.execute(select(tables.workers.c.name)).scalars().all() == ["w"]


def test_an_idempotency_key_expires_after_a_day(database: Database) -> None:
    user_id = somebody(database)
    first = queue(database, user_id=user_id, idempotency_key="k")
    assert queue(database, user_id=user_id, idempotency_key="k", now="2026-07-01T11:59:00.000Z") == first
    assert queue(database, user_id=user_id, idempotency_key="k", now="2026-07-01T12:01:00.000Z") != first
