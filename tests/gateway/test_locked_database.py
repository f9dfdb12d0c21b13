"""Somebody keeps the database locked for writing: who would write is told so within seconds, who reads does not wait."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from database.engine import waiting
from database.engine.session import Database
from database.engine.waiting import Waiting
from database.jobs import jobs
from gateway.services import kinds
from gateway.services.jobs import running, work
from shared.errors import DatabaseBusy
from tests.gateway.job_owners import JobOwners
from tests.world import World


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else's write transaction, held until the block ends."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        yield
        raw.execute("ROLLBACK")


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobOwners]:
    made = JobOwners(tmp_path)
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.05)
    # `create_app` is given a database here: it waits as that of a gateway does, but not for seconds.
    monkeypatch.setattr(made.database, "_waiting", Waiting(0.1, places=2))
    yield made
    made.database.close()


WRITES = (
    ("POST", "/api/auth/login", {"email": "ann@example.com", "password": "correct horse battery"}),
    ("POST", "/api/auth/refresh", {"refresh_token": "x"}),
    ("POST", "/api/auth/logout", {}),
    ("POST", "/api/auth/keys", {"name": "k", "scopes": ["read"]}),
    ("POST", "/api/model/train", {}),
    ("POST", "/api/dashboard/predict", {}),
    ("DELETE", "/api/jobs/1", None),
)


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=[path for _, path, _ in WRITES])
def test_every_write_answers_503_and_when_to_come_back(
    office: JobOwners, method: str, path: str, body: dict[str, object] | None
) -> None:
    office.job("train", "ann", state="queued")
    with locked(office.settings.database_path):
        answer = office.ask("ann", path, method, json=body)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "database_busy")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_read_by_key_does_not_wait_for_its_use_to_be_noted(office: JobOwners) -> None:
    with locked(office.settings.database_path):
        began = time.monotonic()
        assert office.ask("ann/read", "/api/dashboard/metrics").status_code == 200
        assert time.monotonic() - began < 1
    assert office.ask("ann/read", "/api/dashboard/metrics").status_code == 200
    found = office.data("ann", "/api/auth/keys")["keys"]
    assert [key["last_used_at"] is not None for key in found if key["scopes"] == ["read"]] == [True]


def test_only_so_many_writers_wait_and_the_others_are_told_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.05)
    database = Database(world.settings.database_path, waiting=Waiting(30, places=2))
    told: list[float] = []

    def write(_: int) -> bool:
        began = time.monotonic()
        try:
            with database.write():
                return True
        except DatabaseBusy:
            told.append(time.monotonic() - began)
            return False

    with ThreadPoolExecutor(8) as pool, locked(world.settings.database_path):
        asked = [pool.submit(write, n) for n in range(8)]
        deadline = time.monotonic() + 10
        while len(told) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(told) == 6
        assert max(told) < 5, "two wait for as long as it takes, the others do not"
        last = pool.submit(write, 9)
        assert last.result(5) is False
    assert sorted(each.result() for each in asked) == [False] * 6 + [True] * 2
    database.close()


def test_a_job_goes_on_while_its_steps_can_not_be_told_and_its_end_waits_until_it_can_be_written(world: World) -> None:
    world.database._waiting = Waiting(0.05)  # type: ignore[attr-defined]
    begun = world.work("score")
    ended = threading.Event()

    def handler(given: work.Work, params: object) -> dict[str, int]:
        given.step(0.5, "half")
        ended.set()
        return {"n": 1}

    with ThreadPoolExecutor(1) as pool:
        with locked(world.settings.database_path):
            done = pool.submit(running.run, begun, replace(kinds.SCORE, run=handler))
            assert ended.wait(5)
            assert not done.done()
        assert done.result(10).state == "done"
    with world.database.read() as connection:
        assert jobs.get(connection, begun.job.id).result == {"n": 1}  # type: ignore[union-attr]
