"""The running product for tests: both services and the worker as processes, a client, and the shapes of the contract."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import requests

from shared.clock import iso, utc_now
from tests import prefork
from tests.prefork import ROOT, Program
from tests.world import MUCH, PASSWORD, SECRET, TOKEN

DEMO_CUSTOMERS = 600
DEMO_EMAIL, DEMO_PASSWORD = "alex.chen@netflix.com", "password"
PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "ml": ("ml_service",),
    "gateway": ("gateway", "gateway"),
    "worker": ("gateway", "worker"),
}


def free_port() -> int:
    """A port that nobody listens on now, and that the system gives to nobody: Linux gives those from 32768 on."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Return whether nobody listens on a port; a killed worker of gunicorn lets go of it a moment after."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(is_so: Callable[[], Any], what: str, seconds: float = 30.0, every: float = 0.05) -> Any:
    """Poll until something true comes back, and return it; fail with `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = is_so()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(every)


@dataclass
class Stack:
    """Processes of one installation in one folder, on ports of its own."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    #: Start interpreters, as an operator does, where speed or memory is measured; otherwise `tests.prefork`.
    interpreters: bool = False
    port: int = field(default_factory=free_port)
    ml_port: int = field(default_factory=free_port)
    running: dict[str, Program | subprocess.Popen[bytes]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def database_path(self) -> Path:
        return self.folder / "database" / "retainstream.db"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ml_url(self) -> str:
        return f"http://127.0.0.1:{self.ml_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the processes, with nothing of the one that the tests run in but a few names."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return kept | {
            "PYTHONPATH": str(ROOT),
            "APP_ENV": "test",
            "PORT": str(self.port),
            "PYTHON_PORT": str(self.ml_port),
            "DATABASE_PATH": str(self.database_path),
            "ML_MODEL_PATH": str(self.models),
            "ML_SERVICE_TOKEN": TOKEN,
            "JWT_SECRET": SECRET,
            "BCRYPT_COST": "4",
            "REQUEST_LIMIT": MUCH,
            "CREDENTIALS_LIMIT": MUCH,
            "ACCOUNT_LIMIT": MUCH,
            "DEMO_CUSTOMERS": str(DEMO_CUSTOMERS),
            **self.variables,
        }

    # --- processes --------------------------------------------------------------------------------------------------

    def log_path(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def log(self, name: str) -> str:
        path = self.log_path(name)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def launch(self, name: str, **variables: str) -> Program | subprocess.Popen[bytes]:
        """Start one process, without waiting until it serves."""
        start = _interpret if self.interpreters else prefork.start
        how: Any = {"folder": self.folder, "env": self.environment | variables, "out": self.log_path(name)}
        self.running[name] = start(*PROGRAMS[name], **how)
        return self.running[name]

    def start(self, *names: str) -> Stack:
        """Start the processes (all of them if none is named) and wait until they serve."""
        names = names or tuple(PROGRAMS)
        began = iso(utc_now())  # to the millisecond: an earlier worker may have been seen in this second
        for name in names:
            self.launch(name)
        for name in names:
            wait_until(partial(self._serves, name, began), f"{name} serves", 60)
        return self

    def _serves(self, name: str, began: str) -> bool:
        assert self.running[name].poll() is None, f"{name} ended at once:\n{self.log(name)[-3000:]}"
        if name == "worker":
            try:
                return bool(self.rows("SELECT 1 FROM workers WHERE seen_at >= ?", began))
            except sqlite3.OperationalError:
                return False  # the gateway has not migrated yet
        try:
            return requests.get(f"{self.url if name == 'gateway' else self.ml_url}/api/health", timeout=5).ok
        except requests.RequestException:
            return False  # it listens only, or not even that

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process and all it started."""
        os.killpg(self.running[name].pid, number)

    def stop(self, *names: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End processes (all of them if none is named), by force if they don't go."""
        chosen = [name for name in (names or tuple(self.running)) if name in self.running]
        for name in chosen:
            self._signal(name, number)
        for name in chosen:
            with suppress(subprocess.TimeoutExpired):
                self.running[name].wait(15)
            # Also when the first process is gone: what it started may not be.
            self._signal(name, signal.SIGKILL)
            self.running.pop(name).wait(5)
            if name in self._ports:
                wait_until(partial(is_free, self._ports[name]), f"the port of {name} is free again", 10, 0.01)

    @property
    def _ports(self) -> dict[str, int]:
        return {"gateway": self.port, "ml": self.ml_port}

    def _signal(self, name: str, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.send(name, number)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """A process that hangs: it takes connections and answers nothing."""
        self.send(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(name, signal.SIGCONT)

    def command(self, *words: str, timeout: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m gateway ...` to its end."""
        return prefork.run("gateway", *words, folder=self.folder, env=self.environment | variables, timeout=timeout)

    # --- its data ---------------------------------------------------------------------------------------------------

    def copy_of(self, template: Path) -> Stack:
        """Begin with the database and models of another one."""
        for name in ("database", "models"):
            # A reader of the template has these two files beside it for a moment.
            beside = shutil.ignore_patterns("*-wal", "*-shm")
            shutil.copytree(template / name, self.folder / name, ignore=beside)
        return self

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Rows of the database file, opened read-only."""
        with closing(sqlite3.connect(f"{self.database_path.as_uri()}?mode=ro", uri=True, timeout=15)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(sql, values).fetchall()

    def value(self, sql: str, *values: Any) -> Any:
        return self.rows(sql, *values)[0][0]

    # --- who asks ---------------------------------------------------------------------------------------------------

    def anonymous(self) -> Api:
        return Api(self.url)

    def analyst(self) -> Api:
        """The demo account."""
        if "analyst" not in self.tokens:
            answer = self.anonymous().post("/api/auth/login", {"email": DEMO_EMAIL, "password": DEMO_PASSWORD})
            self.tokens["analyst"] = answer.json()["data"]["token"]
        return Api(self.url, self.tokens["analyst"])

    def person(self, role: str) -> Api:
        """Somebody of this role, made by the command line."""
        if role not in self.tokens:
            email = f"{role}@example.com"
            done = self.command("user", "create", email, "--name", role, "--role", role, RETAINSTREAM_PASSWORD=PASSWORD)
            assert done.returncode == 0, done.stderr
            answer = self.anonymous().post("/api/auth/login", {"email": email, "password": PASSWORD})
            self.tokens[role] = answer.json()["data"]["token"]
        return Api(self.url, self.tokens[role])

    def ml(self, method: str, path: str, **how: Any) -> requests.Response:
        """Ask the ML service as the gateway does."""
        headers = {"Authorization": f"Bearer {TOKEN}", **how.pop("headers", {})}
        return requests.request(method, f"{self.ml_url}{path}", headers=headers, timeout=120, **how)


def _interpret(*words: str, folder: Path, env: Mapping[str, str], out: Path) -> subprocess.Popen[bytes]:
    """Start `python -m words...` in an interpreter of its own."""
    line = [sys.executable, "-m", *words]
    how: Any = {"cwd": folder, "env": dict(env), "stderr": subprocess.STDOUT, "start_new_session": True}
    with out.open("ab") as log:
        return subprocess.Popen(line, stdout=log, **how)


@dataclass
class Api:
    """A client of the gateway."""

    url: str
    token: str | None = None

    def ask(self, method: str, path: str, *, timeout: float = 120, **how: Any) -> requests.Response:
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **how.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=timeout, allow_redirects=False, **how)

    def get(self, path: str, **how: Any) -> requests.Response:
        return self.ask("GET", path, **how)

    def post(self, path: str, body: Any = None, **how: Any) -> requests.Response:
        return self.ask("POST", path, json=body, **how)

    def data(self, path: str) -> Any:
        """`data` of a read that must succeed."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def job(self, job_id: int) -> dict[str, Any]:
        return dict(self.data(f"/api/jobs/{job_id}"))

    def ended(self, job_id: int, seconds: float = 60) -> dict[str, Any]:
        """A job when it is final."""
        states = ("done", "failed", "cancelled")
        return dict(
            wait_until(lambda: (j := self.job(job_id))["state"] in states and j, f"job {job_id} ends", seconds, 0.1)
        )


def serving(stack: Stack) -> Stack:
    """A gateway and a worker, without an ML service: imports need none."""
    for name in ("gateway", "worker"):
        stack.launch(name)
    wait_until(lambda: _answers(stack) and stack.rows("SELECT 1 FROM workers"), "both serve", 90, 0.3)
    return stack


def _answers(stack: Stack) -> bool:
    try:
        return requests.get(f"{stack.url}/api/openapi.json", timeout=30).ok
    except requests.ConnectionError:
        return False
