"""An import beside a scoring run, and two imports at once: each sees the facts standing still, and nothing is lost."""

from __future__ import annotations

import csv
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from database.customers.customer_base import customers_table, snapshots_table
from database.importing import import_writer
from database.jobs.jobs import Job
from database.scoring.run_writer import RunWriter
from database.tables import tables
from gateway.services import kinds
from gateway.services.importing import import_file
from gateway.services.jobs import running
from gateway.services.scoring import scoring_run
from shared.schema.features import built_in_schema, schema_from_dict
from tests.world import World

SCHEMA = built_in_schema()
DEADLINE_S = 30
PLAIN = schema_from_dict({"id": "id", "features": {"x": {"kind": "number"}}})


class Meanwhile:
    """Jobs of threads, and what they reported so far."""

    def __init__(self, world: World) -> None:
        self.world, self.pool = world, ThreadPoolExecutor(4)
        self.said: dict[str, list[str]] = {}
        self.heard = threading.Condition()

    def start(self, name: str, kind: str, handler: Any, params: Mapping[str, Any] | None = None) -> Future[Job]:
        self.said[name] = []

        def report(progress: float, stage: str) -> None:
            with self.heard:
                self.said[name].append(stage)
                self.heard.notify_all()

        asked = self.world.work(kind, params, report=report)
        return self.pool.submit(running.run, asked, replace(kinds.KINDS[kind], run=handler))

    def says(self, name: str, word: str) -> None:
        """Wait until a job has reported this."""
        with self.heard:
            assert self.heard.wait_for(lambda: any(word in s for s in self.said.get(name, ())), DEADLINE_S), self.said


@pytest.fixture
def meanwhile() -> Any:
    made: list[Meanwhile] = []

    def make(world: World) -> Meanwhile:
        made.append(Meanwhile(world))
        return made[-1]

    yield make
    for each in made:
        each.pool.shutdown()


def scores(world: World, run_id: int | None = None) -> dict[int, float]:
    """Scores of a run in the ledger, or the ones shown."""
    p, shown = tables.ledger, tables.present_ranks
    query = select(shown.c.customer_id, shown.c.churn_probability)
    if run_id is not None:
        query = select(p.c.customer_id, p.c.churn_probability).where(p.c.run_id == run_id)
    with world.database.read() as connection:
        return dict(connection.execute(query).all())  # type: ignore[arg-type]


def neglected(world: World, tmp_path: Path) -> dict[str, Any]:
    """The parameters of an import that changes everybody who is active."""
    wide = customers_table(SCHEMA)
    with world.database.read() as connection:
        rows = [dict(row) for row in connection.execute(select(wide).where(wide.c.churn == 0)).mappings()]
    path = tmp_path / "neglected.csv"
    names = ["user_id", *SCHEMA.feature_names]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(
            [{**row, "last_login_days": 55, "watch_time_hours": 0.5}[name] for name in names] for row in rows
        )
    return {
        "path": str(path),
        "file_name": path.name,
        "schema": SCHEMA.as_dict(),
        "as_of": world.clock().date().isoformat(),
    }


def held(monkeypatch: pytest.MonkeyPatch, until: Callable[[], None]) -> None:
    """Before an import writes its first chunk, something has to happen."""
    real, done = import_writer.change_by_rows, threading.Event()

    def change_by_rows(*args: Any, **more: Any) -> Any:
        if not done.is_set():
            done.set()
            until()
        return real(*args, **more)

    monkeypatch.setattr(import_writer, "change_by_rows", change_by_rows)


@pytest.mark.xdist_group("real ml service")
def test_an_import_waits_for_the_run_which_scores_the_facts_as_they_were(
    demo_world: World, meanwhile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CHUNK", "FIRST_CHUNK"):
        monkeypatch.setattr(scoring_run, name, 40)
    params, both, before = neglected(demo_world, tmp_path), meanwhile(demo_world), scores(demo_world)
    real, first = RunWriter.append, threading.Event()

    def append(*args: Any, **more: Any) -> None:
        real(*args, **more)
        if not first.is_set():
            first.set()
            both.start("import", "import", import_file.run, params).add_done_callback(ended.append)
            both.says("import", "Waiting for a scoring run")

    ended: list[Future[Job]] = []
    monkeypatch.setattr(RunWriter, "append", append)
    run = both.start("run", "score", scoring_run.run).result(DEADLINE_S)
    both.pool.shutdown()
    assert (run.state, ended[0].result().state) == ("done", "done")
    assert scores(demo_world, run.result["run_id"]) == before
    after = demo_world.do("score", scoring_run.run)
    assert sum(scores(demo_world, after["run_id"]).values()) > 2 * sum(before.values()), "everybody was changed"


@pytest.mark.xdist_group("real ml service")
def test_a_run_waits_for_the_import_and_scores_all_of_it(
    demo_world: World, make_world: Any, demo_file: Path, ml_url: str, meanwhile: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    params, both = neglected(demo_world, tmp_path), meanwhile(demo_world)
    alone = make_world(demo_file, url=ml_url, at=demo_world.clock)
    alone.do("import", import_file.run, params)
    expected = scores(alone, alone.do("score", scoring_run.run)["run_id"])
    runs: list[Future[Job]] = []

    def until() -> None:
        runs.append(both.start("run", "score", scoring_run.run))
        both.says("run", "Waiting for an import")

    held(monkeypatch, until)
    assert both.start("import", "import", import_file.run, params).result(DEADLINE_S).state == "done"
    run = runs[0].result(DEADLINE_S)
    assert run.state == "done"
    assert scores(demo_world, run.result["run_id"]) == expected == scores(demo_world)


def test_two_imports_at_once_are_one_after_the_other_and_lose_nothing(
    world: World, meanwhile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def params(name: str, first: int, value: int, as_of: str) -> dict[str, Any]:
        path = tmp_path / name
        path.write_text("id,x\n" + "".join(f"c{k},{value}\n" for k in range(first, first + 3000)), encoding="utf-8")
        return {"path": str(path), "file_name": name, "schema": PLAIN.as_dict(), "as_of": as_of}

    both = meanwhile(world)
    second: list[Future[Job]] = []

    def until() -> None:
        second.append(both.start("b", "import", import_file.run, params("b.csv", 2000, 2, "2026-06-02")))
        both.says("b", "Waiting for another import")

    held(monkeypatch, until)
    first = both.start("a", "import", import_file.run, params("a.csv", 0, 1, "2026-06-01")).result(DEADLINE_S)
    later = second[0].result(DEADLINE_S)
    assert (first.result["customers_new"], later.result["customers_new"]) == (3000, 2000)
    assert (later.result["customers_updated"], later.result["customers_disappeared"]) == (1000, 2000)
    wide, snap = customers_table(PLAIN), snapshots_table(PLAIN)
    with world.database.read() as connection:
        present = connection.execute(select(wide.c.x, func.count()).group_by(wide.c.x).order_by(wide.c.x)).all()
        dated = connection.execute(select(snap.c.as_of, func.count(), func.avg(snap.c.x)).group_by(snap.c.as_of)).all()
        states = connection.execute(select(tables.imports.c.state)).scalars().all()
    assert [tuple(row) for row in present] == [(1.0, 2000), (2.0, 3000)]
    assert [tuple(row) for row in dated] == [("2026-06-01", 3000, 1.0), ("2026-06-02", 3000, 2.0)]
    assert states == ["published", "published"]
