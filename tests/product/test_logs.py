"""Every line that a program writes is one of JSON, from its first to its last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner

from gateway.cli import operate
from tests.stack import PROGRAMS, Stack, wait_until

pytestmark = pytest.mark.xdist_group("stack")


def lines(text: str) -> list[dict[str, Any]]:
    """Each line as an object; a line that is none fails the test."""
    found = []
    for line in text.splitlines():
        assert line.startswith("{"), f"not JSON: {line}"
        found.append(json.loads(line))
    return found


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_every_line_of_every_program_is_json_from_its_start_to_its_end(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(empty=True).start()
    for name in ("gateway", "ml"):
        # A line of gunicorn itself, about a worker process that was killed.
        (served_by,) = children(stack.running[name].pid)
        os.kill(served_by, signal.SIGKILL)
        wait_until(lambda name=name: "SIGKILL" in stack.log(name), f"gunicorn of {name} tells", 20)
    wait_until(lambda: stack.anonymous().get("/api/health").ok, "the gateway serves again", 20)
    stack.stop()
    for name in PROGRAMS:
        told = lines(stack.log(name))
        assert {"service", "event", "level", "timestamp"} <= set.intersection(*map(set, told)), name
        assert {line["service"] for line in told} == {name}
    killed = [line for line in lines(stack.log("gateway")) if "SIGKILL" in line["event"]]
    assert killed[0]["logger"] == "gunicorn.error"
    assert killed[0]["level"] == "error"


def test_a_gateway_that_migrates_logs_json_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    structlog.reset_defaults()  # as in a new process
    served: list[Any] = []

    def migrate(path: Path) -> None:
        structlog.get_logger().warning("slow_write", seconds=0.3)

    monkeypatch.setattr(operate, "migrate", migrate)
    monkeypatch.setattr(operate, "serve", lambda *given, **how: served.append(how))
    monkeypatch.setattr(operate, "log_everything", lambda: None)  # it would take this process's warnings
    env = {"DATABASE_PATH": str(tmp_path / "a.db"), "PORT": str(Stack(tmp_path / "s").port), "LOG_FORMAT": "json"}
    shown = CliRunner().invoke(operate.gateway, [], env=env)
    structlog.reset_defaults()
    assert shown.exit_code == 0, shown.output
    (line,) = lines(shown.stdout)
    assert (line["service"], line["event"], line["level"]) == ("gateway", "slow_write", "warning")
    assert served[0]["json_logs_of"] == "gateway"


CRASHES = """
import logging, threading, warnings
from shared.web.logs import configure_logs, log_everything
configure_logs(service="worker")
log_everything()
logging.getLogger("alembic").warning("migrated %s", "it")
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise RuntimeError("no way on")
"""


def test_logs_of_libraries_warnings_and_crashes_are_lines_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASHES], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 1
    assert done.stderr == ""
    told = lines(done.stdout)
    assert [line["level"] for line in told] == ["warning", "warning", "critical", "critical"]
    assert (told[0]["event"], told[0]["logger"]) == ("migrated it", "alembic")
    assert "UserWarning: old" in told[1]["event"]
    assert "ZeroDivisionError" in told[2]["exception"]
    assert "no way on" in told[3]["exception"]
