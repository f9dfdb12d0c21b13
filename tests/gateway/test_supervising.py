"""`make run` keeps its processes running, and leaves none behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from shared.web.gunicorn import why_not
from tests.stack import wait_until

#: Three commands under the manager: their names and lines are given.
PROGRAM = """
import sys
from honcho.printer import Printer
from gateway.cli import supervising
supervising.QUICK_S, supervising.FIRST_PAUSE_S = float(sys.argv[1]), 0.05
manager = supervising.LastingManager(Printer(sys.stdout, colour=False))
for name, line in zip(sys.argv[2::2], sys.argv[3::2]):
    manager.add_process(name, line)
manager.loop()
sys.exit(manager.returncode)
"""


#: The same, where a further signal comes while the first one is told to the processes, which holds a lock.
SIGNALLED_TWICE = PROGRAM.replace(
    "manager.loop()",
    """
import signal
tell = manager._stopping._cond.notify_all
manager._stopping._cond.notify_all = lambda: (signal.raise_signal(signal.SIGTERM), tell())
manager.loop()
""",
)


def managed(*words: str, quick_s: float = 5.0, program: str = PROGRAM) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(quick_s), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _running_in(folder: Path) -> list[str]:
    found = []
    for each in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            found += [each.parent.name] if each.readlink() == folder else []
    return found


def test_what_can_not_stay_is_given_up_with_a_sentence_and_ends_the_rest() -> None:
    with managed("bad", "exec false", "good", "exec sleep 60") as manager:
        said, _ = manager.communicate(timeout=30)
    assert said.count("bad ended with status 1; it is started again") == 4
    assert "bad ended with status 1, 5 times shortly after its start: giving up" in said
    assert manager.returncode == 1


def test_what_dies_is_started_again_and_the_rest_goes_on(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with managed(
        "one", f"echo $$ >> {pids}; exec sleep 60", "other", f"echo $$ > {tmp_path}/other; exec sleep 60"
    ) as manager:
        first = int(wait_until(lambda: pids.exists() and pids.read_text(), "the first start"))
        other = int(wait_until(lambda: (tmp_path / "other").exists() and (tmp_path / "other").read_text(), "the other"))
        os.kill(first, signal.SIGKILL)
        second = int(wait_until(lambda: pids.read_text().split()[1:], "the second start")[0])
        assert runs(second) and runs(other)
        manager.send_signal(signal.SIGTERM)
        said, _ = manager.communicate(timeout=20)
    assert "one was killed by signal 9; it is started again in 0.1 s" in said
    assert not runs(second) and not runs(other)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of who was killed")
def test_none_outlives_a_manager_that_was_killed(tmp_path: Path) -> None:
    with managed("one", f"echo $$ > {tmp_path}/one; exec sleep 60") as manager:
        child = int(wait_until(lambda: (tmp_path / "one").exists() and (tmp_path / "one").read_text(), "the start"))
        manager.kill()
        manager.wait(10)
        wait_until(lambda: not runs(child), "its end", 5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of who was killed")
def test_a_signal_during_a_line_ends_everything_and_is_told(tmp_path: Path) -> None:
    line = f"echo $$ > {tmp_path}/one; yes 'fills the pipe that nobody reads' | head -n 3000; exec sleep 60"
    with managed("one", line) as manager:
        child = int(wait_until(lambda: (tmp_path / "one").exists() and (tmp_path / "one").read_text(), "the start"))
        wait_until(lambda: "pipe" in Path(f"/proc/{manager.pid}/wchan").read_text(), "a full pipe")
        manager.send_signal(signal.SIGTERM)
        said, _ = manager.communicate(timeout=20)
    assert "SIGTERM received" in said and "Traceback" not in said
    assert manager.returncode == 143 and not runs(child)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of who was killed")
def test_a_signal_before_all_have_started_ends_everything(tmp_path: Path) -> None:
    starts = [(f"n{k}", f"cd {tmp_path}; echo $$ > one; exec sleep 60") for k in range(30)]
    with managed(*(word for start in starts for word in start)) as manager:
        wait_until((tmp_path / "one").exists, "a start")
        manager.send_signal(signal.SIGTERM)
        said, _ = manager.communicate(timeout=20)
    wait_until(lambda: not _running_in(tmp_path), "their end", 5)
    assert "SIGTERM received" in said and "Traceback" not in said
    assert manager.returncode == 143


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of who was killed")
def test_a_second_signal_during_the_first_ends_everything(tmp_path: Path) -> None:
    """`make` passes on the signal that its whole group gets from a terminal or a test."""
    with managed("a", f"cd {tmp_path} && exec sleep 60", program=SIGNALLED_TWICE) as manager:
        wait_until(lambda: _running_in(tmp_path), "it runs", 20)
        manager.send_signal(signal.SIGTERM)
        try:
            said, _ = manager.communicate(timeout=20)
        finally:
            manager.kill()
    assert said.count("SIGTERM received") == 2
    assert not _running_in(tmp_path)


def test_a_closed_output_ends_everything(tmp_path: Path) -> None:
    line = f"echo $$ > {tmp_path}/one; while true; do echo line; sleep 0.1; done"
    with managed("one", line) as manager:
        child = int(wait_until(lambda: (tmp_path / "one").exists() and (tmp_path / "one").read_text(), "the start"))
        assert manager.stdout is not None
        manager.stdout.close()
        manager.wait(20)
        wait_until(lambda: not runs(child), "its end", 5)


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_a_taken_port_is_said_with_the_process_that_holds_it() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        sentence = why_not("127.0.0.1", listening.getsockname()[1], "PORT")
    assert sentence is not None and f"process {os.getpid()} (" in sentence
