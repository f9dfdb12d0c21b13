"""`make soak`: users on all routes of the gateway, an import and a scoring run beside; no error, and no memory kept.

Users ask for some minutes before, most of them beside the work, until all that is kept has filled. Then time begins:
where memory stands in the first fifth of it is the plateau. From there to half of the time a file is imported,
everybody is scored and everything is exported, again and again. Once the last work and the last training have ended,
users go on alone to the end of the time: where half of it is five minutes or longer, for five minutes at least, in
which memory has to be back on its plateau and must not grow.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ml_service.settings import Settings as MLSettings
from tests import journey, prefork
from tests.load.million import write_customers
from tests.prefork import ROOT
from tests.soak import refusals
from tests.soak.beside import JOB_S, Beside, sleep_until
from tests.soak.memory import ARENA_MB, SHARE, Memory, slope
from tests.soak.people import people
from tests.soak.routes import COVERED, HEADER, Known
from tests.stack import Stack, wait_until

LOCUST = ROOT / ".venv-suites" / "bin" / "locust"
EXAMPLE = ROOT / "examples" / "customers.csv"
SCHEMA = ROOT / "shared" / "schema" / "retainstream.toml"
WARM, ALONE = 0.2, 0.5
#: Share of the time after which no user begins a training: one of a million holds its rows for minutes.
TRAINED = 0.3
#: Minutes of users before time begins, where memory is judged, and the share of them without work beside: the gateway's
#: 17 page caches took nine minutes to fill, and its other objects five from the first work on.
BEFORE, BEFORE_ALONE = 10.0, 0.2
JUDGED_S = 300.0
#: Name of the file that tells locust to end.
END = "end"
FEW = 20_000
#: Rounds of work before users come, so that the base grows little beside them.
FIRST_ROUNDS = 8
#: Processes that have to last, by their names in `Memory`: what died and was started again has no plateau.
SERVING = ("gateway serving", "ml serving", "worker")
#: Versions that the ML service keeps in memory.
KEPT: int = MLSettings.model_fields["ml_model_cache"].default


def prepared(stack: Stack, customers: int | None, *, judged: bool) -> Beside:
    """Start everything, with the demo or with so many customers, and do every kind of work once."""
    table = stack.folder / "beside.csv"
    write_customers(table, FEW if customers is None else customers)
    if customers is None:
        stack.start("ml")
        made = stack.command("demo", timeout=1200)
        assert made.returncode == 0, made.stderr
        stack.start("gateway", "worker")
    else:
        stack.start()
        journey.by_rest(stack, EXAMPLE, schema="retainstream", as_of="2026-08-01")
        for _ in range(2):
            trained = stack.person("analyst").post("/api/model/train", {"again": True}, timeout=JOB_S)
            assert trained.status_code == 200, trained.text
    beside = Beside(stack, table)
    for _ in range(FIRST_ROUNDS if judged and customers is None else 1):
        beside.round()
    if judged:
        fill_model_cache(stack)
    return beside


def fill_model_cache(stack: Stack) -> None:
    """Train as many versions as the ML service keeps in memory, and score with each: they stay there."""
    analyst, admin = stack.person("analyst"), stack.person("admin")
    for _ in range(KEPT):
        trained = analyst.post("/api/model/train", {"again": True}, timeout=JOB_S)
        assert trained.status_code == 200, trained.text
    live = analyst.data("/api/model/status")["version"]
    others = [each["version"] for each in analyst.data("/api/model/versions")["versions"] if each["version"] != live]
    for version in [*others[: KEPT - 1], live]:
        promoted = admin.post("/api/model/promote", {"version": version, "reason": "a soak", "force": True})
        assert promoted.status_code == 200, promoted.text
        scored = analyst.post("/api/dashboard/predict", {"sample_size": 50})
        assert scored.status_code == 200, scored.text


def known(stack: Stack, users: int) -> Known:
    """Make the records that users have to know."""
    api, admin = stack.person("analyst"), stack.person("admin")
    few = stack.folder / "rejected.csv"
    few.write_text(f"{HEADER}\nann,a@example.com,Standard,12.5,3,2,4,0,3\nbob,b@example.com,Standard,many,9,1,30,1,9\n")
    answer = journey.uploaded(api, "/api/customers/import", few, schema="retainstream", keep_good="true")
    import_job = int(answer.headers["Location"].rsplit("/", 1)[1])
    ended = api.ended(import_job)
    assert ended["state"] == "done", ended["error"]
    answer = api.get("/api/customers/export?format=parquet&risk=High", headers={"Prefer": "respond-async"})
    export_job = int(answer.headers["Location"].rsplit("/", 1)[1])
    assert api.ended(export_job, JOB_S)["state"] == "done"
    versions = [each["version"] for each in api.data("/api/model/versions")["versions"]]
    live = api.data("/api/model/status")["version"]
    return Known(
        people=people(stack, users),
        tokens={"owner": api.token or "", "admin": admin.token or ""},
        customers=[each["user_id"] for each in api.data("/api/customers?limit=100&scored=yes")["customers"]],
        export_job=export_job,
        import_job=import_job,
        live=live,
        older=next(version for version in versions if version != live),
        schema=SCHEMA.read_text(encoding="utf-8"),
    )


def users(stack: Stack, options: argparse.Namespace, told: Path, *, last_long_task: float) -> subprocess.Popen[bytes]:
    """Start locust; nobody begins a long task later than the monotonic clock's `last_long_task`."""
    where = {
        "SOAK_KNOWN": str(told.with_name("known.json")),
        "SOAK_TOLD": str(told),
        "SOAK_END": str(told.with_name(END)),
        "SOAK_LAST_LONG_TASK": str(last_long_task),
    }
    line = [str(LOCUST), "-f", str(ROOT / "tests" / "soak" / "users.py"), "--headless", "--host", stack.url]
    line += ["--users", str(options.users), "--spawn-rate", "10"]
    line += ["--stop-timeout", "120", "--only-summary", "--exit-code-on-error", "0", "--loglevel", "ERROR"]
    with told.with_name("locust.log").open("wb") as log:
        env = os.environ | where | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(line, cwd=told.parent, env=env, stdout=log, stderr=subprocess.STDOUT)


def told_of_requests(found: dict[str, Any], minutes: float) -> None:
    """Print times of each route."""
    every = [took for times in found["times"].values() for took in times]
    print(f"\n{'route':52} requests     p50      p99      max")
    for route, times in [*sorted(found["times"].items()), ("in all", every)]:
        p50, p99 = np.percentile(times, [50, 99]) * 1000
        print(f"{route:52} {len(times):8,} {p50:6.0f} ms {p99:5.0f} ms {max(times) * 1000:5.0f} ms")
    print(f"{len(every) / minutes / 60:.0f} requests a second")
    for what, count in sorted(found["refused"].items()):
        print(f"told to come again: {count} x {what}")


def told_of_refusals(found: dict[str, Any], *, judged: bool) -> list[str]:
    """Return what is wrong with how often users were told to come again; a short run need not reach each route."""
    answers = {route: len(times) for route, times in found["times"].items()}
    return list(refusals.faults(answers, found["expected"], found["refused"], COVERED if judged else ()))


def told_of_memory(memory: Memory, began: float, minutes: float, alone: float, end: float) -> list[str]:
    """Print where memory stood, and return what is wrong with it; users are `alone` to the `end`."""
    seconds, faults = minutes * 60, list[str]()
    warm = began + WARM * seconds
    print(f"\n{'process':30} plateau     peak    after  slope of the last {(end - alone) / 60:.1f} minutes")
    lasting = sorted(memory.lasting(began, end))
    for name in SERVING:
        if not any(each.startswith(f"{name} (") for each in lasting):
            faults.append(f"{name}: no process lasted from the beginning to the end")
    for name in lasting:
        plateau = float(np.median(memory.between(name, began + WARM / 2 * seconds, warm)[1]))
        peak = float(max(memory.between(name, began, end)[1]))
        after = float(np.median(memory.between(name, end - (end - alone) / 2, end)[1]))
        found = slope(*memory.between(name, alone, end))
        print(f"{name:30} {plateau:4.0f} MB {peak:5.0f} MB {after:5.0f} MB  {found or 'too short to say'}")
        if not is_judged(minutes):
            continue  # caches have not filled yet: shown, not judged
        if after > plateau * (1 + SHARE) + ARENA_MB:
            faults.append(f"{name} stands at {after:.0f} MB, {after - plateau:.0f} MB above its plateau")
        if found is not None and found.is_leak:
            faults.append(f"{name} grows: {found}")
    return faults


def is_judged(minutes: float) -> bool:
    """Return whether memory is judged in a soak of so many minutes."""
    return (1 - ALONE) * minutes * 60 >= JUDGED_S


def trains(stack: Stack) -> bool:
    """Return whether a training waits or runs."""
    return bool(stack.rows("SELECT 1 FROM jobs WHERE kind = 'train' AND state IN ('queued', 'running')"))


def soak(stack: Stack, options: argparse.Namespace) -> list[str]:
    """Let users ask, work beside them, measure; return the faults."""
    beside, told = prepared(stack, options.customers, judged=is_judged(options.minutes)), stack.folder / "told.json"
    told.with_name("known.json").write_text(json.dumps(vars(known(stack, options.users))))
    judged, first = is_judged(options.minutes), time.monotonic()
    began = first + options.before * 60
    last_long_task = began + TRAINED * options.minutes * 60 if judged else math.inf
    with Memory(stack) as memory:
        asking = users(stack, options, told, last_long_task=last_long_task)
        try:
            if options.before:
                sleep_until(began - (1 - BEFORE_ALONE) * options.before * 60)
                beside.until(began)
            sleep_until(began + WARM * options.minutes * 60)
            beside.until(began + ALONE * options.minutes * 60)
            if judged:
                wait_until(lambda: not trains(stack), "the last training ends", JOB_S, 0.5)
            alone = max(time.monotonic(), began + ALONE * options.minutes * 60)
            end = max(began + options.minutes * 60, alone + JUDGED_S if judged else 0)
            with suppress(subprocess.TimeoutExpired):  # locust ends by itself only if something is wrong
                asking.wait(max(0.0, end - time.monotonic()))
            told.with_name(END).touch()
            status = asking.wait(300)
        finally:
            asking.kill()
    told.with_name("memory.json").write_text(json.dumps({"alone": alone, "end": end, "megabytes": memory.samples}))
    found = json.loads(told.read_text()) if told.exists() else {"times": {}, "refused": {}, "faults": {}}
    faults = [f"{count} x {what}" for what, count in found["faults"].items()] + beside.faults
    if status or not found["times"]:
        return [*faults, f"locust ended with {status}: {told.with_name('locust.log').read_text()[-2000:]}"]
    told_of_requests(found, (end - first) / 60)
    faults += told_of_refusals(found, judged=judged)
    for name, took in beside.took_s.items():
        print(f"beside: {len(took)} x {name}, {min(took):.1f} to {max(took):.1f} s (the first before the users came)")
    return faults + told_of_memory(memory, began, options.minutes, alone, end)


def main() -> int:
    """Soak as long as is asked for; the exit status is 1 where something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long users ask (default: 10)")
    parser.add_argument("--users", type=int, default=50, help="users (default: 50)")
    parser.add_argument("--customers", type=int, help="customers of the base; the demo if absent")
    parser.add_argument(
        "--before", type=float, help=f"minutes that users ask before (default: {BEFORE:g}, 0 in a short run)"
    )
    options = parser.parse_args()
    if options.before is None:
        options.before = BEFORE if is_judged(options.minutes) else 0.0
    folder = Path(tempfile.mkdtemp(prefix="soak"))
    limits = {"OPEN_REGISTRATION": "1", "MAX_UPLOAD_MB": "400", "BCRYPT_COST": "12", "LOG_LEVEL": "warning"}
    size = {"DEMO_CUSTOMERS": os.environ.get("DEMO_CUSTOMERS", "13334")} if options.customers is None else {"DEMO": "0"}
    stack = Stack(folder, limits | size, interpreters=True)
    try:
        faults = soak(stack, options)
    finally:
        stack.stop()
        prefork.end()
    print(f"\n{options.minutes:g} minutes, {options.users} users, load {os.getloadavg()[0]:.1f}: {len(faults)} faults")
    print(*faults, sep="\n")
    if not faults:
        shutil.rmtree(folder)
    else:
        print(f"Logs stay in {folder}.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
