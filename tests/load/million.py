"""A generated file of a million customers, and what is watched while it goes through the product."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from database.engine.session import Database
from shared.schema.features import built_in_schema
from shared.simulation.simulate import PLANS, simulate
from tests.stack import Api, Stack

ROWS = 1_000_000


def write_customers(path: Path, count: int = ROWS) -> int:
    """A file of simulated rows, as many as there are months of a twelfth as many customers."""
    months = simulate("documented", customers=count // 12 + 1, months=12, seed=5, last_calendar_month=6).months
    rows = months.rows(np.arange(min(count, len(months))))
    names = [f"usr_{number:08d}" for number in range(len(rows))]
    columns: dict[str, Any] = {"user_id": names, "email": [f"{name}@example.com" for name in names]}
    columns["plan"] = [PLANS[code].name for code in rows.plan.tolist()]
    columns |= {name: getattr(rows, name) for name in built_in_schema().feature_names if name != "plan"}
    columns |= {"monthly_price": rows.monthly_price, "churn": rows.churned}
    pcsv.write_csv(pa.table(columns), path)
    return len(rows)


def processes(leader: int) -> list[int]:
    """A process that leads a group, and all that it started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                group = int((entry / "stat").read_text().rpartition(")")[2].split()[2])
            except (FileNotFoundError, ProcessLookupError):
                continue
            found += [int(entry.name)] if group == leader else []
    return found


def peak_mb(leader: int) -> float:
    """The most resident memory since `forget_peaks`, of a process and all that it started, added up."""
    kilobytes = 0
    for each in processes(leader):
        lines = Path(f"/proc/{each}/status").read_text().splitlines()
        kilobytes += next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    return kilobytes / 1024


def forget_peaks(leader: int) -> None:
    """Count peaks from now on."""
    for each in processes(leader):
        Path(f"/proc/{each}/clear_refs").write_text("5")


@dataclass
class Watch:
    """Costs of one stretch of work: seconds, peak memory by process, the slowest request and write beside it.

    `slow_writes` are transactions of more than 250 ms. Others do not wait while the commit copies pages into the
    database (checkpoint); `writes` are the seconds that others waited.
    """

    seconds: float = 0.0
    load: float = 0.0
    peaks: dict[str, float] = field(default_factory=dict)
    requests: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    slow_writes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        peaks = ", ".join(f"{name} {mb:.0f} MB" for name, mb in self.peaks.items())
        told = f"{self.seconds:.1f} s; peaks {peaks}; load {self.load:.1f}"
        if self.requests:
            told += f"; {len(self.requests)} requests, slowest {max(self.requests) * 1000:.0f} ms"
            told += f"; {len(self.writes)} writes beside, longest wait {max(self.writes) * 1000:.0f} ms"
        return f"{told}; transactions over 250 ms: {self.slow_writes}"


PATHS = ("/api/customers?limit=10", "/api/auth/me", "/api/dashboard/metrics", "/api/jobs?limit=5")


@contextmanager
def watched(stack: Stack, api: Api, what: str) -> Iterator[Watch]:
    """Ask and write beside some work, and measure."""
    watch, stop = Watch(), threading.Event()
    logged = {name: len(stack.log(name)) for name in stack.running}
    for process in stack.running.values():
        forget_peaks(process.pid)
    threads = [
        threading.Thread(target=_often, args=(lambda k: _ask(api, k, watch), stop)),
        threading.Thread(target=_often, args=(lambda k: _write(stack.database_path, watch), stop)),
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        watch.seconds, watch.load = time.monotonic() - began, os.getloadavg()[0]
        stop.set()
        for thread in threads:
            thread.join()
        watch.peaks = {name: peak_mb(process.pid) for name, process in stack.running.items()}
        watch.slow_writes = [s for name, at in logged.items() for s in _slow(stack.log(name)[at:])]
        print(f"{what}: {watch}")


def _often(act: Callable[[int], None], stop: threading.Event) -> None:
    turn = 0
    while not stop.wait(0.05):
        act(turn)
        turn += 1


def _ask(api: Api, turn: int, watch: Watch) -> None:
    began = time.monotonic()
    answer = api.get(PATHS[turn % len(PATHS)])
    assert answer.status_code == 200, answer.text
    watch.requests.append(time.monotonic() - began)


def _write(path: Path, watch: Watch) -> None:
    """Time how long a request that writes waits: until the lock is free."""
    with closing(Database(path, pooled=False)) as database:
        began = time.monotonic()
        with database.write():
            watch.writes.append(time.monotonic() - began)


def _slow(log: str) -> Iterator[str]:
    for line in log.splitlines():
        if '"slow_write"' in line:
            told = json.loads(line)
            yield f"{told['seconds']:.2f} s ({told['commit_seconds']:.2f} of it the commit)"
