"""Keeps the processes of `make run` running: restarts those that die, and ends all of them with the manager.

Law: a process that dies again and again is given up with a message. On Linux the kernel ends the processes of a killed
manager; elsewhere they stay, and the next start names the process that holds the port.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from functools import partial
from typing import Any

from honcho.manager import Manager
from honcho.printer import Message, Printer
from honcho.process import Popen, Process

from gateway.cli.children import ENDING, begin_as_child, end_with_parent

#: A program is given up after this number of deaths, each within QUICK_S of its start.
MOST_QUICK_DEATHS, QUICK_S = 5, 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0


class LastingProcess(Process):  # type: ignore[misc]
    """A process that is started again when it dies, until the manager stops."""

    def __init__(self, *args: Any, stopping: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._manager_id = os.getpid()
        self._stopping = stopping
        self._quick = 0

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        """Run in a process of its own, which the manager starts, and report events to the manager."""
        end_with_parent(self._manager_id, signal.SIGKILL)
        self._child_ctor = partial(Popen, preexec_fn=partial(begin_as_child, os.getpid()))
        while True:
            started = time.monotonic()
            status = self._once(events, ignore_signals)
            pause_s = self._pause(status, time.monotonic() - started)
            if pause_s is None or self._stopping.wait(pause_s):
                break
        self._send_message({"returncode": status}, type="stop")

    def _once(self, events: Any, ignore_signals: bool) -> int:
        statuses: list[int] = []
        # A stop event makes the manager end everything, so it gets only the last one.
        super().run(_WithoutStops(events, statuses), ignore_signals)
        self._events = events
        return statuses[0]

    def _pause(self, status: int, lived_s: float) -> float | None:
        """Return the seconds to wait before the next start; None if there is none."""
        if self._stopping.is_set():
            return None
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._quick = self._quick + 1 if lived_s < QUICK_S else 0
        if self._quick >= MOST_QUICK_DEATHS:
            self._print(
                f"{self.name} {how}, {self._quick} times shortly after its start: giving up. See its last lines."
            )
            return None
        pause_s = float(min(FIRST_PAUSE_S * 2 ** max(0, self._quick - 1), LONGEST_PAUSE_S))
        self._print(f"{self.name} {how}; it is started again in {pause_s:.1f} s.")
        return pause_s

    def _print(self, text: str) -> None:
        self._send_message(f"{text}\n".encode())


class _WithoutStops:
    """The manager's queue, without stop events: their statuses are collected instead."""

    def __init__(self, events: Any, statuses: list[int]) -> None:
        self._events, self._statuses = events, statuses

    def put(self, message: Any) -> None:
        if message.type == "stop":
            self._statuses.append(message.data["returncode"])
        else:
            self._events.put(message)


class _LinePrinter:
    """honcho's printer, for lines that a signal handler prints while another line is being written.

    Python refuses a write inside a write to the same stream, and the refusal would end the manager instead of its
    processes: such a line waits until the first one is out.
    """

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._waiting: deque[Message] = deque()
        self._is_writing = False

    @property
    def width(self) -> int:
        """The characters of the longest name of a process."""
        return int(self._printer.width)

    @width.setter
    def width(self, value: int) -> None:
        self._printer.width = value

    def write(self, message: Message) -> None:
        """Print a line, or leave it to the call that is printing one."""
        self._waiting.append(message)
        if self._is_writing:
            return
        self._is_writing = True
        try:
            while self._waiting:
                self._printer.write(self._waiting.popleft())
        finally:
            self._is_writing = False


class LastingManager(Manager):  # type: ignore[misc]
    """honcho's manager, for processes that are restarted."""

    def __init__(self, printer: Printer | None = None) -> None:
        super().__init__(_LinePrinter(printer or Printer(sys.stdout)))
        self._stopping, self._is_ending = multiprocessing.Event(), False
        self._process_ctor = partial(LastingProcess, stopping=self._stopping)

    def loop(self) -> None:
        """Start all processes and print their lines until they end; a failure here ends them too."""
        try:
            super().loop()
        except BaseException:
            # They ignore the signals that end the manager, which waits for them when it exits.
            for each in multiprocessing.active_children():
                each.kill()
            raise

    def _start(self) -> None:
        # A signal between a fork and its entry among the children would leave that child running.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            super()._start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def terminate(self) -> None:
        """End all processes, without restarts."""
        if self._is_ending:
            return  # a signal during an earlier call, which may hold the event's lock: that call goes on after this
        self._is_ending = True
        self._stopping.set()
        if not self._all_started():
            raise SystemExit(self.returncode)  # some have no process id yet: `loop` ends them
        super().terminate()
