"""Starts the product's programs as forks of a process that has imported them: an interpreter and its imports cost more
CPU time than what most tests ask of them. The programs are processes of their own all the same, with their own
environment, session and exit status; `make test-install` and `make test-slow` start them from the command line.

`python -m tests.prefork SOCKET MODULE...` imports the modules and forks once for each connection to the socket.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import runpy
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: Modules that are imported before a program is forked, by the package of the program.
IMPORTED: Mapping[str, Sequence[str]] = {
    "gateway": (
        "gateway.app",
        "gateway.cli.main",
        "gateway.worker",
        "gateway.services.demo",
        "gateway.services.exporting.parquet",
        "gateway.services.importing.import_file",
        "gateway.services.importing.preview",
        "gateway.services.scoring.scoring_run",
        "gunicorn.app.wsgiapp",
        "shared.web.worker",
    ),
    "ml_service": ("ml_service.app", "ml_service.train_model", "gunicorn.app.wsgiapp", "shared.web.worker"),
}
#: The module that a training imports: the ML service starts an interpreter for each training.
TRAINING = "ml_service.training.child"
START_S = 60.0


@dataclass
class Program:
    """A started program, as `subprocess.Popen` shows one."""

    args: Sequence[str]
    pid: int
    returncode: int | None = None
    _told: socket.socket = field(kw_only=True)

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends; the status is minus the number of the signal that ended it."""
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = int(self._told.recv(100))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    module: str,
    *words: str,
    folder: Path,
    env: Mapping[str, str],
    out: Path,
    err: Path | None = None,
    forking: Sequence[str] = (),
) -> Program:
    """Start `python -m module words...` in a folder; what it prints is appended to files.

    Programs of the packages `forking` that it starts are forks too.
    """
    told = socket.socket(socket.AF_UNIX)
    told.connect(_server(module.partition(".")[0]))
    asked = {"module": module, "words": words, "folder": str(folder), "env": dict(env), "out": str(out)}
    asked["forking"] = {package: _server(package) for package in forking}
    told.sendall(json.dumps({**asked, "err": str(err or out)}).encode() + b"\n")
    told.settimeout(START_S)
    return Program([module, *words], int(_line(told)), _told=told)


def forks_of_trainings() -> ForkServerContext:
    """In place of the context `spawn`: processes that are forks of one that has imported what a training needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([TRAINING])
    return context


def _line(told: socket.socket) -> bytes:
    """Read up to the end of a line and no further: the exit status may follow at once."""
    read = b""
    while not read.endswith(b"\n"):
        read += told.recv(1)
    return read


def run(
    module: str, *words: str, folder: Path, env: Mapping[str, str], timeout: float = 120, forking: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module words...` to its end and return what it printed."""
    with tempfile.TemporaryDirectory() as kept:
        out, err = Path(kept, "out"), Path(kept, "err")
        program = start(module, *words, folder=folder, env=env, out=out, err=err, forking=forking)
        try:
            status = program.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(program.args, status, out.read_text(), err.read_text())


#: The processes that were started to be forked.
_servers: list[subprocess.Popen[bytes]] = []


def end() -> None:
    """End the processes that were started to be forked, and wait: their CPU time counts as this process's."""
    for server in _servers:
        server.terminate()
        server.wait()
    _servers.clear()
    _server.cache_clear()
    if forkserver._forkserver._forkserver_pid is not None:  # type: ignore[attr-defined]
        forkserver._forkserver._stop()  # type: ignore[attr-defined]


@cache
def _server(package: str) -> str:
    """Start the process that programs of a package are forked of; its address."""
    path = os.path.join(tempfile.mkdtemp(prefix="prefork"), "s")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    # One thread, so that nothing is lost by forking.
    env = kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    line = [sys.executable, "-P", "-m", "tests.prefork", path, *IMPORTED[package]]
    server = subprocess.Popen(line, cwd=ROOT, env=env)
    _servers.append(server)
    deadline = time.monotonic() + START_S
    while not os.path.exists(path):
        assert server.poll() is None and time.monotonic() < deadline, f"no process to fork {package} of"
        time.sleep(0.02)
    return path


# --- in the process that is forked ----------------------------------------------------------------------------------


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """Forks once for each connection."""

    timeout = 1.0
    max_children = 1000
    block_on_close = False


class _Handler(socketserver.StreamRequestHandler):
    """A process that forks the program, tells its number and then its exit status."""

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        pid = os.fork()
        if pid == 0:
            self.request.close()
            _become(asked)
        self.wfile.write(f"{pid}\n".encode())
        self.wfile.flush()
        _, status = os.waitpid(pid, 0)
        self.wfile.write(str(os.waitstatus_to_exitcode(status)).encode())


def _become(asked: Mapping[str, Any]) -> None:
    """Run the program in this process, and end."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _redirect(asked["out"], asked["err"])
        os.environ.clear()
        os.environ.update(asked["env"])
        os.chdir(asked["folder"])
        os.execv = _run_here  # type: ignore[assignment]
        if asked["forking"]:
            subprocess.Popen = partial(_fork_it, asked["forking"])  # type: ignore[assignment, misc]
        trainings = forks_of_trainings()
        multiprocessing.get_context = lambda _method=None: trainings  # type: ignore[assignment]
        status = _run(asked["module"], asked["words"])
    except Exception:  # noqa: BLE001 (as the interpreter ends a program)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(module: str, words: Sequence[str]) -> int:
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
            return 1
        return ended.code or 0
    return 0


def _run_here(_path: str, line: Sequence[str]) -> None:
    """In place of `execv`: a service replaces itself by gunicorn, `python -m gunicorn ...`."""
    # gunicorn keeps the folder that it was imported in.
    sys.exit(_run(line[2], [*line[3:], "--chdir", os.getcwd()]))


def _fork_it(servers: Mapping[str, str], line: Sequence[str], *, stdout: Any, **_: Any) -> Program:
    """In place of `Popen`: start `python -m module words...` by another process that is forked."""
    global _server
    _server = servers.__getitem__  # type: ignore[assignment]
    return start(line[2], *line[3:], folder=Path.cwd(), env=os.environ, out=Path(stdout.name))


def _redirect(out: str, err: str) -> None:
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)


def _prepare_trainings(log: Path) -> None:
    """Start the process that trainings are forks of; it ends with this one, and its CPU time counts as this one's."""
    forks_of_trainings()
    kept = os.dup(1), os.dup(2)
    # Lines that trainings log belong to no program's log, and not between the lines of a suite.
    _redirect(str(log), str(log))
    forkserver.ensure_running()
    for number, before in zip((1, 2), kept, strict=True):
        os.dup2(before, number)
        os.close(before)
    started = forkserver._forkserver  # type: ignore[attr-defined]
    # The programs find it running; they can't look after it, because it is no child of theirs.
    started.ensure_running = lambda: None

    def end(*_: object) -> None:
        os.kill(started._forkserver_pid, signal.SIGTERM)
        os.waitpid(started._forkserver_pid, 0)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)


def main() -> None:
    """Import the modules, and fork until the process that asked for them is gone."""
    path, *modules = sys.argv[1:]
    for module in modules:
        importlib.import_module(module)
    if "ml_service.app" in modules:
        _prepare_trainings(Path(path).with_name("trainings.log"))
    parent = os.getppid()
    with _Server(path + ".tmp", _Handler) as server:
        os.rename(path + ".tmp", path)
        while os.getppid() == parent:
            server.handle_request()


if __name__ == "__main__":
    main()
