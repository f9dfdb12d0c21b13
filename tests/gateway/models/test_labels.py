"""The basis of a training's labels: known ends, and those among them that no row learns from."""

from __future__ import annotations

import re
from pathlib import Path

from database.customers import facts
from gateway.services.models import labels, training
from shared.schema.features import built_in_schema
from tests.gateway.importing.test_import_file import DATED, bring, write
from tests.world import World

DAYS = ("2026-01-01", "2026-02-01", "2026-03-01", "2026-05-01")


def known(world: World, tmp_path: Path, ends: dict[str, str]) -> labels.Labels:
    """The labels of monthly files whose customers end as told in the last one."""
    for day in DAYS:
        last = day == DAYS[-1]
        rows = [f"{name},{day},1,Gold,2025-01-01,{end if last else ''},9" for name, end in ends.items()
                if last or name != "without facts"]  # fmt: skip
        bring(world, write(tmp_path, f"{day}.csv", rows), DATED)
    found = labels.measure(world.database, DATED, "2026-06-30")
    assert found is not None
    return found[0]


def test_ends_are_counted_once_and_those_of_no_row_beside_them(world: World, tmp_path: Path) -> None:
    left = {"a": "2026-01-20", "b": "2026-02-15", "late": "2026-03-30", "after": "2026-04-20", "stays": ""}
    found = known(world, tmp_path, {**left, "between": "2026-02-01", "without facts": "2026-02-15"})
    # The 31st day after 1 January is within no row's 30 days: the rows of 1 February are of those who are there then.
    assert (found.complete_to, found.ends, found.ends_labelled) == ("2026-05-01", 5, 3)
    assert (found.few_ends, found.left_out) == ([], [])
    measured = labels.measure(world.database, DATED, "2026-06-30")
    assert measured is not None
    assert "Only 60.0 % of the 5 known ends" in measured[1][0]


def test_a_customer_who_comes_back_within_the_grace_gap_is_no_end(world: World, tmp_path: Path) -> None:
    found = known(world, tmp_path, {"a": "2026-01-20", "b": "2026-02-15"})
    back = [f"b,{DAYS[-1]},1,Gold,2026-03-10,,9"]
    bring(world, write(tmp_path, "back.csv", back), DATED)
    again = labels.measure(world.database, DATED, "2026-06-30")
    assert again is not None
    assert (found.ends, again[0].ends) == (2, 1)


def test_a_table_that_gives_its_labels_has_no_ends_to_speak_of(world: World, tmp_path: Path) -> None:
    assert labels.measure(world.database, DATED, "2026-06-30") is None


def test_the_report_of_a_training_states_them(demo_world: World) -> None:
    result = demo_world.do("train", training.run)
    with demo_world.database.read() as connection:
        last = facts.last_date(connection)
    assert re.match(rf"Ends are known up to {last}\. Among known ends inside the matured span, ", result["notes"][0])
    version = result["metrics"]["model_version"]
    report = demo_world.ask("GET", f"/api/model/versions/{version}").get_json()["data"]["report"]
    found = labels.measure(demo_world.database, built_in_schema(), str(last))
    assert found is not None
    assert report["labels"] == found[0].model_dump()
    assert 0.9 < found[0].ends_labelled / found[0].ends <= 1
