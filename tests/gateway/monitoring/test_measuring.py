"""Measuring: runs are counted when their outcomes come in, and again when these change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from database.customers import customers
from database.scoring import runs
from database.tables import tables
from gateway.services.monitoring import measuring
from gateway.services.scoring import outcomes
from tests.database import ledger
from tests.database.ledger import a_score
from tests.gateway.importing.test_import_file import DATED, bring, write
from tests.world import World

DAY = "2026-01-31"
FIGURES = ("n", "prevalence", "auc", "log_loss", "brier", "ece", "lift_at_10_percent", "precision", "recall")
REPORT = {"live": {"threshold": 0.5}, "test": dict.fromkeys(FIGURES, 0.5) | {"n": 2}}


def history(world: World, tmp_path: Path, last: str) -> None:
    first = [f"{name},{DAY},1,{plan},2025-01-01,,9" for name, plan in (("a", "Gold"), ("b", "Gold"), ("c", "Basic"))]
    later = [
        f"a,{last},1,Basic,2025-01-01,2026-02-10,9",
        f"b,{last},1,Basic,2025-01-01,,9",
        f"c,{last},1,Basic,2025-01-01,,9",
    ]
    bring(world, write(tmp_path, "first.csv", first), DATED)
    bring(world, write(tmp_path, "later.csv", later), DATED)


def scored(world: World, scores: dict[str, float], as_of: str = DAY) -> int:
    """A finished run of a version with a report."""
    with world.database.write() as connection:
        model = connection.execute(select(tables.models.c.id).limit(1)).scalar_one_or_none()
        if model is None:
            row = {"version": "1.0.0", "state": "ready", "schema_checksum": "", "trained_on": "", "created_at": "",
                   "report_json": json.dumps(REPORT)}  # fmt: skip
            model = connection.execute(insert(tables.models).values(row).returning(tables.models.c.id)).scalar_one()
        known = customers.ids_by_user_id(connection, list(scores))
        run_id = runs.start(connection, kind="past", model_id=model, as_of=as_of, job_id=None, now="")
        ledger.append(connection, run_id, [known[n] for n in scores], [a_score(p) for p in scores.values()])
        runs.finish(connection, run_id, state="done", customers=len(scores), average=0.5, now="")
    return run_id


def bins(world: World, feature: str = "") -> list[tuple[object, ...]]:
    b = tables.outcome_bins
    query = select(b.c.value, b.c.listed, b.c.customers, b.c.leavers, b.c.probability_sum).where(b.c.feature == feature)
    with world.database.read() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(b.c.value, b.c.bin))]


def stages(world: World) -> list[tuple[object, ...]]:
    m = tables.measured_runs
    with world.database.read() as connection:
        return [tuple(row) for row in connection.execute(select(m.c.stage, m.c.is_counted, m.c.without_outcome))]


def renew(world: World) -> int:
    outcomes.settle(world.work("score"))
    return measuring.measure(world.work("score"))


def test_predictions_are_counted_beside_their_outcomes_by_the_facts_that_were_scored(
    world: World, tmp_path: Path
) -> None:
    history(world, tmp_path, "2026-05-01")
    scored(world, {"a": 0.6, "b": 0.2, "c": 0.2})
    assert renew(world) == 1
    assert stages(world) == [("matured", 1, 0)]
    assert bins(world) == [("", 0, 2, 0, 0.4), ("", 1, 1, 1, 0.6)]
    assert bins(world, "plan") == [("Basic", 0, 1, 0, 0.2), ("Gold", 0, 1, 0, 0.2), ("Gold", 1, 1, 1, 0.6)]
    assert renew(world) == 0, "nothing has changed"


@pytest.mark.parametrize(
    ("last", "stage"), [("2026-03-01", []), ("2026-03-02", ["provisional"]), ("2026-04-01", ["matured"])]
)
def test_a_run_is_provisional_once_its_thirty_days_are_over_and_matured_after_the_grace_gap(
    world: World, tmp_path: Path, last: str, stage: list[str]
) -> None:
    history(world, tmp_path, last)
    scored(world, {"a": 0.6, "b": 0.2, "c": 0.2})
    renew(world)
    assert [each[0] for each in stages(world)] == stage


def test_an_outcome_that_changes_has_its_run_counted_anew(world: World, tmp_path: Path) -> None:
    history(world, tmp_path, "2026-05-01")
    scored(world, {"a": 0.6, "b": 0.2, "c": 0.2})
    renew(world)
    s = tables.subscriptions
    with world.database.write() as connection:
        b = customers.ids_by_user_id(connection, ["b"])["b"]
        connection.execute(update(s).where(s.c.customer_id == b).values(ended_at="2026-02-20"))
    assert renew(world) == 1
    assert bins(world) == [("", 0, 2, 1, 0.4), ("", 1, 1, 1, 0.6)]


def test_a_second_run_of_the_same_month_is_measured_and_not_counted_twice(world: World, tmp_path: Path) -> None:
    history(world, tmp_path, "2026-05-01")
    scored(world, {"a": 0.6, "b": 0.2, "c": 0.2})
    renew(world)
    scored(world, {"a": 0.7, "b": 0.1, "c": 0.2})
    assert renew(world) == 2, "the later one counts now, the earlier one no longer"
    assert [each[1] for each in stages(world)] == [0, 1]
    assert sum(int(str(row[2])) for row in bins(world, "plan")) == 3
