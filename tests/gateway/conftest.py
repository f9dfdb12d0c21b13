"""A migrated database, jobs to run in it, and the real ML service on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import gateway.cli.main as cli
from database.engine.migrate import migrate
from database.engine.session import Database
from database.jobs import jobs
from database.jobs.jobs import Job
from gateway.cli import data
from gateway.clients.ml_client import MLClient
from gateway.environment import Environment
from gateway.services import demo, kinds
from gateway.services.jobs import work
from gateway.services.jobs.work import Work
from gateway.settings import Settings
from shared.clock import Clock, iso
from shared.errors import ServiceUnavailable
from tests import prefork
from tests.portable_sql import compiled_for_postgresql

ROOT = Path(__file__).parents[2]
TOKEN = "a-service-token-for-tests-of-32-characters"
TODAY = datetime(2026, 6, 30, 12, tzinfo=UTC)
NOBODY = "http://127.0.0.1:9"
#: Parameters of a job for a test that gives none, where its kind can't do without.
LEAST_PARAMS: Mapping[str, Mapping[str, Any]] = {
    kind: {"path": "a.csv", "file_name": "a.csv", "schema": {}, "content": "customers"}
    for kind in ("import", "import-outcomes", "preview", "propose-schema", "export")
}
#: A command over a world: its status, what it printed, what it complained of.
Run = Callable[..., tuple[int | None, str, str]]


def clock() -> datetime:
    """The day on which these tests happen."""
    return TODAY


def on(day: str) -> Clock:
    """A clock that stands at noon of a day."""
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=12)
    return lambda: moment


def settings_of(path: Path, **variables: Any) -> Settings:
    """Settings for a database file, by their environment names."""
    given = {"APP_ENV": "test", "DATABASE_PATH": path, "DEMO_CUSTOMERS": 600, "ML_SERVICE_TOKEN": TOKEN, **variables}
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


@dataclass
class World:
    """A database, an ML client, and jobs run in this process."""

    database: Database
    ml: MLClient
    settings: Settings
    clock: Clock = clock

    @property
    def environment(self) -> Environment:
        return Environment(self.settings, self.database, self.ml, self.clock)

    def job(self, kind: str, params: Mapping[str, Any] | None = None) -> Job:
        """A queued and claimed job."""
        made = kinds.KINDS[kind]
        job_id = work.submit(self.database, self.clock, made, made.read(params or LEAST_PARAMS.get(kind, {})))
        with self.database.write() as connection:
            found = jobs.claim_one(connection, job_id, worker="test", now=iso(self.clock()))
        assert found is not None
        return found

    def work(self, kind: str, params: Mapping[str, Any] | None = None, **more: Any) -> Work:
        """Arguments of a job's function."""
        return Work(self.environment, self.job(kind, params), **more)

    def run(self, kind: str, handler: Any, params: Mapping[str, Any] | None = None, **more: Any) -> Job:
        """A job, run to its end by a function of work and typed parameters."""
        return work.run(self.work(kind, params, **more), replace(kinds.KINDS[kind], run=handler))

    def do(self, kind: str, handler: Any, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a job came to; its failure is raised."""
        return work.result_or_raise(self.run(kind, handler, params))


@pytest.fixture(autouse=True, scope="session")
def _portable() -> Iterator[None]:
    """No statement of these tests is one that PostgreSQL could not run."""
    with compiled_for_postgresql():
        yield


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "retainstream.db"
    migrate(path)
    return path


@pytest.fixture
def make_world(migrated_file: Path, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """A fresh world: an empty database, and an ML service that is not there unless given."""
    made: list[Database] = []

    def make(source: Path | None = None, *, url: str = NOBODY, at: Clock = clock, **variables: Any) -> World:
        path = tmp_path / f"world{len(made)}.db"
        shutil.copyfile(source or migrated_file, path)
        made.append(Database(path))
        return World(made[-1], MLClient(url, TOKEN), settings_of(path, **variables), at)

    yield make
    for database in made:
        database.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """An empty base without an ML service."""
    return make_world()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def ml_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real ML service in a process of its own, with an empty registry."""
    folder, port = tmp_path_factory.mktemp("ml"), free_port()
    env = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        "APP_ENV": "test", "ML_SERVICE_TOKEN": TOKEN, "PYTHON_PORT": str(port), "ML_MODEL_PATH": str(folder / "models"),
        "ML_THREADS": "1", "LOG_LEVEL": "warning", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    process = prefork.start("ml_service", folder=folder, env=env, out=folder / "log")
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                MLClient(url, TOKEN).health()
                break
            except ServiceUnavailable:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def demo_file(migrated_file: Path, ml_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a small demo, made once by the real job; tests work on copies (`demo_world`)."""
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    shutil.copyfile(migrated_file, path)
    database = Database(path, pooled=False)
    made = World(database, MLClient(ml_url, TOKEN), settings_of(path))
    made.do("demo", demo.run)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.fixture
def demo_world(make_world: Callable[..., World], demo_file: Path, ml_url: str) -> World:
    """A copy of the small demo, with the real ML service."""
    return make_world(demo_file, url=ml_url)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`retainstream ...` over a world: its status, what it printed, what it complained of."""

    def call(world: World, *words: str) -> tuple[int | None, str, str]:
        monkeypatch.setattr(data, "prepare", lambda: world.environment)
        monkeypatch.setattr(sys, "argv", ["retainstream", *words])
        status = None
        try:
            cli.main()
        except SystemExit as left:
            status = left.code  # type: ignore[assignment]
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call
