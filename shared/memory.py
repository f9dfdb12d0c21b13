"""Returns the memory of a finished job, of a model that is no longer kept, and of answered requests, to the system.

By default Arrow's pool and the C library keep freed memory: 120 MB after a file of 1,900 columns. Releasing only the C
library's leaves 80 MB, only the pool's 41 MB; collecting garbage first takes long and gains nothing. Requests of 17
threads in as many arenas leave holes that grow by 1.4 MB a minute for as long as anybody measured; in two arenas the
gateway stood at 175 instead of 200 MB after five minutes, and stayed there.
"""

from __future__ import annotations

import ctypes
import sys

#: Blocks of at least this size are mapped one by one. By default glibc raises this limit to up to 32 MB, and the holes
#: that freed blocks leave between others stay with the process: the ML service kept 83 MB of them after ten minutes.
MAPPED_BYTES = 96 * 1024  # more than the 64 KB that a read from a socket takes
#: Arenas of the C library. By default it makes up to eight a core, one for each thread that asks at the same time, and
#: what one thread frees is of no use to the others; Python runs one thread at a time, so few of them ever wait.
ARENAS = 2
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def map_large_blocks() -> None:
    """Have the C library map large blocks, so that each goes back to the system when it is freed."""
    _set(_M_MMAP_THRESHOLD, MAPPED_BYTES)


def use_few_arenas() -> None:
    """Have all threads share `ARENAS` arenas; called before threads start."""
    _set(_M_ARENA_MAX, ARENAS)


def _set(option: int, value: int) -> None:
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:  # musl has none
        set_option(option, value)


def give_back() -> None:
    """Return free memory to the system."""
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # only glibc has it
        trim(0)
