"""Growth of time with the base: 10,000 to 1,000,000 customers, and the exponent of the line through the points.

Law: the same code paths as `benchmarks.bench`; an exponent of 1 is linear, 0 is no growth.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import transfer, world
from database.customers import customers
from database.scoring import runs, score_figures
from gateway.services.jobs.params import ScoreParams
from gateway.services.scoring import scoring_run
from ml_service.model.out_of_fold import UNSEEN
from ml_service.model.trees import boosting


def best(do: Callable[[], Any], times: int = 3) -> float:
    """Shortest of a few, in seconds."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        do()
        took.append(time.perf_counter() - start)
    return min(took)


def measure(data: world.Data, folder: Path, rows: int) -> dict[str, float]:
    """Seconds of each job at this size."""
    database = world.make_database(folder / f"{rows}.db", data, rows)
    given = world.scoring_work(database, world.InProcess(data.registry_folder))
    found = {
        "score and explain, model alone": best(lambda: score(data, rows), 1),
        "batch (read, score, explain, store)": best(lambda: scoring_run.run(given, ScoreParams()), 1),
    }
    with database.read() as connection:
        shown = runs.published(connection)
        assert shown is not None
        found["list (first page)"] = best(lambda: customers.ranked(connection, world.SCHEMA, limit=50), 20)
        found["dashboard (tail)"] = best(lambda: score_figures.tail(connection, shown.run_id, 0.7), 20)
        found["dashboard (distribution)"] = best(lambda: score_figures.distribution(connection, shown.run_id), 20)
    database.close()
    imported, _ = transfer.import_and_export(data, folder / f"transfer-{rows}", rows)
    found["import (CPU)"] = imported
    values, label = (np.resize(each, (rows, *each.shape[1:])) for each in (data.values, data.label))
    fit = lambda: boosting.fit(world.SCHEMA, data.parameters, values, label, rounds=data.rounds, bag=1, threads=1)
    found["training (one fit)"] = best(fit, 1)
    found["peak memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def score(data: world.Data, rows: int, chunk: int = 25_000) -> None:
    """Score and explain so many rows, keeping none: what the model does, whatever is around it."""
    folds = np.full(chunk, UNSEEN, dtype=np.int8)
    for at in range(0, rows, chunk):
        here = np.arange(at, min(at + chunk, rows)) % len(data.label)
        for _ in data.model.trees.contributions(data.values[here], folds[: len(here)]):
            pass


def main() -> None:
    """Print a table and write JSON."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    command.add_argument("--json", type=Path, default=Path("bench-scale.json"))
    command.add_argument(
        "--scored", type=int, nargs="*", default=[10_000_000], help="further sizes, for the model alone"
    )
    given = command.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        data = world.Data(Path(name))
        data.model.trees.prepare()
        found = {rows: measure(data, Path(name), rows) for rows in given.sizes}
        for rows in given.scored:
            found[rows] = {"score and explain, model alone": best(lambda rows=rows: score(data, rows), 1)}
    table = []
    for job in dict.fromkeys(job for each in found.values() for job in each):
        points = [(rows, each[job]) for rows, each in found.items() if job in each]
        exponent = float(np.polyfit(*np.log(np.array(points, dtype=float)).T, 1)[0]) if len(points) > 1 else None
        table.append({"job": job, "points": dict(points), "exponent": exponent})
        shown = ", ".join(f"{rows:,}: {value:.4g}" for rows, value in points)
        print(f"{job} | {shown} | " + ("-" if exponent is None else f"{exponent:.2f}"), flush=True)
    given.json.write_text(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
