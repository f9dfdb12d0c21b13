"""The garbage collector of a serving process does not look at the loaded application again."""

from __future__ import annotations

import subprocess
import sys

from tests.prefork import ROOT

#: In a process of its own: nothing else is frozen there, and what is frozen here would stay so.
LOADED = """
import gc
from types import SimpleNamespace
from shared.web.worker import Worker

application = [{} for _ in range(50_000)]
worker = Worker.__new__(Worker)
worker.app = SimpleNamespace(wsgi=lambda: application)
before = gc.get_freeze_count()
worker.load_wsgi()
print(before, gc.get_freeze_count() > 50_000, len(gc.get_objects()) < 50_000)
"""


def test_a_collection_after_the_start_does_not_pass_through_the_application() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "True", "True"]
