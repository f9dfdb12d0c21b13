"""The steps of a command's child processes before they begin.

Law: on Linux the kernel ends a child whose parent ends, however it ends; elsewhere it stays.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

#: The signals that end a command.
ENDING = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1


def begin_as_child(parent_id: int) -> None:
    """Reset the signal handlers and the mask of the parent process, and end when it ends."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    end_with_parent(parent_id, signal.SIGTERM)


def end_with_parent(parent_id: int, number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent_id:  # it ended before the kernel was told
            os.kill(os.getpid(), number)
