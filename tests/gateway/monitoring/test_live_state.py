"""The state of the live model over the demo, and over worlds in which it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from database.tables import tables
from gateway.cli import live as live_cli
from tests.world import World

Run = Callable[..., tuple[int | None, str, str]]
pytestmark = pytest.mark.xdist_group("real ml service")


def state(world: World) -> dict[str, Any]:
    answer = world.ask("GET", "/api/model/live")
    assert answer.status_code == 200, answer.get_json()
    found: dict[str, Any] = answer.get_json()["data"]
    return found


def newest_run(world: World) -> int:
    return int(state(world)["newest"]["runs"][0])


def test_before_the_first_model_everything_is_null_and_says_why(world: World) -> None:
    found = state(world)
    assert (found["version"], found["status"], found["newest"], found["alerts"]) == (None, None, None, [])
    assert found["alarm"]["note"] == "No counted run has matured yet."
    assert world.ask("GET", "/api/dashboard/metrics").get_json()["data"]["modelAuc"]["status"] is None


def test_the_demo_shows_its_newest_matured_month_and_watches_its_level(demo_world: World) -> None:
    found = state(demo_world)
    assert found["newest"]["stage"] == "matured"
    assert found["provisional"]["stage"] == "provisional"
    assert found["pending"]["runs"] == 2
    alarm = found["alarm"]
    assert not alarm["raised"]
    assert alarm["limit"] == pytest.approx(20)
    assert alarm["note"] is not None or len(alarm["history"]) == 7


def test_the_command_says_status_and_evidence(demo_world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_cli, "prepare", lambda: demo_world.environment)
    status, printed, _ = run(demo_world, "live")
    found = state(demo_world)
    assert status is None
    assert printed.startswith(f"Model {found['version']}: {found['status']}. ")
    assert "an alarm is raised from 20" in printed or found["alarm"]["note"] in printed


def test_the_status_follows_what_has_matured_and_says_why(demo_world: World) -> None:
    def card() -> Any:
        return demo_world.ask("GET", "/api/dashboard/metrics").get_json()["data"]["modelAuc"]["status"]

    b, m, run_id = tables.outcome_bins, tables.measured_runs, newest_run(demo_world)
    here = (b.c.run_id == run_id, b.c.feature == "")
    before = state(demo_world)
    assert before["status"] == card() == ("Watch" if before["alerts"] else "Stable")
    with demo_world.database.write() as connection:
        connection.execute(update(b).where(*here).values(leavers=b.c.customers // 2))
    watch = state(demo_world)
    assert (watch["status"], card()) == ("Watch", "Watch")
    assert {alert["kind"] for alert in watch["alerts"]} == {"observed_expected", "auc"}
    assert watch["status_reason"].startswith(f"{watch['newest']['leavers']:,} left where ")
    with demo_world.database.write() as connection:
        connection.execute(update(m).where(m.c.run_id == run_id).values(log_evidence=3.5))
    answered = state(demo_world)
    assert (answered["status"], answered["alarm"]["raised"]) == ("Watch", False)
    assert answered["alarm"]["answered_by"] == answered["version"], "today's model has learned from these outcomes"
    live = tables.models
    with demo_world.database.write() as connection:
        connection.execute(update(live).where(live.c.version == answered["version"]).values(trained_on="2020-01-01"))
    degraded = state(demo_world)
    assert (degraded["status"], card()) == ("Degraded", "Degraded")
    assert degraded["alarm"]["raised_by"] == degraded["newest"]["as_of"][1]
    assert degraded["alerts"][0]["kind"] == "level_alarm"
