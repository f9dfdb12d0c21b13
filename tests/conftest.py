"""Worlds and stacks for all tests, and the one demo that they copy."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
import structlog
from _pytest.nodeid import coerce_node_id
from hypothesis import settings

from shared.clock import Clock
from tests import prefork
from tests.fuzz.examples import TIMES
from tests.once import compiled
from tests.stack import Stack
from tests.world import NOBODY, TOKEN, World, clock, on, open_world

LOG_LINES = 40
ML_TESTS = Path(__file__).with_name("ml_service")


@pytest.fixture
def unfiltered_logs() -> Iterator[None]:
    """Log lines of every level, whatever level an earlier test configured."""
    before = structlog.get_config()
    structlog.reset_defaults()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with a database and models, as `retainstream demo` leaves them: made by whichever process asks first."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "template"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _make(folder)
    return folder


def _make(folder: Path) -> None:
    stack = Stack(folder.with_suffix(".unfinished"))
    try:
        stack.start("ml")
        done = stack.command("demo", timeout=200)
    finally:
        stack.stop()
    assert done.returncode == 0, done.stderr
    stack.folder.rename(folder)


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes worlds: an empty database, and an ML service that is not there unless given."""
    made: list[World] = []

    def make(source: Path | None = None, *, url: str = NOBODY, at: Clock = clock, **variables: Any) -> World:
        path = tmp_path / f"world{len(made)}.db"
        if source is not None:
            shutil.copyfile(source, path)
        made.append(open_world(path, url=url, at=at, **variables))
        return made[-1]

    yield make
    for world in made:
        world.database.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """An empty base without an ML service."""
    return make_world()


@pytest.fixture(scope="session")
def demo_file(template: Path) -> Path:
    """The demo's database, to be copied."""
    return template / "database" / "retainstream.db"


@pytest.fixture(scope="session")
def demo_clock(demo_file: Path) -> Clock:
    """The day on which the demo was made."""
    with closing(sqlite3.connect(demo_file)) as raw:
        return on(raw.execute("SELECT max(as_of) FROM customer_snapshots").fetchone()[0])


@pytest.fixture(scope="session")
def ml_url(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real ML service in a process of its own, with the demo's models."""
    stack = Stack(tmp_path_factory.mktemp("ml"), {"ML_SERVICE_TOKEN": TOKEN, "ML_THREADS": "1", "LOG_LEVEL": "warning"})
    stack.copy_of(template).start("ml")
    yield stack.ml_url
    stack.stop()


@pytest.fixture
def demo_world(make_world: Callable[..., World], demo_file: Path, demo_clock: Clock, ml_url: str) -> World:
    """A copy of the demo on the day on which it was made, with the real ML service."""
    return make_world(demo_file, url=ml_url, at=demo_clock)


@pytest.fixture(scope="session")
def new_stack(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """Makes stacks of the demo's data (`empty=True`: of nothing), none of them started; all are ended at the end."""
    made: list[Stack] = []

    def make(*, empty: bool = False, **variables: str) -> Stack:
        stack = Stack(tmp_path_factory.mktemp("stack"), variables)
        made.append(stack)
        return stack if empty else stack.copy_of(template)

    yield make
    for stack in made:
        stack.stop()


@pytest.fixture(scope="session")
def stack(new_stack: Callable[..., Stack]) -> Stack:
    """Both services and a worker over the demo's data; shared, so a test leaves it as able as it found it."""
    return new_stack().start()


@pytest.fixture(scope="session")
def trained(stack: Stack) -> requests.Response:
    """The answer to a training of the demo's data once more."""
    return stack.analyst().post("/api/model/train", {"again": True})


def pytest_configure() -> None:
    """Share what is compiled, draw the same examples each time, and do linear algebra in one thread.

    The tests keep all cores busy: further threads would mostly wait for each other, which took a quarter of the CPU time
    of trainings and half of their speed. Numbers of threads that a test gives itself are as it gives them. `make fuzz`
    draws new examples, twenty times as many.
    """
    compiled.install()
    settings.register_profile("default tests", derandomize=TIMES == 1)
    settings.load_profile("default tests")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_collection_finish() -> None:
    """Keep the collector of garbage from the modules and tests, which stay: it took a tenth of the CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """End what programs were forked of."""
    prefork.end()


#: Fixtures that cost seconds and are made once per process, and the group of the tests that share each.
SHARED = {"stack": "stack", "demo_world": "real ml service", "ml_url": "real ml service"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the tests that share something dear on one process."""
    for name, group in SHARED.items():
        if name in getattr(item, "fixturenames", ()) and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group))


#: The groups to begin with: the first makes the demo, which others would wait for, the second does without it.
FIRST = ("stack", "hard_input")


def _turn(item: pytest.Item) -> int:
    """When a test is started: what takes long before what is short, so that all processes end at the same time."""
    mark = item.get_closest_marker("xdist_group")
    group = mark and (mark.args[0] if mark.args else mark.kwargs["name"])
    if group in FIRST:
        return FIRST.index(group)
    is_long = item.path.is_relative_to(ML_TESTS) or item.path.name == "test_house.py"
    return len(FIRST) + (0 if group else 1 if is_long else 2)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Set the order, and keep `xdist_group` together: xdist 3.8 writes it where pytest 9.2 no longer reads it."""
    items.sort(key=_turn)
    if config.getoption("loadgroup", False):
        for item in items:
            written = vars(item).get("_nodeid")
            if written is not None and written != item.nodeid:
                item._id = coerce_node_id(written)  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: Any = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            for log in sorted(value.folder.glob("*.log")) if isinstance(value, Stack) else ():
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
                report.sections.append((f"last lines of {log.name}", "\n".join(lines)))
    return report
