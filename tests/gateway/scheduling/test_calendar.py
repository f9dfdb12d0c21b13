"""The schedule: queued when due, once after downtime, never two at once, by one of several workers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select, update

from database.jobs import jobs
from database.tables import tables
from gateway.cli import scheduling
from gateway.environment import open_environment
from gateway.services import kinds
from gateway.services.importing import uploads
from gateway.services.maintenance import backups
from gateway.services.models import promotions
from gateway.services.scheduling import calendar
from shared.clock import utc_now
from shared.errors import NotFound
from tests.gateway.importing.test_import_file import DATED, bring, write
from tests.world import TODAY, World, settings_of

MakeWorld = Callable[..., World]
HOUR = timedelta(hours=1)
ROWS = ["a,2026-06-01,1,one,2026-01-01,,9", "b,2026-06-01,2,two,2026-01-01,,9"]


def tick(world: World, now: datetime) -> list[int]:
    return calendar.tick(replace(world.environment, clock=lambda: now))


def end_all(world: World, state: str = "done") -> None:
    with world.database.write() as connection:
        connection.execute(update(tables.jobs).values(state=state))


def kinds_of(world: World) -> list[str]:
    with world.database.read() as connection:
        return list(connection.execute(select(tables.jobs.c.kind).order_by(tables.jobs.c.id)).scalars())


def test_a_task_comes_when_its_line_says_and_not_before(make_world: MakeWorld) -> None:
    world = make_world(SCHEDULE="score 0 * * * *; mature 30 12 * * *")
    assert tick(world, TODAY + HOUR / 4) == [], "planned from now on"
    assert tick(world, TODAY + HOUR / 2 - timedelta(seconds=1)) == []
    assert len(tick(world, TODAY + HOUR / 2)) == 1
    assert len(tick(world, TODAY + HOUR)) == 1
    assert kinds_of(world) == ["mature", "score"]


def test_what_was_missed_is_done_once(make_world: MakeWorld) -> None:
    world = make_world(SCHEDULE="score 0 * * * *")
    tick(world, TODAY)
    assert len(tick(world, TODAY + 50 * HOUR)) == 1
    end_all(world)
    assert tick(world, TODAY + 50 * HOUR + timedelta(minutes=59)) == []
    assert len(tick(world, TODAY + 51 * HOUR)) == 1


def test_no_task_is_queued_while_a_job_of_its_kind_waits_or_runs(make_world: MakeWorld) -> None:
    world = make_world(SCHEDULE="score 0 * * * *")
    tick(world, TODAY)
    tick(world, TODAY + HOUR)
    assert tick(world, TODAY + 2 * HOUR) == []
    (row,) = world.ask("GET", "/api/schedule", "viewer").get_json()["data"]["tasks"]
    assert row["note"].startswith("Skipped")
    assert row["last_state"] == "queued"
    end_all(world)
    assert len(tick(world, TODAY + 3 * HOUR)) == 1
    (row,) = world.ask("GET", "/api/schedule", "viewer").get_json()["data"]["tasks"]
    assert row["note"] is None


def test_of_many_workers_one_queues_a_task(make_world: MakeWorld) -> None:
    world = make_world(SCHEDULE="score 0 * * * *; mature 0 * * * *")
    tick(world, TODAY)
    made: list[int] = []
    start = threading.Barrier(6)

    def one() -> None:
        environment = replace(open_environment(world.settings), clock=lambda: TODAY + HOUR)
        start.wait()
        made.extend(calendar.tick(environment))
        environment.database.close()

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(made) == 2
    assert sorted(kinds_of(world)) == ["mature", "score"]


def test_a_line_that_was_changed_is_planned_anew(make_world: MakeWorld) -> None:
    world = make_world(SCHEDULE="score 0 0 1 1 *")
    tick(world, TODAY)
    world.settings = settings_of(world.database.path, SCHEDULE="score 0 * * * *")
    tick(world, TODAY)
    assert len(tick(world, TODAY + HOUR)) == 1


def test_the_calendar_has_last_and_next_times_before_any_worker_ran(make_world: MakeWorld) -> None:
    world = make_world(SCHEDULE="train 0 4 * * 0;score 30 3 * * *")
    data = world.ask("GET", "/api/schedule", "viewer").get_json()["data"]
    assert data["promotion"] == "proposed"
    assert [(each["task"], each["next_at"], each["last_at"]) for each in data["tasks"]] == [
        ("train", "2026-07-05T04:00:00.000Z", None), ("score", "2026-07-01T03:30:00.000Z", None),
    ]  # fmt: skip
    assert make_world().ask("GET", "/api/schedule", "viewer").get_json()["data"]["tasks"] == []


@pytest.mark.parametrize(
    "variables",
    [
        {"SCHEDULE": "score every day"}, {"SCHEDULE": "clean 0 3 * * *"}, {"SCHEDULE": "score 0 3 * * *; score 0 4 * * *"},
        {"SCHEDULE": "import 0 3 * * *"}, {"SCHEDULE": "backup 0 3 * * *"}, {"SCHEDULED_PROMOTION": "perhaps"},
    ],
)  # fmt: skip
def test_a_schedule_that_can_not_be_read_or_lacks_its_folder_stops_the_start(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    with pytest.raises(ValidationError):
        settings_of(tmp_path / "a.db", **variables)


# --- what the tasks do ----------------------------------------------------------------------------------------------


def old_enough(path: Path) -> Path:
    """As if it had been written a while ago."""
    then = time.time() - 3600
    os.utime(path, (then, then))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "inbox"
    made.mkdir()
    return made


def test_each_new_file_of_the_folder_is_imported_once(make_world: MakeWorld, folder: Path, tmp_path: Path) -> None:
    world = make_world(SCHEDULE="import 0 * * * *", IMPORT_FOLDER=folder)
    tick(world, TODAY)
    first = old_enough(write(folder, "b.csv", ROWS))
    tick(world, TODAY + HOUR)
    (row,) = world.ask("GET", "/api/schedule", "viewer").get_json()["data"]["tasks"]
    assert "needs a customer base" in row["note"]
    bring(world, write(tmp_path, "first.csv", ROWS), DATED)
    end_all(world)
    old_enough(write(folder, "outcomes-1.csv", [], "user_id,ended_at"))
    write(folder, "c.csv", ROWS)  # perhaps still being written
    write(folder, "notes.txt", [])
    assert len(tick(world, TODAY + 2 * HOUR)) == 2
    assert kinds_of(world)[-2:] == ["import", "import-outcomes"]
    assert tick(world, TODAY + 3 * HOUR) == [], "known, however the jobs ended, and the folder is as it was"
    assert first.exists()
    end_all(world, "failed")
    first.write_text(first.read_text() + "\n")
    old_enough(first)
    assert len(tick(world, TODAY + 4 * HOUR)) == 1, "written anew"


def test_a_link_in_the_folder_leads_to_no_other_file(make_world: MakeWorld, folder: Path, tmp_path: Path) -> None:
    """A link would have the worker read any file of its user, and quote it in a refusal."""
    world = make_world(SCHEDULE="import 0 * * * *", IMPORT_FOLDER=folder)
    bring(world, write(tmp_path, "first.csv", ROWS), DATED)
    end_all(world)
    tick(world, TODAY)
    (folder / "linked.csv").symlink_to(old_enough(write(tmp_path, "elsewhere.csv", ROWS)))
    assert tick(world, TODAY + HOUR) == []
    own = old_enough(write(folder, "own.csv", ROWS))
    (job,) = tick(world, TODAY + 2 * HOUR)
    own.unlink()
    own.symlink_to(tmp_path / "elsewhere.csv")
    with world.database.read() as connection:
        made = jobs.get(connection, job)
    assert made is not None
    with pytest.raises(NotFound):
        uploads.present(kinds.IMPORT.read(made.params))


def test_why_a_scheduled_job_failed_is_for_administrators_alone(make_world: MakeWorld) -> None:
    """The message of an import quotes a cell of its file, which can be an address."""
    world = make_world(SCHEDULE="score 0 * * * *")
    tick(world, TODAY)
    (job,) = tick(world, TODAY + HOUR)
    told = "line 3, e-mail: 'ann@example.com' is there twice"
    with world.database.write() as connection:
        values = {"state": "failed", "error_code": "invalid_table", "error_message": told}
        connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(values))
    key = world.ask("POST", "/api/auth/keys", "admin", json={"name": "reader", "scopes": ["read"]}).get_json()["data"]
    by_key = world.client.get("/api/schedule", headers={"X-API-Key": key["key"]})
    answers = {role: world.ask("GET", "/api/schedule", role) for role in ("viewer", "analyst")} | {"key": by_key}
    for who, answer in answers.items():
        assert [each["note"] for each in answer.get_json()["data"]["tasks"]] == [calendar.FAILED], who
    (row,) = world.ask("GET", "/api/schedule", "admin").get_json()["data"]["tasks"]
    assert row["note"] == told


def test_a_backup_is_made_where_the_setting_says(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world(
        SCHEDULE="backup 0 3 * * *", BACKUP_FOLDER=tmp_path / "backups", ML_MODEL_PATH=tmp_path / "models"
    )
    result = world.do("backup", kinds.BACKUP.run)
    assert backups.verify(tmp_path / "backups", progress=lambda share, what: None).made_at == result["made_at"]


def test_maturation_counts_the_outcomes_it_appended(make_world: MakeWorld) -> None:
    assert make_world().do("mature", kinds.MATURE.run) == {"outcomes": 0}


def test_a_proposed_challenger_waits_for_an_administrator_and_a_first_model_does_not() -> None:
    same, none = SimpleNamespace(), None
    for champion, promote, wanted in ((same, False, False), (same, True, True), (none, False, True)):
        report: Any = a_report(champion)
        went_live, why = promotions.decide(report, promote=promote)
        assert went_live is wanted
        assert why.startswith("Promoted" if wanted else "Proposed")
    worse: Any = a_report(same, verdict="worse")
    for promote in (False, True):
        went_live, why = promotions.decide(worse, promote=promote)
        assert not went_live
        assert why.startswith("Not promoted")


def a_report(champion: Any, verdict: str = "not_worse") -> Any:
    """As much of a report as the gate reads."""
    test = SimpleNamespace(log_loss=0.1, n=100)
    found = SimpleNamespace(
        interval=(-0.01, 0.0), difference=-0.005, verdict=verdict, collapsed=[], behind_decided=0.0, margin=0.01
    )
    return SimpleNamespace(champion=champion and test, comparison=champion and found, test=test)


def test_the_worker_queues_what_is_due(make_world: MakeWorld) -> None:
    world = make_world(SCHEDULE="mature * * * * *", at=utc_now)
    tick(world, utc_now() - 2 * HOUR)
    with world.working():
        deadline = time.monotonic() + 20
        while "mature" not in kinds_of(world) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert kinds_of(world)[0] == "mature"


def test_the_command_prints_the_calendar(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for lines, wanted in (
        ("score 30 3 * * *", "score    30 3 * * *       next 2026-07-01T03:30:00.000Z  never yet"),
        ("", ""),
    ):
        world = make_world(SCHEDULE=lines)
        monkeypatch.setattr(scheduling, "prepare", lambda world=world: world.environment)
        scheduling.schedule.callback(as_json=False)
        shown = capsys.readouterr()
        printed = [line for line in shown.out.splitlines() if not line.startswith("{")]
        assert printed == ([wanted] if wanted else [])
        assert ("Nothing is scheduled" in shown.err) is (lines == "")
