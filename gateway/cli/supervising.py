"""Keeps the processes of `make run` running: one that dies is started again, and none outlives the manager.

Law: what dies again and again is given up with a sentence. On Linux the kernel ends the processes of a manager that was
killed; elsewhere they stay, and the next start says which process holds the port.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
import time
from functools import partial
from typing import Any

from honcho.manager import Manager
from honcho.process import Popen, Process

#: A program is given up after this number of deaths, each within QUICK_S of its start.
MOST_QUICK_DEATHS, QUICK_S = 5, 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
_PR_SET_PDEATHSIG = 1


def begin_as_child() -> None:
    """Undo what the process that waits for this one has set for itself, and end with it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    end_with_parent(signal.SIGTERM)


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


class LastingProcess(Process):  # type: ignore[misc]
    """A process that is started again when it dies, until the manager stops."""

    def __init__(self, *args: Any, stopping: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._child_ctor = partial(Popen, preexec_fn=begin_as_child)
        self._stopping = stopping
        self._quick = 0

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        """Run in a process of its own, which the manager starts, and tell the manager what happens."""
        end_with_parent(signal.SIGKILL)
        while True:
            started = time.monotonic()
            status = self._once(events, ignore_signals)
            pause_s = self._pause(status, time.monotonic() - started)
            if pause_s is None or self._stopping.wait(pause_s):
                break
        self._send_message({"returncode": status}, type="stop")

    def _once(self, events: Any, ignore_signals: bool) -> int:
        told: list[int] = []
        # The manager takes a stop for the end of everything: it is told of the last one only.
        super().run(_WithoutStops(events, told), ignore_signals)
        self._events = events
        return told[0]

    def _pause(self, status: int, lived_s: float) -> float | None:
        """How long to wait before the next start; None where there is none."""
        if self._stopping.is_set():
            return None
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._quick = self._quick + 1 if lived_s < QUICK_S else 0
        if self._quick >= MOST_QUICK_DEATHS:
            self._say(f"{self.name} {how}, {self._quick} times shortly after its start: giving up. Its lines say why.")
            return None
        pause_s = float(min(FIRST_PAUSE_S * 2 ** max(0, self._quick - 1), LONGEST_PAUSE_S))
        self._say(f"{self.name} {how}; it is started again in {pause_s:.1f} s.")
        return pause_s

    def _say(self, text: str) -> None:
        self._send_message(f"{text}\n".encode())


class _WithoutStops:
    """The manager's queue, but stops are kept from it."""

    def __init__(self, events: Any, told: list[int]) -> None:
        self._events, self._told = events, told

    def put(self, message: Any) -> None:
        if message.type == "stop":
            self._told.append(message.data["returncode"])
        else:
            self._events.put(message)


class LastingManager(Manager):  # type: ignore[misc]
    """honcho's manager of processes that last."""

    def __init__(self, printer: Any = None) -> None:
        super().__init__(printer)
        self._stopping = multiprocessing.Event()
        self._process_ctor = partial(LastingProcess, stopping=self._stopping)

    def terminate(self) -> None:
        """End all of them, for good."""
        self._stopping.set()
        super().terminate()
