"""A million customers in, scored and out again, by REST and by command: every row equal, memory and locks bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests import journey
from tests.journey import Came
from tests.load.million import Watch, watched, write_customers
from tests.stack import ROOT, Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.xdist_group("million")]
EXAMPLE = ROOT / "examples" / "customers.csv"
#: A batch of the file, the hashes of a million ids (32 bytes each) and SQLite's caches; nothing else grows.
IMPORT_MB = 512
#: PERFORMANCE bar of each service with a million customers; a scoring run is chunks of 20,000.
SERVICE_MB = 1024
WAIT_S = 600


@dataclass(frozen=True)
class Million:
    """The file, the thousand customers that were there before it, and what came out."""

    file: Path
    count: int
    rest: Came
    watches: dict[str, Watch]
    stack: Stack
    template: Path


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Million]:
    """A model of a thousand rows, then the million through REST."""
    folder = tmp_path_factory.mktemp("million")
    count = write_customers(folder / "million.csv")
    stack = Stack(folder / "rest", {"DEMO": "0", "MAX_UPLOAD_MB": "400"}, interpreters=True).start()
    try:
        journey.by_rest(stack, EXAMPLE, schema="retainstream", as_of="2026-08-01")
        trained = stack.person("analyst").post("/api/model/train", {})
        assert trained.status_code == 200, trained.text
        stack.stop("gateway", "worker")
        template = Stack(folder / "template").copy_of(stack.folder).folder
        stack.start("gateway", "worker")
        api = stack.person("analyst")
        watches = {}
        with watched(stack, api, "import by REST") as watches["import"]:
            told = journey.by_rest(
                stack, folder / "million.csv", schema="retainstream", as_of="2026-09-01", seconds=WAIT_S
            )
        print(f"longest write of the import {told['longest_write_ms']} ms")
        with watched(stack, api, "score by REST") as watches["score"]:
            ran = journey.scored_by_rest(stack, WAIT_S)
        assert ran["predictions_generated"] == stack.value("SELECT count(*) FROM customers WHERE churn = 0")
        with watched(stack, api, "export by REST") as watches["export"]:
            rest = journey.out_by_rest(stack, told, folder, WAIT_S)
        yield Million(folder / "million.csv", count, rest, watches, stack, template)
    finally:
        stack.stop()


def check_every_row(made: Million, came: Came) -> None:
    told = came.imported
    assert (told["total"], told["accepted"], told["rejected"]) == (made.count, made.count, 0)
    before, source, out = journey.read_csv(EXAMPLE), journey.read_csv(made.file), came.everybody()
    assert out.num_rows == before.num_rows + made.count
    for name in source.column_names:
        given = pa.chunked_array([*before.column(name).chunks, *source.column(name).chunks])
        assert journey.differing(given, out.column(name)) == 0, name
    journey.check_parquet(came, out)


def test_every_row_of_a_million_comes_out_by_rest_as_it_went_in(million: Million) -> None:
    check_every_row(million, million.rest)


def test_memory_stays_within_its_bounds(million: Million) -> None:
    for what, watch in million.watches.items():
        for name, peak in watch.peaks.items():
            assert peak < (IMPORT_MB if what == "import" else SERVICE_MB), f"{name} in {what}: {peak:.0f} MB"


def test_no_write_held_the_lock_over_the_limit_and_requests_went_on(million: Million) -> None:
    for what, watch in million.watches.items():
        # On cores that others keep busy everything takes as much longer.
        slower = max(1.0, watch.load / (os.cpu_count() or 1))
        assert max(watch.writes) < 0.25 * slower, f"{what}: somebody waited {max(watch.writes):.2f} s to write"
        assert max(watch.requests) < 0.5 * slower, f"{what}: a request took {max(watch.requests):.2f} s"


def test_the_same_by_command_gives_the_same_rows_and_scores(million: Million, tmp_path: Path) -> None:
    other = Stack(tmp_path / "cli", {"DEMO": "0"}, interpreters=True).copy_of(million.template)
    million.stack.stop("gateway", "worker")
    other.ml_port = million.stack.ml_port
    words = ("import", str(million.file), "--schema", "retainstream", "--as-of", "2026-09-01")
    told = _measured(other, *words, most_mb=IMPORT_MB)
    _measured(other, "score", most_mb=SERVICE_MB)
    result = json.loads(other.value("SELECT result_json FROM jobs WHERE kind = 'import' ORDER BY id DESC LIMIT 1"))
    assert "1,000,000 new customers" in told
    came = journey.out_by_command(other, result, tmp_path, WAIT_S)
    check_every_row(million, came)
    journey.check_same(million.rest.customers, came.customers)
    journey.check_same(million.rest.ledger, came.ledger)


#: VmHWM, not ru_maxrss: that one begins at what the parent of a process had.
PEAK = """import sys
from pathlib import Path
from gateway.cli.main import main
try:
    main()
finally:
    lines = Path("/proc/self/status").read_text().splitlines()
    print("peak", next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""


def _measured(stack: Stack, *words: str, most_mb: float) -> str:
    """Run a command and hold its peak memory against a bound."""
    how: dict[str, Any] = {"cwd": stack.folder, "env": stack.environment, "capture_output": True, "text": True}
    began = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", PEAK, *words], timeout=WAIT_S, check=False, **how)
    assert ran.returncode == 0, ran.stderr[-2000:]
    peak = float(ran.stderr.rsplit("peak", 1)[1].split()[0]) / 1024
    print(f"{words[0]} by command: {time.monotonic() - began:.1f} s; peak {peak:.0f} MB; load {os.getloadavg()[0]:.1f}")
    assert peak < most_mb
    return ran.stdout
