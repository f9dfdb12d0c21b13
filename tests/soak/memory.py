"""Memory of processes, sampled every second: its plateau, and whether it grows."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.load.million import processes
from tests.stack import Stack

#: Samples beside each other are alike; means of so many seconds are nearly independent of each other.
BLOCK_S = 15.0
#: Back on the plateau: a tenth above it, for caches that go on filling (SQLite's pages, the last answers), and as much
#: as one arena of the allocator, which is the least that is given back at once.
SHARE, ARENA_MB = 0.10, 32.0
#: Growth that standard errors tell from none, and that is more than this an hour, is a leak.
LEAK_MB_PER_MINUTE = 0.5


@dataclass(frozen=True)
class Slope:
    """Growth by least squares, with its standard error."""

    mb_per_minute: float
    error: float

    @property
    def is_leak(self) -> bool:
        return self.mb_per_minute > max(2 * self.error, LEAK_MB_PER_MINUTE)

    def __str__(self) -> str:
        return f"{self.mb_per_minute:+.2f} ± {self.error:.2f} MB a minute"


def slope(at_s: npt.NDArray[np.float64], mb: npt.NDArray[np.float64]) -> Slope | None:
    """The slope of means over blocks; None where there are too few of them."""
    blocks = ((at_s - at_s[0]) // BLOCK_S).astype(int) if len(at_s) else np.zeros(0, int)
    kept = [k for k in np.unique(blocks) if (blocks == k).sum() > 1]
    if len(kept) < 4:
        return None
    x = np.array([at_s[blocks == k].mean() for k in kept]) / 60
    y = np.array([mb[blocks == k].mean() for k in kept])
    around = x - x.mean()
    rise = float(around @ y / (around @ around))
    left = y - y.mean() - rise * around
    return Slope(rise, float(np.sqrt(left @ left / (len(x) - 2) / (around @ around))))


class Memory:
    """Samples what each process of an installation holds, until it is told to stop."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._stops = stack, threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.samples: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stops.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stops.wait(1.0):
            for name, program in self._stack.running.items():
                for pid in processes(program.pid):
                    self._note(name, program.pid, pid)

    def _note(self, name: str, leader: int, pid: int) -> None:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return  # it ended meanwhile
        kilobytes = next((int(line.split()[1]) for line in lines if line.startswith("Rss:")), 0)
        if kilobytes:
            which = "" if pid == leader else " serving" if "gunicorn" in command else " child"
            self.samples[f"{name}{which} ({pid})"].append((time.monotonic(), kilobytes / 1024))

    def lasting(self, since: float, until: float) -> list[str]:
        """Processes that were there the whole time; children of a training come and go."""
        return [name for name, all_ in self.samples.items() if all_[0][0] < since + 3 and all_[-1][0] > until - 3]

    def between(self, name: str, since: float, until: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Times and megabytes of a process in a stretch of time."""
        chosen = [(at, mb) for at, mb in self.samples[name] if since <= at <= until]
        return np.array([at for at, _ in chosen]), np.array([mb for _, mb in chosen])
