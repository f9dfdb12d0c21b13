"""Monthly features joined to today's subscriptions: told at import, and brought right by saying so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from database.customers import facts
from shared.errors import ServiceError
from shared.schema.features import schema_from_dict
from tests.gateway.conftest import Run
from tests.gateway.importing.test_import_file import DATED, bring, customer, write
from tests.world import World

DAYS = ("2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01")
#: Thirty customers; by name, the day on which each of them leaves.
ENDS = {f"c{number}": "" for number in range(30)} | {
    "c0": "2026-01-20", "c1": "2026-02-10", "c2": "2026-02-15", "c3": "2026-03-20", "c4": "2026-04-25", "c5": "2026-12-31"
}  # fmt: skip
REMEDY = "import it with --ends-are-of-today (`ends_are_of_today`)"


def joined(tmp_path: Path, days: tuple[str, ...] = DAYS, ends: dict[str, str] = ENDS) -> Path:
    """Facts of each day of those who were there, each beside the end that is known today."""
    there = [(day, name, end) for day in days for name, end in ends.items() if not end or end > day]
    rows = [f"{name},{day},1,Gold,2025-01-01,{end},9" for day, name, end in there]
    return write(tmp_path, "joined.csv", rows)


def labels(world: World) -> list[tuple[int, int]]:
    """Customers and leavers of each day."""
    found = []
    for day in DAYS:
        with world.database.read() as connection:
            left = [row[1] for row in facts.training_rows(connection, DATED, day)]
        found.append((len(left), sum(left)))
    return found


SURVIVORS = [(24, 0)] * 5
RIGHT = [(30, 1), (29, 2), (27, 1), (26, 1), (25, 0)]


def test_such_a_file_is_told_at_import_and_becomes_right_by_saying_so(world: World, run: Run, tmp_path: Path) -> None:
    file = joined(tmp_path)
    told = bring(world, file, DATED)
    assert told["notes"][0].startswith(
        "3 of 30 rows of 2026-01-01 have an end more than 45 days ahead, as have rows of 1 further date. "
    )
    assert REMEDY in told["notes"][0]
    assert labels(world) == SURVIVORS, "everybody who leaves later is missing"
    status, _, said = run(world, "import", str(file), "--ends-are-of-today")
    assert status is None, said
    assert REMEDY not in said
    assert labels(world) == RIGHT
    assert (customer(world, "c0")["churn"], customer(world, "c5")["ends_on"]) == (1, "2026-12-31")
    with world.database.read() as connection:
        assert len(facts.outcomes_at(connection, "2026-06-29")) == 25, "the announced end is known since today"
        assert len(facts.outcomes_at(connection, "2026-06-30")) == 24


def test_the_flag_at_the_first_import_does_the_same(world: World, tmp_path: Path) -> None:
    told: dict[str, Any] = bring(world, joined(tmp_path), DATED, ends_are_of_today=True)
    assert not any(REMEDY in note for note in told["notes"])
    assert labels(world) == RIGHT


def test_ends_known_before_in_most_rows_of_leavers_are_told_where_none_lies_far_ahead(
    world: World, tmp_path: Path
) -> None:
    soon = {"c0": "2026-02-10", "c1": "2026-02-12", "c2": "2026-02-14", "stays": ""}
    told = bring(world, joined(tmp_path, ("2026-01-01", "2026-01-15", "2026-02-01", "2026-03-01"), soon), DATED)
    assert told["notes"][0].startswith("9 of 9 rows of customers who left later have their end already. ")


def test_ends_announced_a_month_ahead_are_told_of_nothing(world: World, tmp_path: Path) -> None:
    rows = [
        f"{name},{day},1,Gold,2025-01-01,{end if end and end[:7] == day[:7] else ''},9"
        for day in DAYS for name, end in ENDS.items() if not end or end > day
    ]  # fmt: skip
    told = bring(world, write(tmp_path, "a.csv", rows), DATED)
    assert not any(REMEDY in note for note in told["notes"])


def test_a_table_without_ends_has_none_of_today(world: World, tmp_path: Path) -> None:
    plain = schema_from_dict({"id": "id", "features": {"x": {"kind": "number"}}})
    with pytest.raises(ServiceError, match="names no start and end of subscriptions"):
        bring(world, write(tmp_path, "a.csv", ["a,1"], "id,x"), plain, ends_are_of_today=True)
