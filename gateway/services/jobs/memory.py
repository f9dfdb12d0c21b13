"""Memory that a job took goes back to the system when the job is over.

Left to themselves, Arrow's pool and the C library keep what was freed, for ever: after a wide file, hundreds of
megabytes.
"""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Free what nobody refers to any more, and return free memory to the system."""
    gc.collect()  # an error and the frames it went through refer to each other, and those to what they read
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc's; others have no such call
        trim(0)
