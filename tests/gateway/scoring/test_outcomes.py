"""Outcomes: appended once, when their time has come."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, select

from database.customers import customers
from database.scoring import runs
from database.tables import tables
from gateway.services.scoring import outcomes
from tests.database import ledger
from tests.database.ledger import a_score
from tests.gateway.importing.test_import_file import DATED, bring, write
from tests.world import World

DAY = "2026-01-31"


def scored(world: World, order: list[str], as_of: str = DAY) -> int:
    """A finished run over these customers, in this order."""
    with world.database.write() as connection:
        known = customers.ids_by_user_id(connection, order)
        model = connection.execute(select(tables.models.c.id).limit(1)).scalar_one_or_none()
        if model is None:
            row = {"version": "1.0.0", "state": "ready", "schema_checksum": "", "trained_on": "", "created_at": ""}
            model = connection.execute(insert(tables.models).values(row).returning(tables.models.c.id)).scalar_one()
        run_id = runs.start(connection, kind="past", model_id=model, as_of=as_of, job_id=None, now="")
        ledger.append(connection, run_id, [known[name] for name in order], [a_score(0.5)] * len(order))
        runs.finish(connection, run_id, state="done", customers=len(order), average=0.5, now="")
    return run_id


def known(world: World) -> list[tuple[str, int]]:
    o, c = tables.outcomes, tables.customers
    with world.database.read() as connection:
        query = select(c.c.user_id, o.c.churned).join_from(o, c, c.c.id == o.c.customer_id)
        return [tuple(row) for row in connection.execute(query.order_by(o.c.id))]


def history(world: World, tmp_path: Path, last: str) -> None:
    first = ["a,2026-01-31,1,Gold,2025-01-01,,9", "b,2026-01-31,1,Gold,2025-01-01,,9", "none,2026-01-31,1,Gold,,,9"]
    later = [f"a,{last},1,Gold,2025-01-01,2026-02-10,9", f"b,{last},1,Gold,2025-01-01,,9"]
    bring(world, write(tmp_path, "first.csv", first), DATED)
    bring(world, write(tmp_path, "later.csv", later), DATED)


@pytest.mark.parametrize(("last", "is_due"), [("2026-03-31", False), ("2026-04-01", True), ("2026-05-01", True)])
def test_an_outcome_comes_when_its_thirty_days_and_the_grace_gap_are_over_and_not_before(
    world: World, tmp_path: Path, last: str, is_due: bool
) -> None:
    history(world, tmp_path, last)
    scored(world, ["a", "b"])
    assert outcomes.settle(world.work("score")) == (2 if is_due else 0)
    assert known(world) == ([("a", 1), ("b", 0)] if is_due else [])


def test_settling_again_appends_nothing_even_where_somebody_has_no_outcome(world: World, tmp_path: Path) -> None:
    history(world, tmp_path, "2026-05-01")
    scored(world, ["none", "a", "b"])
    outcomes.settle(world.work("score"))
    outcomes.settle(world.work("score"))
    assert known(world) == [("a", 1), ("b", 0)]


def test_what_a_broken_settling_left_out_is_appended_by_the_next(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(world, tmp_path, "2026-05-01")
    scored(world, ["a", "b"])
    monkeypatch.setattr(outcomes, "CHUNK", 1)
    real, calls = runs.add_outcomes, []

    def breaks(*args: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError("killed")
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "add_outcomes", breaks)
    with pytest.raises(OSError, match="killed"):
        outcomes.settle(world.work("score"))
    outcomes.settle(world.work("score"))
    assert known(world) == [("a", 1), ("b", 0)]


def test_a_table_without_lifetimes_has_no_outcomes(world: World) -> None:
    assert outcomes.settle(world.work("score")) == 0
