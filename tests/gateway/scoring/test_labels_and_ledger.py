"""Training's labels are the ledger's newest outcomes, after every kind of import in any order."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from database.customers import facts, maturity
from database.tables import tables
from gateway.services.importing import import_outcomes
from shared.errors import ServiceError
from tests.gateway.importing.test_import_file import DATED, bring, write
from tests.gateway.scoring.test_outcomes import scored
from tests.world import World, clock, open_world

PEOPLE = [f"c{number}" for number in range(5)]
SCORED = ("2026-01-01", "2026-02-01", "2026-03-01")
DAYS = st.sampled_from((*SCORED, "2026-02-15", "2026-04-01", "2026-05-01", "2026-06-01"))
ENDS = st.sampled_from(("", "", "2026-01-20", "2026-02-10", "2026-03-05", "2026-06-10"))
WHO = st.lists(st.tuples(st.sampled_from(PEOPLE), ENDS), min_size=1, max_size=5, unique_by=lambda each: each[0])
FLAGS: dict[str, dict[str, bool]] = {
    "file": {}, "full": {"full_snapshot": True, "absent_are_gone": True}, "joined": {"ends_are_of_today": True}
}  # fmt: skip
Told = Sequence[tuple[str, str]]
FILES = st.tuples(st.sampled_from(("file", "full", "joined")), DAYS, WHO)
OUTCOMES = st.tuples(st.sampled_from(("outcomes", "all outcomes")), DAYS, WHO)


def newest(world: World, run_id: int) -> dict[int, int]:
    o = tables.outcomes
    with world.database.read() as connection:
        rows = connection.execute(select(o.c.customer_id, o.c.churned).where(o.c.run_id == run_id).order_by(o.c.id))
        return {row.customer_id: row.churned for row in rows}


def agree(world: World, run_ids: dict[str, int]) -> int:
    """Compare every matured date's labels with its run's newest outcomes; return the number of labels."""
    compared = 0
    for day, run_id in run_ids.items():
        with world.database.read() as connection:
            if day not in maturity.matured_dates(connection, "2026-06-30"):
                continue
            trained = {row[0]: row[1] for row in facts.training_rows(connection, DATED, day)}
        told = newest(world, run_id)
        assert trained == {key: told.get(key) for key in trained}, day
        compared += len(trained)
    return compared


def do(world: World, folder: Path, number: int, kind: str, day: str, who: Told) -> None:
    """One import of a kind."""
    if kind in FLAGS:
        rows = [f"{name},{day},{number},Gold,2025-01-01,{end},9" for name, end in who]
        bring(world, write(folder, f"{number}.csv", rows), DATED, **FLAGS[kind])
        return
    rows = [f"{name},{end}" for name, end in who if end]
    file = write(folder, f"{number}.csv", rows, "user_id,ended_at")
    told: dict[str, Any] = {"ends_complete_to": "2026-06-20"} if kind == "all outcomes" else {}
    if rows:
        world.do("import-outcomes", import_outcomes.run, {"path": str(file), "file_name": file.name, **told})


LATE = [("all outcomes", "2026-06-01", [("c0", "2026-01-20")]), ("outcomes", "2026-06-01", [("c1", "2026-02-10")])]
TAKEN_BACK = [("all outcomes", "2026-06-01", [("c0", "2026-01-20")]), ("file", "2026-06-01", [("c0", "")])]
ABSENT = [("full", day, [("c0", "")]) for day in ("2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01")]


@pytest.fixture(scope="module")
def scored_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """A base of five customers, scored on three days; and the runs by their days."""
    folder = tmp_path_factory.mktemp("scored")
    world = open_world(folder / "a.db", at=clock)
    do(world, folder, 0, "file", SCORED[0], [(who, "") for who in PEOPLE])
    run_ids = {day: scored(world, PEOPLE, day) for day in SCORED}
    world.database.close()
    return folder / "a.db", run_ids


@settings(max_examples=5, deadline=None)
@given(st.lists(st.one_of(FILES, OUTCOMES), min_size=2, max_size=4))
@example(LATE)
@example(TAKEN_BACK)
@example(ABSENT)
def test_labels_and_ledger_agree_after_every_import(
    scored_file: tuple[Path, dict[str, int]], imports: list[tuple[str, str, Told]]
) -> None:
    file, run_ids = scored_file
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copyfile(file, folder / "a.db")
        world = open_world(folder / "a.db", at=clock)
        with world.database.read() as connection:
            assert len(facts.outcomes_at(connection, SCORED[0])) == len(PEOPLE)
        for number, (kind, day, who) in enumerate(imports, start=1):
            try:
                do(world, folder, number, kind, day, who)
            except ServiceError as refused:
                assert refused.code == "invalid_table", refused
            agree(world, run_ids)
        world.database.close()


def test_an_end_that_comes_in_late_is_a_further_row_and_so_is_one_that_is_taken_back(
    world: World, tmp_path: Path
) -> None:
    do(world, tmp_path, 0, "file", SCORED[0], [(who, "") for who in PEOPLE])
    run_id = scored(world, PEOPLE, SCORED[0])
    rows = []
    for number, step in enumerate([*LATE[:1], ("outcomes", "", [("c1", "2026-01-09")]), TAKEN_BACK[1]], start=1):
        do(world, tmp_path, number, *step)
        rows.append(sorted(newest(world, run_id).values()))
        assert agree(world, {SCORED[0]: run_id}) == 5
    assert rows == [[0, 0, 0, 0, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]]
    with world.database.read() as connection:
        found = connection.execute(select(tables.outcomes.c.id)).scalars().all()
    assert len(found) == 5 + 1 + 1, "nothing is changed, two rows are added"
