"""Customers in and out by the commands that people run, beside reading the file and inserting its rows with nothing else.

Law: CPU seconds of whole processes, both sides; the same rows into the same tables, and out again as many.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from benchmarks import world
from benchmarks.bar import Bar
from database.customers import customer_base
from database.engine.migrate import migrate
from database.engine.session import Database
from shared.clock import utc_now

FILE = "customers.csv"
BARE = Path(__file__).with_name("bare_insert.py")


def bars(data: world.Data, folder: Path, rounds: int, rows: int) -> list[Bar]:
    """Import and export beside the bare way."""
    ours, theirs, out = [], [], []
    for number in range(rounds):
        here = folder / f"transfer-{number}"
        imported, exported = import_and_export(data, here, rows)
        ours.append(imported)
        out.append(exported)
        theirs.append(_bare(here / "bare.db", here / FILE))
    bare = float(np.median(theirs))
    found = []
    for job, took in (("import", ours), ("export", out)):
        mine = float(np.median(took))
        found.append(
            Bar(f"{job} {rows:,} customers", f"{mine:.1f} s CPU", f"{bare:.1f} s CPU (pyarrow + executemany)",
                      mine / bare, "<= 3x", mine <= 3 * bare)
        )  # fmt: skip
    return found


def import_and_export(data: world.Data, folder: Path, rows: int) -> tuple[float, float]:
    """CPU seconds of the two commands in a new folder, which keeps the file."""
    folder.mkdir()
    _write(data, folder / FILE, rows)
    environment = {"APP_ENV": "test", "DATABASE_PATH": str(folder / "ours.db"), "ML_MODEL_PATH": str(folder)}
    command = [sys.executable, "-m", "gateway"]
    line = [*command, "import", str(folder / FILE), "--schema", "retainstream", "--as-of", world.AS_OF]
    imported = _cpu_s(line, environment)
    out = folder / "out.csv"
    exported = _cpu_s([*command, "export", "customers", "-o", str(out)], environment)
    with out.open("rb") as lines:
        assert sum(1 for _ in lines) == rows + 1
    return imported, exported


def _write(data: world.Data, file: Path, rows: int) -> None:
    picked = data.features.take(pa.array(np.arange(rows) * 7919 % len(data.label)))
    ids = pa.array([f"usr_{i + 1}" for i in range(rows)])
    prices = pa.array(7.99 + np.arange(rows) % 3 * 4)
    table = pa.table({"user_id": ids, **{n: picked.column(n) for n in picked.column_names}, "monthly_price": prices})
    pc.write_csv(table, file)


def _cpu_s(line: list[str], environment: dict[str, str]) -> float:
    """CPU seconds of a command and of what it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(line, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _bare(path: Path, file: Path) -> float:
    migrate(path)
    database = Database(path)
    with database.write() as connection:
        customer_base.adopt(connection, world.SCHEMA, is_demo=False, clock=utc_now)
    database.close()
    columns = customer_base.column_names(world.SCHEMA)
    named = [f"{feature}={column}" for feature, column in columns.items()]
    return _cpu_s([sys.executable, str(BARE), str(path), str(file), world.AS_OF, *named], {})
