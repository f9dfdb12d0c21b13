"""A bar: one job of ours beside its other side, as it is timed and shown.

Law: our side is the product's own code path; a bar whose other side is not there says so and holds nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import world
from gateway.services.jobs.params import ScoreParams
from gateway.services.scoring import scoring_run


@dataclass
class Bar:
    """One line of the table.

    Attributes
    ----------
    ratio
        Ours to theirs, as the bar counts it; None where there is nothing to compare with.
    held, aim
        Whether the bar's must and its aim are reached; None where they are not judged.
    """

    job: str
    ours: str
    theirs: str
    ratio: float | None
    must: str
    held: bool | None
    aim: bool | None = None
    note: str = ""


def show(bar: Bar) -> None:
    """Print one line of the table."""
    ratio = "-" if bar.ratio is None else f"{bar.ratio:.2f}x"
    held = {True: "held", False: "MISSED", None: "not judged"}[bar.held]
    aim = ", aim too" if bar.aim and bar.held else ""
    print(f"{bar.job} | {bar.ours} | {bar.theirs} | {ratio} | {bar.must} | {held}{aim} | {bar.note}", flush=True)


def timed(do: Callable[[], Any]) -> float:
    """Wall seconds."""
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def first_run(database: Any, ml: Any) -> float:
    """Seconds of a scoring run before which nobody was scored."""
    world.unscored(database.path)
    given = world.scoring_work(database, ml)
    return timed(lambda: scoring_run.run(given, ScoreParams()))
