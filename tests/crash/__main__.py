"""`make crash`: kill -9 of services and commands at random moments, and what holds afterwards.

Each turn starts an operation, kills one of the processes that take part in it at a moment drawn at random, starts it
again, and checks that acknowledged writes are there, that no run or model is half there, that each job ended as its
data say, that what is shown is what the data give, and that the same operation then works.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests import prefork
from tests.crash import truths
from tests.crash.operations import OPERATIONS, Operation, UnderWay
from tests.stack import Stack, wait_until

ENDS_S = 120.0
FINAL = ("done", "failed", "cancelled")


class Kills:
    """An installation in which things are killed, and what was found."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack, self.chance = stack, random.Random(seed)
        self.acknowledged: set[str] = set()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []

    def turn(self, number: int) -> None:
        """Kill once, and look."""
        operation = self.chance.choice(OPERATIONS)
        victim = self.chance.choice(operation.victims)
        after_s = self.chance.uniform(0, 1.1 * operation.takes_s)
        with self._writing():
            started = operation.start(self.stack, self.chance)
            time.sleep(after_s)
            self._kill(victim, started)
            self._restart(victim)
            self._settle(started)
        found = truths.broken(self.stack, self.acknowledged)
        found += self._works(operation) + truths.stale(self.stack) + truths.broken(self.stack, self.acknowledged)
        self.counts[operation.name, victim] += 1
        self.faults += [f"kill {number}, {operation.name}, {victim} after {after_s:.2f} s: {each}" for each in found]
        print(f"{number:4}  {operation.name:22} {victim:8} after {after_s:5.2f} s  {found or 'holds'}", flush=True)

    def _kill(self, victim: str, started: UnderWay) -> None:
        if victim != "command":
            self.stack.stop(victim, number=signal.SIGKILL)
        elif started.command is not None:
            started.command.kill()

    def _restart(self, victim: str) -> None:
        if victim != "command":
            self.stack.start(victim)

    def _settle(self, started: UnderWay) -> None:
        """Wait until nothing is under way."""
        if started.command is not None:
            started.command.wait(ENDS_S)
        if started.thread is not None:
            started.thread.join(ENDS_S)
        unfinished = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"
        wait_until(lambda: not self.stack.value(unfinished), "each job ends", ENDS_S, 0.2)

    def _works(self, operation: Operation) -> list[str]:
        """Do the operation again, undisturbed."""
        started = operation.start(self.stack, self.chance)
        if started.command is not None:
            status = started.command.wait(ENDS_S)
            said = (self.stack.folder / "command.log").read_text()[-300:]
            return [] if status == 0 else [f"the next one ends with {status}: {said}"]
        self._settle(started)
        if started.job_id is None:
            return []
        state, error = self.stack.rows("SELECT state, error_message FROM jobs WHERE id = ?", started.job_id)[0]
        return [] if state == "done" else [f"the next one is {state}: {error}"]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """People register meanwhile; those whose registration was acknowledged have to be there."""
        stop = threading.Event()

        def register() -> None:
            while not stop.wait(0.02):
                email = f"p{time.monotonic_ns()}@example.com"
                body = {"email": email, "password": "a long enough phrase", "name": "P"}
                try:
                    answer = self.stack.anonymous().post("/api/auth/register", body, timeout=10)
                except requests.RequestException:
                    continue  # the gateway may be the one that was killed: not acknowledged
                if answer.status_code == 201:
                    self.acknowledged.add(email)

        thread = threading.Thread(target=register)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def main() -> int:
    """Kill as often as is asked for; the exit status is 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kills in all (default: 200)")
    parser.add_argument("--minutes", type=float, help="begin no further kill after this time")
    parser.add_argument("--seed", type=int, default=1, help="chooses operations, victims and moments (default: 1)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crash"))
    stack = Stack(folder, {"DEMO_CUSTOMERS": "600"})
    kills = Kills(stack, options.seed)
    began = time.monotonic()
    try:
        stack.start("ml")
        assert stack.command("demo").returncode == 0
        assert stack.command("backup", "kept").returncode == 0
        stack.start("gateway", "worker")
        for number in range(1, options.kills + 1):
            if options.minutes is not None and time.monotonic() - began > options.minutes * 60:
                break
            kills.turn(number)
    finally:
        stack.stop()
        prefork.end()
    for (operation, victim), count in sorted(kills.counts.items()):
        print(f"{count:4} x {operation}, {victim} killed")
    print(
        f"{sum(kills.counts.values())} kills, {len(kills.acknowledged)} acknowledged writes, {len(kills.faults)} faults"
    )
    print(*kills.faults, sep="\n")
    if not kills.faults:
        shutil.rmtree(folder)
    return 1 if kills.faults else 0


if __name__ == "__main__":
    sys.exit(main())
