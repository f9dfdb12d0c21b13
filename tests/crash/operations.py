"""Operations that are under way when something is killed: jobs over REST, and commands."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from database.engine.revisions import newest_revision
from tests import prefork
from tests.prefork import Program
from tests.stack import Stack

IMPORTED_ROWS = 5_000
#: How ids of imported customers begin.
IMPORTED = "imp_"
HEADER = (
    "user_id,email,plan,watch_time_hours,subscription_age_months,device_count,last_login_days,payment_failures,"
    "tenure_months,churn"
)
ASYNC = {"Prefer": "respond-async"}


@dataclass(frozen=True)
class UnderWay:
    """An operation that was started: the job that does it, the command, or the thread that asks."""

    job_id: int | None = None
    command: Program | None = None
    thread: threading.Thread | None = None

    def is_under_way(self, stack: Stack, victim: str) -> bool:
        """Return whether it goes on; what the receiver takes part in goes on until each event is delivered."""
        if self.command is not None:
            return self.command.poll() is None
        if self.thread is not None:
            return self.thread.is_alive()
        sent = "SELECT 1 FROM webhook_deliveries WHERE state = 'waiting'"
        if victim == "receiver" and stack.rows(sent):
            return True
        return bool(stack.rows("SELECT 1 FROM jobs WHERE id = ? AND state IN ('queued', 'running')", self.job_id))


@dataclass(frozen=True)
class Operation:
    """A kind of work, who may be killed meanwhile, and about how long it takes."""

    name: str
    start: Callable[[Stack, random.Random], UnderWay]
    victims: tuple[str, ...]
    takes_s: float


def customers_file(stack: Stack, chance: random.Random, first: int = 0) -> Path:
    """A table that nobody has imported: 5,000 customers, numbered from the first, with other values each time."""
    path = stack.folder / f"import-{chance.getrandbits(60)}.csv"
    lines = [
        f"{IMPORTED}{k:05},i{k}@example.com,Standard,{chance.randrange(300)},{k % 40},{1 + k % 5},{chance.randrange(30)},0,{k % 40},0"
        for k in range(first, first + IMPORTED_ROWS)
    ]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def asked(stack: Stack, method: str, path: str, **how: Any) -> UnderWay:
    """Ask for a job, without waiting for it."""
    answer = stack.person("admin").ask(method, path, headers=ASYNC, **how)
    assert answer.status_code == 202, f"{answer.status_code} {answer.text}"
    return UnderWay(job_id=int(answer.headers["Location"].rsplit("/", 1)[1]))


def _import(stack: Stack, chance: random.Random) -> UnderWay:
    with customers_file(stack, chance).open("rb") as file:
        return asked(stack, "POST", "/api/customers/import", files={"file": file}, data={"schema": "retainstream"})


def _job(method: str, path: str, **how: Any) -> Callable[[Stack, random.Random], UnderWay]:
    return lambda stack, _: asked(stack, method, path, **how)


def _command(*words: str) -> Callable[[Stack, random.Random], UnderWay]:
    def start(stack: Stack, _: random.Random) -> UnderWay:
        return UnderWay(command=begin(stack, *words))

    return start


def _import_by_command(stack: Stack, chance: random.Random) -> UnderWay:
    return UnderWay(command=begin(stack, "import", str(customers_file(stack, chance)), "--schema", "retainstream"))


def begin(stack: Stack, *words: str, **variables: str) -> Program:
    """Start a command, which prints to command.log."""
    env: Mapping[str, str] = stack.environment | variables
    return prefork.start("gateway", *words, folder=stack.folder, env=env, out=stack.folder / "command.log")


def _promote(stack: Stack, chance: random.Random) -> UnderWay:
    """Versions go live one after the other, asked for beside."""
    admin, versions = stack.person("admin"), ["2.4.1", "2.4.2", "2.4.3"]

    def promote() -> None:
        for version in chance.sample(versions, k=len(versions)):
            with suppress(requests.RequestException):  # the gateway may be the one that is killed
                admin.post("/api/model/promote", {"version": version, "reason": "crash", "force": True})

    thread = threading.Thread(target=promote)
    thread.start()
    return UnderWay(thread=thread)


def _restore(stack: Stack, _: random.Random) -> UnderWay:
    other = stack.folder / "restored"
    places = {"DATABASE_PATH": str(other / "retainstream.db"), "ML_MODEL_PATH": str(other / "models")}
    return UnderWay(command=begin(stack, "restore", "kept", "--force", **places))


def _migrate(stack: Stack, _: random.Random) -> UnderWay:
    """A new database, or the one whose migration was killed."""
    path = stack.folder / "migrated" / "retainstream.db"
    if path.exists() and _is_migrated(path):
        shutil.rmtree(path.parent)
    return UnderWay(command=begin(stack, "migrate", DATABASE_PATH=str(path)))


def _is_migrated(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as raw:
        if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return False
        return raw.execute("SELECT version_num FROM alembic_version").fetchone() == (newest_revision(),)


SERVICES = ("worker", "gateway")
OPERATIONS = (
    Operation("import", _import, SERVICES, 2.5),
    Operation("scoring run", _job("POST", "/api/predictions/generate", json={}), (*SERVICES, "ml", "receiver"), 1.5),
    Operation("training", _job("POST", "/api/model/train", json={"again": True}), (*SERVICES, "ml", "receiver"), 8.0),
    Operation("export", _job("GET", "/api/customers/export?format=parquet"), SERVICES, 1.0),
    Operation("import by command", _import_by_command, ("command",), 2.0),
    Operation("scoring run by command", _command("score"), ("command", "ml"), 1.5),
    Operation("backup", _command("backup", "kept"), ("command", "gateway"), 0.8),
    Operation("promotion", _promote, ("gateway", "ml"), 0.2),
    Operation("restore", _restore, ("command",), 0.6),
    Operation("migration", _migrate, ("command",), 0.1),
    Operation("retention", _command("retention"), ("command",), 0.6),
)
