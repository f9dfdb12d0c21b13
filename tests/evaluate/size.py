"""`python -m tests.evaluate.size`: what a training of many rows and features takes, memory and CPU.

Law: the command runs as a user runs it, in a process of its own, so that its peak is its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS, CATEGORIES, LEVELS = 90, 10, (3, 8, 30, 150, 400)
MONTHS, FIRST_DAY = 8, 19_900


def write_table(folder: Path, rows: int) -> tuple[Path, Path]:
    """A simulated Parquet table of 100 features with ids, dates and gaps, and its schema."""
    rng, features = np.random.default_rng(0), []
    margin, columns = np.full(rows, -3.2), {}
    for k in range(NUMBERS):
        column = rng.normal(size=rows)
        if k % 3 == 0:
            column = np.round(column * 20)
        if k < 25:
            margin += (0.35 / (1 + k / 5)) * (column / 20 if k % 3 == 0 else column)
        if k % 5 == 0:
            column[rng.random(rows) < 0.1] = np.nan
        columns[f"n{k}"] = pa.array(column)
        features.append(f'[features.n{k}]\nkind = "number"')
    for k in range(CATEGORIES):
        codes = rng.integers(0, LEVELS[k % len(LEVELS)], rows)
        margin += 0.2 * np.sin(codes)
        columns[f"c{k}"] = pa.array([f"v{i}" for i in range(max(LEVELS))]).take(pa.array(codes))
        features.append(f'[features.c{k}]\nkind = "category"')
    label = pa.array((rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.int8))
    dates = pa.array((FIRST_DAY + 30 * (np.arange(rows) % MONTHS)).astype(np.int32)).cast(pa.date32())
    ids = pa.array([f"u{i}" for i in range(rows)])
    pq.write_table(pa.table({"id": ids, "seen": dates, **columns, "left": label}), folder / "t.parquet")
    head = 'id = "id"\nas_of = "seen"\nlabel = "left"\npositive = ["1"]\n'
    (folder / "t.toml").write_text(head + "\n".join(features))
    return folder / "t.parquet", folder / "t.toml"


def main() -> int:
    """Train once and print what it took."""
    command = argparse.ArgumentParser(prog="python -m tests.evaluate.size", description=__doc__)
    command.add_argument("--rows", type=int, default=1_000_000)
    command.add_argument("--trials", type=int, default=1)
    options = command.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, schema = write_table(folder, options.rows)
        line = [sys.executable, "-m", "ml_service.train_model", "--data", str(data), "--schema", str(schema)]
        more = ["--trials", str(options.trials), "--out", str(folder / "m")]
        code = subprocess.run([*line, *more], check=False).returncode
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{options.rows:,} rows: at most {used.ru_maxrss / 2**20:.2f} GiB, {used.ru_utime + used.ru_stime:.0f} s of CPU"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
