"""Freed memory that a process gives back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

KEPT = """
import ctypes, sys
import numpy as np
from shared import memory

if not hasattr(ctypes.CDLL(None), "mallopt"):
    print("no mallopt")
    raise SystemExit
if sys.argv[1] == "mapped":
    memory.map_large_blocks()

def resident():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("Rss"))

del (large := [np.ones(500_000)])[:]  # glibc learns from it to keep blocks of this size
before, blocks, small = resident(), [], []
for number in range(200):
    blocks.append(np.full(40_000, number))
    small.append(bytearray(2_000))
blocks.clear()
print(resident() - before)
"""


def kept_mb(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", KEPT, how], capture_output=True, text=True, check=True, timeout=60)
    if done.stdout.startswith("no mallopt"):
        pytest.skip("this C library has no mallopt")
    return int(done.stdout)


def test_large_blocks_that_are_freed_between_others_go_back_to_the_system() -> None:
    assert kept_mb("as is") > 30
    assert kept_mb("mapped") < 5
