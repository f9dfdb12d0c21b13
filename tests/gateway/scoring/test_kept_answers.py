"""Routes answer the same, to the last digit, whether or not their figures are kept: after all that changes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from database.customers import listing
from database.engine import kept_figures
from database.scoring import movers
from database.tables import tables
from gateway.services.importing import import_file, import_outcomes
from gateway.services.maintenance import retention
from gateway.services.maintenance.retention import Limits
from gateway.services.scoring import keeping, scoring_run
from shared.schema.features import built_in_schema
from tests.world import World

HEADER = (
    "user_id,watch_time_hours,subscription_age_months,device_count,last_login_days,payment_failures,tenure_months,plan"
)
SOMEBODY = "usr_942183"
PATHS = (
    "/api/dashboard/value",
    "/api/dashboard/value?margin=0.6&months=24",
    *(f"/api/segments/summary?by={by}" for by in ("plan", "risk", "tenure_months")),
    "/api/segments/summary?by=plan&margin=0.3&churned=false",
    "/api/dashboard/movement",
    *(f"/api/customers/movers?direction={direction}&limit=20" for direction in ("up", "down", "entered", "left")),
    *(f"/api/customers?sort={sort}&limit=20" for sort in ("revenue_at_risk", "-revenue_at_risk")),
    *(f"/api/customers?sort={sort}&limit=20&scored=yes" for sort in ("last_activity", "-last_activity")),
)
LISTS = [path for path in PATHS if path.startswith("/api/customers")]


def _data(world: World, path: str) -> Any:
    answer = world.ask("GET", path)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["data"]


def answers(world: World) -> dict[str, Any]:
    """The whole answer of each route, of lists with their second page."""
    found = {path: _data(world, path) for path in PATHS}
    following = {path: found[path].get("next") for path in LISTS}
    return found | {f"{path}, then": _data(world, f"{path}&after={at}") for path, at in following.items() if at}


def are_kept(world: World) -> bool:
    with world.database.read() as connection:
        return kept_figures.version_to_measure(connection) is None


def renew(world: World) -> bool:
    return keeping.renew(world.database, world.settings.cut)


def nothing(world: World, folder: Path) -> None:
    pass


def imported(world: World, folder: Path) -> None:
    file = folder / "one.csv"
    file.write_text(f"{HEADER}\n{SOMEBODY},11,14,3,25,2,14,Premium 4K\nusr_new,11,14,3,25,2,14,Standard\n")
    given = {"path": str(file), "file_name": file.name, "schema": built_in_schema().as_dict()}
    world.do("import", import_file.run, given)


def outcomes(world: World, folder: Path) -> None:
    file, day = folder / "outcomes.csv", world.clock().date() - timedelta(days=2)
    with world.database.read() as connection:
        c = tables.customers
        names = connection.execute(select(c.c.user_id).where(c.c.churn == 0).order_by(c.c.id).limit(40)).scalars()
        file.write_text("\n".join(["user_id,ended_at", *(f"{name},{day}" for name in names)]) + "\n")
    world.do("import-outcomes", import_outcomes.run, {"path": str(file), "file_name": file.name})


def scored(world: World, folder: Path) -> None:
    imported(world, folder)
    world.do("score", scoring_run.run)


def sampled(world: World, folder: Path) -> None:
    imported(world, folder)
    world.do("score", scoring_run.run, {"sample_size": 300})


def promoted(world: World, folder: Path) -> None:
    told = world.ask("POST", "/api/model/rollback", "admin", json={"reason": "a test"})
    assert told.status_code == 200, told.get_data(as_text=True)
    world.do("score", scoring_run.run)


def retained(world: World, folder: Path) -> None:
    later = world.clock() + timedelta(days=3_000)
    assert retention.run(world.database, Limits(1, None, None), clock=lambda: later)["ledger"]


#: Everything that changes the present state, and what follows it.
CHANGES: tuple[Callable[[World, Path], None], ...] = (
    nothing, imported, outcomes, scored, sampled, promoted, retained,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_answers_are_the_same_with_and_without_kept_figures(
    demo_world: World, tmp_path: Path, change: Callable[[World, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (listing, movers):
        monkeypatch.setattr(module, "KEPT", 30)
    assert renew(demo_world)
    before = answers(demo_world)
    change(demo_world, tmp_path)
    assert are_kept(demo_world) == (change is nothing)
    beside_older = answers(demo_world)
    with demo_world.database.write() as connection:
        connection.execute(delete(tables.kept_figures))
    by_pass = answers(demo_world)
    assert beside_older == by_pass
    assert (by_pass == before) == (change is nothing)
    assert renew(demo_world)
    assert answers(demo_world) == by_pass


def noted(world: World) -> Any:
    return world.ask("PATCH", f"/api/customers/{SOMEBODY}/work", json={"status": "to_do", "note": "call"})


def suppressed(world: World) -> Any:
    return world.ask("POST", "/api/do-not-contact", json={"customers": [SOMEBODY], "reason": "objected"})


def set_apart(world: World) -> Any:
    return world.ask("POST", "/api/segments", json={"name": "Mine", "query": "plan=Standard"})


@pytest.mark.parametrize("write", [noted, suppressed, set_apart])
def test_a_note_a_contact_and_a_segment_leave_figures_as_they_are_kept(
    demo_world: World, write: Callable[[World], Any]
) -> None:
    assert renew(demo_world)
    answer = write(demo_world)
    assert answer.status_code < 300, answer.get_data(as_text=True)
    assert are_kept(demo_world)
