"""Returns the memory of a finished job, of a model that is no longer kept, and of answered requests, to the system.

By default Arrow's pool and the C library keep freed memory: 120 MB after a file of 1,900 columns. Releasing only the C
library's leaves 80 MB, only the pool's 41 MB; collecting garbage first takes long and gains nothing. Requests of 17
threads in as many arenas leave holes that grow by 1.4 MB a minute for as long as anybody measured; in one arena the
gateway stood at 172 instead of 200 MB after five minutes, and what still grew were SQLite's page caches.
"""

from __future__ import annotations

import ctypes
import sys

#: Blocks of at least this size are mapped one by one. By default glibc raises this limit to up to 32 MB, and the holes
#: that freed blocks leave between others stay with the process: the ML service kept 83 MB of them after ten minutes.
MAPPED_BYTES = 96 * 1024  # more than the 64 KB that a read from a socket takes
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def map_large_blocks() -> None:
    """Have the C library map large blocks, so that each goes back to the system when it is freed."""
    _set(_M_MMAP_THRESHOLD, MAPPED_BYTES)


def use_one_arena() -> None:
    """Have the C library serve all threads from one arena; called before threads start.

    By default it makes up to eight arenas a core, and no thread can use what was freed in another one's. Python runs
    one thread at a time, so few ever wait for each other.
    """
    _set(_M_ARENA_MAX, 1)


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
