"""The ML service of a trial, for as long as it trains and scores; afterwards `retainstream up` starts its own.

Law: it ends with the block that needs it, and with this process, however that ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from gateway.cli.children import begin_as_child
from gateway.cli.setup import ProgressLine, until_available
from gateway.clients.ml_client import MLClient
from shared.errors import Internal


@contextmanager
def running(ml: MLClient, log: Path) -> Iterator[Callable[[], None]]:
    """Run the ML service for the block, which gets a function that waits until the service answers."""
    with log.open("ab") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "ml_service"],
            stdout=written,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(begin_as_child, os.getpid()),
        )
    try:
        yield partial(_wait, process, ml, log)
    finally:
        ml.close()
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], ml: MLClient, log: Path) -> None:
    line = ProgressLine()

    def check() -> None:
        if process.poll() is not None:
            raise Internal(f"The ML service ended at its start; the last lines of {log} say why.")
        line.show(0.0, "Starting the ML service")
        ml.health()

    until_available(check)
    line.end()
