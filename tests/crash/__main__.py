"""`make crash`: kill -9 of services and commands at random moments, and what holds afterwards.

Each turn starts an operation, kills one of the processes that take part in it at a moment drawn at random (or stops it
for a while, or holds the write lock), starts it again, and checks that acknowledged writes are there, that no run or model is half there, that each job ended as its
data say, that a receiver of webhooks saw each event, that what is shown is what the data give, and that the same operation then works.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import requests

from tests import prefork
from tests.crash import operations, short_lane, truths
from tests.crash.operations import Operation, UnderWay
from tests.crash.receiver import Receiver
from tests.stack import Stack, wait_until

OPERATIONS = {each.name: each for each in (*operations.OPERATIONS, *short_lane.OPERATIONS)}
#: Operations that run before the first kill, so that lists have some thousand customers.
FIRST = ("import", "scoring run")
ENDS_S, DEMO_S = 120.0, 600.0
#: Shares of the turns in which nobody is killed, and how long these last.
LOCKS, FREEZES = 0.05, 0.05
#: Said of what came when the work had ended already.
AFTERWARDS = " afterwards"
LONGEST_LOCK_S, LONGEST_FREEZE_S, LONGEST_AWAY_S = 10.0, 25.0, 8.0


class Kills:
    """An installation in which things are killed, and what was found."""

    def __init__(self, stack: Stack, receiver: Receiver, seed: int) -> None:
        self.stack, self.receiver, self.chance = stack, receiver, random.Random(seed)
        self.acknowledged: set[str] = set()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self._coming: list[Operation] = []

    def prepare(self) -> None:
        """Do what the operations need."""
        for name in FIRST:
            found = self._works(OPERATIONS[name])
            assert not found, found

    def turn(self, number: int) -> None:
        """Disturb an operation once, and look."""
        operation = self._next()
        victim = self.chance.choice(operation.victims)
        how = self._drawn(victim)
        after_s = self.chance.uniform(0, 1.1 * operation.takes_s)
        with self._writing():
            started = operation.start(self.stack, self.chance)
            time.sleep(after_s)
            is_under_way = started.is_under_way(self.stack, victim)
            self._disturb(how, victim, started)
            self._settle(started)
        found = truths.broken(self.stack, self.acknowledged)
        found += self._works(operation) + truths.stale(self.stack) + truths.broken(self.stack, self.acknowledged)
        what = "database locked" if how == "locked" else f"{victim} {how}"
        what += "" if is_under_way else AFTERWARDS
        self.counts[operation.name, what] += 1
        self.faults += [f"turn {number}, {operation.name}, {what} after {after_s:.2f} s: {each}" for each in found]
        print(f"{number:4}  {operation.name:22} {what:26} after {after_s:5.2f} s  {found or 'holds'}", flush=True)

    def _next(self) -> Operation:
        """Each once in a random order, then each again: a short form reaches as many as there is time for."""
        if not self._coming:
            self._coming = self.chance.sample(list(OPERATIONS.values()), k=len(OPERATIONS))
        return self._coming.pop()

    def _drawn(self, victim: str) -> str:
        """Mostly a kill; sometimes a process that stands still, or somebody who holds the write lock."""
        drawn = self.chance.random()
        if drawn < LOCKS:
            return "locked"
        return "frozen" if drawn < LOCKS + FREEZES and victim not in ("command", "receiver") else "killed"

    def _disturb(self, how: str, victim: str, started: UnderWay) -> None:
        if how == "locked":
            with closing(sqlite3.connect(self.stack.database_path, timeout=15, isolation_level=None)) as raw:
                raw.execute("BEGIN IMMEDIATE")
                time.sleep(self.chance.uniform(0, LONGEST_LOCK_S))
        elif how == "frozen":
            with self.stack.frozen(victim):
                time.sleep(self.chance.uniform(0, LONGEST_FREEZE_S))
        elif victim == "command":
            assert started.command is not None
            started.command.kill()
        elif victim == "receiver":
            self.receiver.kill()
            time.sleep(self.chance.uniform(0, LONGEST_AWAY_S))
            self.receiver.start()
        else:
            self.stack.stop(victim, number=signal.SIGKILL)
            self.stack.start(victim)

    def _settle(self, started: UnderWay) -> None:
        """Wait until nothing is under way."""
        if started.command is not None:
            started.command.wait(ENDS_S)
        if started.thread is not None:
            started.thread.join(ENDS_S)
            assert not started.thread.is_alive(), "promotions do not end"
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
            answer = self.stack.analyst().post("/api/predictions/score", {"customer_id": "usr_942183"})
            return [] if answer.status_code == 200 else [f"the live model does not score: {answer.text}"]
        state, error = self.stack.rows("SELECT state, error_message FROM jobs WHERE id = ?", started.job_id)[0]
        return [] if state == "done" else [f"the next one is {state}: {error}"]

    def report(self) -> None:
        """Print what was done, and each fault."""
        for (operation, what), count in sorted(self.counts.items()):
            print(f"{count:4} x {operation}, {what}")
        print(
            f"{self.counts.total()} turns, {self.killed} kills under way, {len(self.acknowledged)} acknowledged",
            end=" ",
        )
        print(f"writes, {len(self.faults)} faults", *self.faults, sep="\n")

    @property
    def killed(self) -> int:
        """Kills of something that was at work."""
        return sum(count for (_, what), count in self.counts.items() if what.endswith(" killed"))

    @property
    def status(self) -> int:
        """The exit status: 1 where something did not hold, or where nothing was tried."""
        return 1 if self.faults or not self.counts else 0

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
    """Kill as often as is asked for; the exit status is 1 where something did not hold, and where there was no turn."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--turns", type=int, default=250, help="turns, nine of ten of which kill (default: 250)")
    parser.add_argument("--minutes", type=float, help="begin no further turn after this time")
    parser.add_argument("--seed", type=int, default=1, help="chooses operations, victims and moments (default: 1)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crash"))
    stack, receiver = Stack(folder, {"DEMO_CUSTOMERS": "600", "WEBHOOK_NETWORKS": "127.0.0.0/8"}), Receiver(folder)
    kills = Kills(stack, receiver, options.seed)
    began = time.monotonic()
    try:
        stack.start("ml")
        assert stack.command("demo", timeout=DEMO_S).returncode == 0
        assert stack.command("backup", "kept").returncode == 0
        stack.start("gateway", "worker")
        receiver.start()
        receiver.subscribe(stack)
        runs_before = int(stack.value("SELECT max(id) FROM scoring_runs"))
        kills.prepare()
        for number in range(1, options.turns + 1):
            if options.minutes is not None and time.monotonic() - began > options.minutes * 60:
                break
            kills.turn(number)
        kills.faults += receiver.missed(stack, runs_before)
    finally:
        stack.stop()
        receiver.kill()
        prefork.end()
    kills.report()
    if kills.status == 0:
        shutil.rmtree(folder)
    return kills.status


if __name__ == "__main__":
    sys.exit(main())
