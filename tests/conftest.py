"""The running product, made once per test run and copied from then on."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from _pytest.nodeid import coerce_node_id

from tests import prefork
from tests.stack import Stack

LOG_LINES = 40


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
    """What an old client gets that asks for a training."""
    return stack.analyst().post("/api/model/train", {})


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """End what programs were forked of."""
    prefork.end()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep `xdist_group` together: xdist 3.8 writes the group where pytest 9.2 no longer reads it."""
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
