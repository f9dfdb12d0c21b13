"""Starting, starting again, and being stopped at the worst moment."""

from __future__ import annotations

import hashlib
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import prefork
from tests.stack import PASSWORD, PROGRAMS, Stack, wait_until

pytestmark = pytest.mark.xdist_group("restarts")
OWN_SECRET, OWN_TOKEN = "0123456789abcdef" * 4, "fedcba9876543210" * 4
FACTS = (
    "customers",
    "customer_snapshots",
    "subscriptions",
    "models",
    "model_timeline",
    "scoring_runs",
    "ledger",
    "outcomes",
    "published_run",
    "users",
    "base",
)


def _facts(stack: Stack) -> dict[str, Any]:
    counts = {name: stack.value(f"SELECT count(*) FROM {name}") for name in FACTS}
    folders = sorted((p.name, p.stat().st_mtime_ns) for p in stack.models.iterdir())
    return {**counts, "models on disk": folders, "shown": stack.value("SELECT run_id FROM published_run")}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- starting again -------------------------------------------------------------------------------------------------


def test_a_second_start_redoes_nothing(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    before = _facts(stack)
    stack.start()
    for words in (("migrate",), ("demo",), ("first-run",)):
        done = stack.command(*words)
        assert done.returncode == 0, done.stderr
    assert "ready" in done.stdout
    assert _facts(stack) == before
    stack.stop()
    stack.start()
    assert _facts(stack) == before
    assert stack.analyst().data("/api/dashboard/metrics")["predictedChurners"]["count"] > 0
    assert stack.anonymous().get("/api/health/ready").status_code == 200


def test_a_token_outlives_a_restart(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack().start("gateway")
    api = stack.analyst()
    assert api.get("/api/auth/me").status_code == 200
    stack.stop("gateway")
    stack.start("gateway")
    assert api.get("/api/auth/me").status_code == 200


def test_what_was_acknowledged_is_there_after_a_kill(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(empty=True).start("gateway")
    acknowledged: list[str] = []
    stops = threading.Event()

    def register(lane: int) -> None:
        for k in range(100_000):
            if stops.is_set():
                return
            email = f"lane{lane}.{k}@example.com"
            body = {"email": email, "password": PASSWORD, "name": f"Lane {lane}"}
            try:
                if stack.anonymous().post("/api/auth/register", body, timeout=10).status_code == 201:
                    acknowledged.append(email)
            except requests.RequestException:
                return

    with ThreadPoolExecutor(3) as pool:
        lanes = [pool.submit(register, lane) for lane in range(3)]
        wait_until(lambda: len(acknowledged) >= 40, "people register", 30, 0.01)
        stack.stop("gateway", number=signal.SIGKILL)
        stops.set()
        for lane in lanes:
            lane.result()
    stack.start("gateway")
    known = {row["email"] for row in stack.rows("SELECT email FROM users")}
    assert set(acknowledged) <= known
    assert stack.value("PRAGMA integrity_check") == "ok"
    body = {"email": acknowledged[-1], "password": PASSWORD}
    assert stack.anonymous().post("/api/auth/login", body).status_code == 200


def test_a_gateway_that_is_asked_to_stop_ends_what_it_has_begun(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack().start()
    api = stack.analyst()
    with ThreadPoolExecutor(1) as pool:
        with stack.frozen("ml"):
            waiting = pool.submit(api.post, "/api/dashboard/predict", {"sample_size": 3})
            wait_until(lambda: stack.rows("SELECT 1 FROM jobs WHERE state = 'running'"), "it runs")
            stack.running["gateway"].terminate()
        answer = waiting.result()
    assert answer.status_code == 200
    assert stack.running["gateway"].wait(15) == 0


# --- migrating ------------------------------------------------------------------------------------------------------


def test_two_gateways_migrate_one_file_at_once(new_stack: Callable[..., Stack]) -> None:
    one = new_stack(empty=True)
    two = new_stack(empty=True, DATABASE_PATH=str(one.database_path))
    for stack in (one, two):
        stack.launch("gateway")
    for stack in (one, two):
        health = wait_until(lambda stack=stack: _health(stack), "it serves", 60)
        assert health["dependencies"]["database"] == "OK"
        assert "Traceback" not in stack.log("gateway")
    assert one.value("SELECT count(*) FROM alembic_version") == 1
    body = {"email": "both@example.com", "password": PASSWORD, "name": "Both"}
    assert one.anonymous().post("/api/auth/register", body).status_code == 201
    assert two.anonymous().post("/api/auth/login", body).status_code == 200


def _health(stack: Stack) -> Any:
    assert stack.running["gateway"].poll() is None, stack.log("gateway")
    try:
        return requests.get(f"{stack.url}/api/health", timeout=5).json()
    except requests.RequestException:
        return None


def _old_database(path: Path, *, wal: bool = False) -> None:
    with closing(sqlite3.connect(path)) as connection:
        if wal:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, password_hash TEXT, name TEXT, role TEXT);"
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, user_id TEXT UNIQUE, email TEXT, plan TEXT, churn INTEGER);"
            "INSERT INTO users VALUES (1, 'alex.chen@netflix.com', 'no hash', 'Alex Chen', 'analyst');"
            "INSERT INTO customers VALUES (1, 'usr_942183', 'a@b.c', 'Premium 4K', 0);"
        )


def _foreign(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("These are my notes, not a database.\n" * 50)
    else:
        _old_database(path, wal=kind == "old, WAL")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("old", "retainstream.db"),
        ("old, WAL", "retainstream.db"),
        ("text", "retainstream.db"),
        ("old", "my #1 %20 file?.db"),
    ],
)
def test_a_file_of_another_program_is_refused_and_stays_as_it_is(
    new_stack: Callable[..., Stack], kind: str, name: str
) -> None:
    stack = new_stack(empty=True)
    path = stack.folder / "other" / name
    path.parent.mkdir()
    _foreign(path, kind)
    before = _digest(path)
    done = stack.command("gateway", timeout=30, DATABASE_PATH=str(path))
    assert done.returncode not in (0, None)
    assert name in done.stderr
    assert "DATABASE_PATH" in done.stderr
    assert "Traceback" not in done.stderr
    if kind != "text":
        assert "not changed" in done.stderr
    assert _digest(path) == before
    assert {p.name for p in path.parent.iterdir()} <= {
        name,
        *(f"{name}{end}" for end in (".migrate-lock", ".use-lock", "-shm", "-wal")),
    }


@pytest.mark.parametrize("command", ["worker", "demo"])
def test_no_command_touches_a_file_of_another_program(new_stack: Callable[..., Stack], command: str) -> None:
    stack = new_stack(empty=True)
    path = stack.folder / "old.db"
    _old_database(path)
    before = _digest(path)
    done = stack.command(command, timeout=30, DATABASE_PATH=str(path))
    assert done.returncode not in (0, None)
    assert "not changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert _digest(path) == before


def test_a_file_with_an_odd_name_works(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(empty=True)
    path = stack.folder / "my #1 %20 file?.db"
    done = stack.command("migrate", DATABASE_PATH=str(path))
    assert done.returncode == 0, done.stderr
    assert path.stat().st_size > 0
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


# --- refusing to start ----------------------------------------------------------------------------------------------


def _start(stack: Stack, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return prefork.run(*PROGRAMS[name], folder=stack.folder, env=stack.environment | variables, timeout=30)


@pytest.mark.parametrize(
    ("name", "wrong", "value"),
    [
        ("gateway", "JWT_SECRET", ""),
        ("gateway", "ML_SERVICE_TOKEN", "too-short-to-keep"),
        ("worker", "JWT_SECRET", "too-short-to-keep"),
        ("ml", "ML_SERVICE_TOKEN", ""),
        ("ml", "ML_SERVICE_TOKEN", "too-short-to-keep"),
    ],
)
def test_production_refuses_secrets_that_are_none(
    new_stack: Callable[..., Stack], name: str, wrong: str, value: str
) -> None:
    secrets = {"JWT_SECRET": OWN_SECRET, "ML_SERVICE_TOKEN": OWN_TOKEN, wrong: value}
    done = _start(new_stack(empty=True), name, APP_ENV="production", **secrets)
    assert done.returncode not in (0, None)
    said = done.stdout + done.stderr
    assert wrong in said
    assert "openssl rand -hex 32" in said
    assert "Traceback" not in said
    for secret in ("too-short-to-keep", OWN_SECRET, OWN_TOKEN, "development-only"):
        assert secret not in said


def test_node_env_counts_where_app_env_is_absent(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(empty=True)
    environment = {k: v for k, v in stack.environment.items() if k not in ("APP_ENV", "JWT_SECRET")}
    variables = {"NODE_ENV": "production", "ML_SERVICE_TOKEN": OWN_TOKEN}
    done = prefork.run(*PROGRAMS["gateway"], folder=stack.folder, env=environment | variables, timeout=30)
    assert done.returncode not in (0, None)
    assert "JWT_SECRET" in done.stderr


@pytest.mark.parametrize(("name", "variable"), [("gateway", "PORT"), ("ml", "PYTHON_PORT")])
def test_a_taken_port_is_said_in_a_sentence(new_stack: Callable[..., Stack], name: str, variable: str) -> None:
    stack = new_stack(empty=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = _start(stack, name, **{variable: port})
    assert done.returncode not in (0, None)
    assert f"Port {port}" in done.stderr
    assert f"{variable} to a free port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PORT", "none-of-your-ports"), ("CREDENTIALS_LIMIT", "often"), ("LIST_CUT", "0.12345"), ("BCRYPT_COST", "99")],
)
def test_a_setting_that_is_wrong_is_named_without_its_value(
    new_stack: Callable[..., Stack], variable: str, value: str
) -> None:
    done = _start(new_stack(empty=True), "gateway", **{variable: value})
    assert done.returncode not in (0, None)
    assert variable in done.stdout + done.stderr
    assert value not in done.stderr.replace("0.001", "")
    assert "Traceback" not in done.stderr


def test_an_old_env_file_works_as_it_is(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(empty=True)
    (stack.folder / ".env").write_text(
        f"PORT={stack.port}\nNODE_ENV=development\nDATABASE_PATH=./database/retainstream.db\n"
        f"JWT_SECRET=your-secret-key\nPYTHON_SERVICE_URL={stack.ml_url}\nPYTHON_PORT={stack.ml_port}\n"
        "ML_MODEL_PATH=./models/churn_model.pkl\nCONFIDENCE_THRESHOLD=0.7\nMODEL_VERSION=2.4.1\nTARGET_AUC=0.87\n"
        "ALLOWED_ORIGINS=http://localhost:3000\nLOG_LEVEL=info\n"
    )
    kept = {k: v for k, v in stack.environment.items() if k in ("PATH", "HOME", "LANG", "PYTHONPATH")}
    for name in ("ml", "gateway"):
        how: Any = {"folder": stack.folder, "env": kept, "out": stack.log_path(name)}
        stack.running[name] = prefork.start(*PROGRAMS[name], **how)
    for name in ("ml", "gateway"):
        wait_until(lambda name=name: stack._serves(name, ""), f"{name} serves", 60)
    health = stack.anonymous()
    wait_until(lambda: health.get("/api/health").json()["dependencies"]["ml_service"] == "OK", "they talk", 10)
    assert stack.database_path.exists()
    assert "the file itself is never read" in stack.log("ml")
