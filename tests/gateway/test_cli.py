"""The command line: one sentence and exit status 2 for whatever is wrong, progress that does not flood."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from sqlalchemy import update

import gateway.cli.main as cli
from database.customers.customer_base import column_names, customers_table
from gateway.cli import high_risk, setup
from gateway.cli.setup import ProgressLine, run_here
from gateway.services import kinds
from gateway.services.jobs import work
from gateway.services.jobs.params import FileParams, ScoreParams
from shared.errors import InvalidInput, InvalidTable
from tests.gateway.customers_conftest import SCHEMA, small
from tests.world import World


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int | None:
    """Exit status of `retainstream ...`; None where it returned."""
    monkeypatch.setattr(sys, "argv", ["retainstream", *words])
    try:
        cli.main()
    except SystemExit as left:
        return left.code  # type: ignore[return-value]
    return None


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A command that fails as it is told to."""
    told: dict[str, BaseException] = {}

    @click.command("fail")
    def fail() -> None:
        raise told["error"]

    monkeypatch.setitem(cli.retainstream.commands, "fail", fail)
    return told


def test_a_failure_is_one_sentence_and_status_two(
    monkeypatch: pytest.MonkeyPatch, failing: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    failing["error"] = InvalidInput("That is wrong; do this.")
    assert call(monkeypatch, "fail") == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "Error: That is wrong; do this.\n")


def test_everything_is_not_started_where_the_ml_service_would_be_looked_for_in_vain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHON_PORT", "5301")
    monkeypatch.setenv("PYTHON_SERVICE_URL", "http://localhost:5001")
    assert call(monkeypatch, "up") == 1
    assert "remove PYTHON_SERVICE_URL" in capsys.readouterr().err


def test_details_say_where_and_only_the_first_twenty_are_shown(
    monkeypatch: pytest.MonkeyPatch, failing: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    details = [{"row": row, "field": "x", "message": "is negative"} for row in range(2, 60)]
    failing["error"] = InvalidTable("58 cells are wrong.", details=details)  # type: ignore[arg-type]
    call(monkeypatch, "fail")
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "  2, x: is negative", "the sentence above says whether it is a line or a row"
    assert sum("is negative" in line for line in lines) == cli.SHOWN_DETAILS == 20


def test_stopping_by_hand_has_the_shells_own_status(
    monkeypatch: pytest.MonkeyPatch, failing: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (click.exceptions.Abort(), KeyboardInterrupt()):
        failing["error"] = error
        assert call(monkeypatch, "fail") == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["nonsense"], ["import"], ["score", "--sample-size", "0"], ["high-risk", "--limit", "0"],
              ["import", "x.csv", "--schema", "retainstream"], ["user", "create"]]
)  # fmt: skip
def test_a_wrong_call_is_said_with_status_two(
    monkeypatch: pytest.MonkeyPatch, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *words) == 2
    assert "Error" in capsys.readouterr().err


def test_every_command_explains_itself() -> None:
    def walk(group: click.Group, path: tuple[str, ...] = ()) -> None:
        for name, command in group.commands.items():
            assert command.help, (*path, name)
            if isinstance(command, click.Group):
                walk(command, (*path, name))

    walk(cli.retainstream)
    public = {name for name, command in cli.retainstream.commands.items() if not command.hidden}
    documented = {"schema", "import", "train", "score", "high-risk", "gateway", "worker", "migrate", "demo", "user"}
    assert documented <= public


def test_a_command_runs_its_job_as_a_row_that_no_worker_takes(world: World) -> None:
    echo = replace(kinds.SCORE, run=lambda given, params: {"size": params.sample_size})
    assert run_here(world.environment, echo, ScoreParams(3)) == {"size": 3}
    job = work.read(world.database, 1)
    assert (job.state, job.kind, job.attempt) == ("done", "score", 1)


def test_a_commands_failure_is_raised_with_its_code_and_kept_in_the_row(world: World) -> None:
    def handler(_: Any, params: Any) -> dict[str, Any]:
        raise InvalidTable("Row 3.", details=[{"row": 3, "message": "no"}])

    with pytest.raises(Exception, match="Row 3") as caught:
        run_here(world.environment, replace(kinds.PREVIEW, run=handler), FileParams("a", "a"))
    assert (caught.value.code, caught.value.details) == ("invalid_table", [{"row": 3, "message": "no"}])  # type: ignore[attr-defined]
    assert work.read(world.database, 1).state == "failed"


def test_progress_away_from_a_terminal_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine()
    for step in range(100):
        line.show(step / 100, f"step {step}")
    line.end()
    shown = capsys.readouterr().err
    assert shown == "  0 %  step 0\n"
    assert "\x1b" not in shown


def test_following_a_job_ends_with_it(world: World) -> None:
    job_id = work.submit(world.database, world.clock, kinds.SCORE, ScoreParams())
    work.cancel(world.database, world.clock, job_id)
    assert setup.follow(world.environment, job_id).state == "cancelled"


STEERS = "usr\x1b[2J\nError: \u202e"


def test_no_value_of_a_file_steers_the_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = small(tmp_path)
    with base.database.write() as connection:
        scored = next(key for key, one in enumerate(base.people, 1) if one["probability"] is not None)
        facts = {"user_id": STEERS, column_names(SCHEMA)["=risky"]: STEERS}
        customers = customers_table(SCHEMA)
        connection.execute(update(customers).where(customers.c.id == scored).values(facts))
    monkeypatch.setattr(high_risk, "prepare", lambda: base.world.environment)
    assert call(monkeypatch, "high-risk", "--limit", "60", "--where", "contact=any") is None
    shown = capsys.readouterr().out
    assert "usr\\u001b[2J\\u000aError: \\u202e" in shown
    assert all(line.isprintable() for line in shown.splitlines())
    base.database.close()


@pytest.mark.parametrize(
    "error",
    [InvalidTable(f"Two are wrong: {STEERS}", details=[{"row": k, "field": STEERS, "message": STEERS} for k in (2, 3)]),
     click.BadParameter(STEERS), click.ClickException(STEERS), click.NoSuchOption(STEERS)],
)  # fmt: skip
def test_no_message_steers_the_terminal(
    monkeypatch: pytest.MonkeyPatch, failing: Any, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    failing["error"] = error
    assert call(monkeypatch, "fail") in (1, 2)
    shown = capsys.readouterr().err
    assert "\\u202e" in shown
    assert all(line.isprintable() for line in shown.splitlines())
