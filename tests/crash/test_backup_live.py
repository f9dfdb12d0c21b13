"""Backup and restore of the whole running product: three processes, while people write and a run is on."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.stack import Stack

pytestmark = pytest.mark.xdist_group("backup_live")
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def live(new_stack: Callable[..., Stack]) -> Iterator[Stack]:
    stack = new_stack()
    stack.start()
    yield stack
    stack.stop()


@contextmanager
def writing(stack: Stack) -> Iterator[list[str]]:
    """People register while something else goes on; whose registration was acknowledged."""
    known: list[str] = []
    refused: list[str] = []
    api, stop, mark = stack.anonymous(), threading.Event(), secrets.token_hex(4)

    def register() -> None:
        while not stop.wait(0.02):
            body = {"email": f"p{mark}-{len(known)}@example.com", "password": "a long enough phrase", "name": "P"}
            answer = api.post("/api/auth/register", body)
            (known if answer.status_code == 201 else refused).append(body["email"])

    thread = threading.Thread(target=register)
    thread.start()
    try:
        yield known
    finally:
        stop.set()
        thread.join()
    assert refused == []


def shown(stack: Stack) -> list[Any]:
    """The figures that the pages show of the base."""
    paths = ("dashboard/metrics", "dashboard/distribution", "customers?limit=50", "model/status", "predictions/results")
    found = [stack.analyst().data(f"/api/{path}") for path in paths]
    return [{k: v for k, v in one.items() if k != "timestamp"} if isinstance(one, dict) else one for one in found]


def emails(stack: Stack) -> set[str]:
    return {row[0] for row in stack.rows("SELECT email FROM users WHERE email LIKE 'p%@example.com'")}


def backed_up(stack: Stack, folder: Path) -> tuple[set[str], set[str]]:
    """A backup made while people write and a scoring run is on; who was known before it began, and after it ended."""
    api = stack.analyst()
    with writing(stack) as known:
        job = api.post("/api/predictions/generate", {}, headers=ASYNC)
        before = set(known)
        done = stack.command("backup", str(folder))
        after = set(known)
    assert done.returncode == 0, done.stderr
    assert api.ended(int(job.headers["Location"].rsplit("/", 1)[1]))["state"] == "done"
    assert len(after) > len(before), "people could write while it was made"
    return before, after


def test_a_backup_of_a_running_system_is_whole_and_comes_back_under_it(live: Stack, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    before, after = backed_up(live, kept)
    assert live.command("backup", "--verify", str(kept)).returncode == 0
    with writing(live):
        for words in (("restore", str(kept)), ("restore", str(kept), "--force")):
            refused = live.command(*words)
            assert (refused.returncode, "The system is running" in refused.stderr) == (2, True), refused.stderr
    assert emails(live) >= after, "nothing was touched, and people went on"
    live.stop("gateway", "worker")
    refused = live.command("restore", str(kept))
    assert (refused.returncode, "would overwrite" in refused.stderr) == (2, True)
    done = live.command("restore", str(kept), "--force")
    assert done.returncode == 0, done.stderr
    live.start("gateway", "worker")
    assert before <= emails(live) <= after, "all that was acknowledged before, and of one moment"
    assert live.analyst().get("/api/customers?limit=1").status_code == 403, "a restore ends every session"
    live.tokens.clear()
    works(live)


def test_a_backup_of_a_running_system_starts_elsewhere_and_shows_the_same(
    live: Stack, new_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    done = live.command("backup", str(tmp_path / "kept"))
    assert done.returncode == 0, done.stderr
    other = new_stack(empty=True)
    done = other.command("restore", str(tmp_path / "kept"))
    assert done.returncode == 0, done.stderr
    other.start()
    assert shown(other) == shown(live)
    works(other)


def works(stack: Stack) -> None:
    """Fail unless what is there can be used: a score, a run, its export."""
    api = stack.analyst()
    customer = api.data("/api/customers?limit=1")["customers"][0]["user_id"]
    answer = api.post("/api/predictions/score", {"customer_id": customer})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["churn_probability"] == pytest.approx(
        api.data(f"/api/customers/{customer}")["churn_probability"], abs=1e-9
    )
    assert api.post("/api/predictions/generate", {}).status_code == 200
    assert stack.value("SELECT count(*) FROM scoring_runs WHERE state = 'running'") <= 1
    assert stack.value("PRAGMA integrity_check") == "ok"
