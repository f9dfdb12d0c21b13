"""Freed memory that a process gives back to the system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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

ARENAS = """
import ctypes, re, sys, threading
from shared import memory

libc = ctypes.CDLL(None)
if not hasattr(libc, "malloc_info"):
    print("no mallopt")
    raise SystemExit
if sys.argv[1] == "one":
    memory.use_one_arena()
malloc, together = libc.malloc, threading.Barrier(8)
malloc.restype = ctypes.c_void_p

def allocate():
    together.wait()
    for _ in range(20_000):
        malloc(2_000)

threads = [threading.Thread(target=allocate) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
print(len(re.findall("<heap ", open(sys.argv[2]).read())))
"""


def kept_mb(how: str) -> int:
    return printed(KEPT, how)


def printed(program: str, *arguments: str) -> int:
    line = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60)
    if done.stdout.startswith("no mallopt"):
        pytest.skip("this C library has no mallopt")
    return int(done.stdout)


def test_large_blocks_that_are_freed_between_others_go_back_to_the_system() -> None:
    assert kept_mb("as is") > 30
    assert kept_mb("mapped") < 5


def test_threads_share_one_arena(tmp_path: Path) -> None:
    assert printed(ARENAS, "as is", str(tmp_path / "heaps.xml")) > 2
    assert printed(ARENAS, "one", str(tmp_path / "heaps.xml")) == 1
