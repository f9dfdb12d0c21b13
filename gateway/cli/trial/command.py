"""`retainstream try`: from a table to the likeliest leavers, in a base of its own, with the services started.

Law: it calls what the single commands call, in the same order, and says every choice with what changes it.
"""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gateway.cli.data import print_import, print_scoring, print_training
from gateway.cli.high_risk import print_likeliest
from gateway.cli.setup import prepare, run_here
from gateway.cli.trial import choices, ml_process
from gateway.cli.trial.choices import Described
from gateway.cli.trial.folder import LOG, SCHEMA, TrialFolder
from gateway.environment import Environment
from gateway.services import kinds
from gateway.services.accounts import accounts
from gateway.services.jobs.params import ImportParams, ScoreParams, TrainingParams
from shared.commands.printing import echo
from shared.errors import Detail, InsufficientData, InvalidTable, LeakFound, NoSignal, ServiceError, from_code

EMAIL, NAME = "admin@example.com", "Administrator"
SUFFIX = "-retainstream"


@dataclass(frozen=True)
class Trial:
    """The request: the table, the folder, its schema, and the command that does it again."""

    file: Path
    folder: TrialFolder
    described: Described
    again: str


@click.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--schema", "schema_file", help="Schema file, `retainstream` for the built-in one; proposed if absent.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help=f"Folder for the base, which must not exist; FILE's name with {SUFFIX} if absent.",
)
@click.option("--again", is_flag=True, help="Replace the base of an earlier `try`, by the schema.toml in its folder.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Date of the facts if FILE has none; today if absent.")
@click.option("--keep-good", is_flag=True, help="Import the valid rows even if others are rejected.")
@click.option("--no-serve", is_flag=True, help="End after printing, without starting the services.")
def try_command(
    file: Path, schema_file: str | None, folder: Path | None, again: bool, as_of: Any, keep_good: bool, no_serve: bool
) -> None:
    """From the customer table FILE (CSV or Parquet) to its likeliest leavers, in a base of its own."""
    made = TrialFolder(folder or Path(f"{file.stem}{SUFFIX}"), again=again)
    made.refuse()
    if schema_file is None and again:
        schema_file = str(made.schema_path)
    described = choices.proposed(file) if schema_file is None else choices.own(schema_file)
    trial = Trial(file, made, described, _again(file, folder, as_of, keep_good, no_serve))
    day = as_of.date() if as_of else None
    params = ImportParams(str(file.resolve()), file.name, described.schema.as_dict(), day, keep_good=keep_good)
    _print_choices(trial)
    _make(trial, params)
    if no_serve:
        echo(f"To start the services: {made.start_line}")
        return
    echo(f"Starting the services; Ctrl-C stops them, and this starts them again: {made.start_line}")
    sys.stdout.flush()
    # In place of this process: one manager, which the signals reach as they reach that of `up`.
    os.execv(sys.executable, [sys.executable, "-m", "gateway", "up"])


def _again(file: Path, folder: Path | None, as_of: Any, keep_good: bool, no_serve: bool) -> str:
    words = ["retainstream", "try", str(file), "--again"]
    words += ["--folder", str(folder)] if folder else []
    words += ["--as-of", f"{as_of:%Y-%m-%d}"] if as_of else []
    words += ["--keep-good"] if keep_good else []
    words += ["--no-serve"] if no_serve else []
    return shlex.join(words)


def _print_choices(trial: Trial) -> None:
    schema_path = trial.folder.shown / SCHEMA
    echo(f"How {trial.file.name} is read, and where {schema_path} changes it (then: {trial.again}):")
    for choice in trial.described.choices:
        echo(f"- {choice}")


def _make(trial: Trial, params: ImportParams) -> None:
    """Make the base, train and score, and print who is likeliest to leave."""
    with trial.folder as folder:
        for sentence in folder.enter():
            echo(f"- {sentence}")
        environment = prepare()
        with ml_process.running(environment.ml, folder.path / LOG) as wait_for_ml:
            _import(trial, environment, params)
            folder.keep(trial.described.text)
            _answer(trial, environment, wait_for_ml)
            echo("The likeliest leavers (more, and filters: `retainstream high-risk` in the folder):")
            print_likeliest(environment)
            _make_account(environment)


def _import(trial: Trial, environment: Environment, params: ImportParams) -> None:
    try:
        print_import(environment, run_here(environment, kinds.IMPORT, params))
    except InvalidTable as error:
        left = "the earlier base is as it was" if trial.folder.again else "no folder is left behind"
        rejects = " (nor is that file)" if any("row" in each for each in error.details) else ""
        infer = f"retainstream schema infer {shlex.quote(str(trial.file))} -o {SCHEMA}"
        raise _with(
            error,
            f"The table was not imported, {left}{rejects}. Put the rows right, take the others with --keep-good, or "
            f"write the proposed schema with `{infer}`, correct it and give it with --schema {SCHEMA}.",
        ) from None


def _answer(trial: Trial, environment: Environment, wait_for_ml: Callable[[], None]) -> None:
    """Train and score; where either is refused, say how to go on."""
    try:
        wait_for_ml()
        print_training(run_here(environment, kinds.TRAIN, TrainingParams()))
        print_scoring(run_here(environment, kinds.SCORE, ScoreParams()))
    except ServiceError as error:
        kept = f"The customers are kept in {trial.folder.shown}. To go on"
        raise _with(error, f"{kept}, {_correction(trial.described, error)}: {trial.again}") from None


def _correction(described: Described, error: ServiceError) -> str:
    """Say what has to be corrected before the command is given again."""
    if isinstance(error, LeakFound):
        return f"correct {SCHEMA} there ({_leaks(described.text, error.details)}), then"
    if isinstance(error, NoSignal | InsufficientData):
        where = choices.place_of(described.text, "label")
        rows = "give a table with more customers, or " if isinstance(error, NoSignal) else ""
        return f"{rows}correct {SCHEMA} there (label and positive: {where}) if it was read wrongly, then"
    return "when that is put right"


def _leaks(text: str, details: list[Detail]) -> str:
    names = [detail["field"] for detail in details]
    places = "; ".join(f"{name}: {choices.place_of(text, f'features.{name}')}" for name in names)
    return f"{places}; move a name to `ignore` and take its section out, or add known_at_scoring = true to it"


def _with(error: ServiceError, text: str) -> ServiceError:
    return from_code(error.code, f"{error.message}\n{text}", error.details)


def _make_account(environment: Environment) -> None:
    settings, password = environment.settings, secrets.token_hex(10)
    made = accounts.create_user(
        environment.database,
        clock=environment.clock,
        cost=settings.bcrypt_cost,
        email=EMAIL,
        password=password,
        name=NAME,
        role="admin",
        actor=accounts.COMMAND_LINE,
    )
    echo(f"Sign in at http://localhost:{settings.port} as {made.role} {made.email}, password {password}")
    echo(f"(shown this once; another one: `retainstream user reset-password {made.email}` in the folder)")


COMMANDS = (try_command,)
