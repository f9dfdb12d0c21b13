"""The worker's memory goes back to the system when a job is over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.stack import ROOT

KEPT_MB = 10.0
#: In a process of its own: what this one has freed before would be counted too.
WORKER = """
import sys
from pathlib import Path
from gateway.services import kinds
from gateway.services.jobs import work
from gateway.worker import Worker
from tests.world import open_world

def resident_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024

folder = Path(sys.argv[1])
world = open_world(folder / "database" / "retainstream.db")
def done_with(columns, rows):
    path = folder / "database" / "spool" / f"{columns}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\\n".join([",".join(f"c{k}" for k in range(columns)), *[",".join(["some text"] * columns)] * rows]))
    kind = kinds.KINDS["propose-schema"]
    params = kind.read({"path": str(path), "file_name": path.name})
    work.submit(world.database, world.clock, kind, params)
    return Worker(world.environment, name="one").run_one("short")

done_with(10, 10)  # loads what this kind of job needs
before = resident_mb()
ended = done_with(1000, 500)
print(ended.state, round(resident_mb() - before, 1))
"""


def test_after_a_wide_file_the_worker_holds_little_more_than_before(tmp_path: Path) -> None:
    line = [sys.executable, "-c", WORKER, str(tmp_path)]
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    state, kept_mb = ran.stdout.splitlines()[-1].split()
    assert state == "failed"  # no column can be a feature
    assert float(kept_mb) < KEPT_MB
