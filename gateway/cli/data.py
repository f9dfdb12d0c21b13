"""Commands from data to scores: schema, import, train, score.

Law: commands use the routes' and worker's use cases; figures are printed with the context needed to judge them.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import click

from database.accounts.audit import COMMAND_LINE
from database.customers import customer_base
from gateway.cli.setup import prepare, run_here
from gateway.environment import Environment
from gateway.services import kinds
from gateway.services.importing import uploads
from gateway.services.importing.edit_schema import edit_schema, training_needed
from gateway.services.importing.extend_schema import extend_schema
from gateway.services.jobs.params import ImportParams, OutcomesParams, ScoreParams, TrainingParams
from gateway.services.models.training_params import checked_params
from shared.commands.printing import echo, echo_text
from shared.errors import InvalidInput, NoCustomers
from shared.plural import plural
from shared.schema.features import Schema, load_schema

SHOWN_REJECTS = 10
SHOWN_DATES = 5
COMPLETE_TO = click.option(
    "--ends-complete-to",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Every end up to this day is known once FILE is imported.",
)


@click.group()
def schema() -> None:
    """Propose, check, show, extend and edit the schema of a customer table."""


@schema.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead of to the terminal."
)
@click.option("--force", is_flag=True, help="Overwrite an existing schema file.")
def infer(file: Path, out: Path | None, force: bool) -> None:
    """Propose a schema for FILE (CSV or Parquet), to be reviewed and corrected."""
    from shared.proposal.schema_inference import infer_schema

    found = infer_schema(file)
    for note in found.notes:
        echo(f"note: {note}", err=True)
    if out is None:
        echo_text(found.to_toml())
        return
    if out.exists() and not force:
        raise InvalidInput(f"{out} exists already; --force overwrites it.")
    out.write_text(found.to_toml(), encoding="utf-8")
    echo(f"Wrote {out}.", err=True)


@schema.command()
@click.argument("file")
def check(file: str) -> None:
    """Check whether the schema FILE can be used (`retainstream` is the built-in one)."""
    found = load_schema(file)
    roles = f"label {found.label or 'none'}, id {found.id or 'row number'}"
    echo(f"{file} is usable: {plural(len(found.features), 'feature')}, {roles}.")


@schema.command()
def show() -> None:
    """Print the schema of this database's customers, as TOML."""
    import tomli_w

    with prepare().database.read() as connection:
        present = customer_base.get(connection)
    if present is None:
        raise NoCustomers("There are no customers yet: import a table first.")
    echo_text(tomli_w.dumps(present.schema.as_dict()))


@schema.command()
@click.argument("file")
def extend(file: str) -> None:
    """Add the new features of schema FILE to this database's customers; earlier facts lack them."""
    wanted = load_schema(file)
    env = prepare()
    found = extend_schema(env.database, env.settings, wanted, clock=env.clock, actor=COMMAND_LINE)
    for change in found.differing:
        echo(f"note: {change}: not changed; `retainstream schema edit FILE` changes it.", err=True)
    if not found.added:
        echo("The customers have these features already; nothing changed.")
        return
    added = ", ".join(found.added)
    echo(f"Added {added}. Import facts with the new schema, then train: older models work without them.")


@schema.command()
@click.argument("file")
def edit(file: str) -> None:
    """Change labels, units, actions, directions of this database's customers to those of the schema FILE.

    FILE is the whole schema, as `schema show` prints it. Changes to what facts depend on are refused by name.
    """
    wanted = load_schema(file)
    env = prepare()
    changed = edit_schema(env.database, env.settings, wanted, clock=env.clock, actor=COMMAND_LINE)
    if not changed:
        echo("The schema says this already; nothing changed.")
        return
    for change in changed:
        echo(f"Changed {change}")
    if needed := training_needed(changed):
        echo(f"A model keeps to what it was trained on: `retainstream train` applies {', '.join(needed)}.")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--schema", "schema_file", help="Schema file, `retainstream` for the built-in one; the database's if absent."
)
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Date of the facts if the file has none; today if absent."
)
@click.option("--dry-run", is_flag=True, help="Check and count; write nothing.")
@click.option("--keep-good", is_flag=True, help="Import the valid rows even if others are rejected.")
@click.option("--full-snapshot", is_flag=True, help="FILE holds every customer of its date.")
@click.option("--absent-are-gone", is_flag=True, help="With --full-snapshot: customers who are not in FILE have left.")
@click.option(
    "--ends-are-of-today", is_flag=True, help="The ends in FILE are known since today, not since the dates of its rows."
)
@COMPLETE_TO
def import_command(
    file: Path, schema_file: str | None, as_of: Any, full_snapshot: bool, ends_complete_to: Any, **flags: bool
) -> None:
    """Import the customer table FILE (CSV or Parquet): all of it or nothing."""
    absent_are_gone = flags["absent_are_gone"]
    if absent_are_gone and not full_snapshot:
        raise InvalidInput(
            "--absent-are-gone needs --full-snapshot: only a file with every customer shows who is absent."
        )
    described = load_schema(schema_file) if schema_file else None
    environment = prepare()
    day: date | None = as_of.date() if as_of else None
    if day is not None and day > environment.clock().date():
        raise InvalidInput(f"--as-of {day} lies in the future.")
    params = ImportParams(
        path=str(file.resolve()),
        file_name=file.name,
        schema=(described or _present_schema(environment)).as_dict(),
        as_of=day,
        ends_complete_to=ends_complete_to.date() if ends_complete_to else None,
        **flags,
    )
    print_import(environment, run_here(environment, kinds.IMPORT, params), absent_are_gone=absent_are_gone)


def print_import(environment: Environment, result: dict[str, Any], *, absent_are_gone: bool = False) -> None:
    """Print what an import did."""
    _print_rejects(environment, result)
    if result["unchanged"]:
        echo("This file was imported before; nothing changed.")
        return
    new, updated, same = (result[f"customers_{what}"] for what in ("new", "updated", "unchanged"))
    verb = "Would import" if result["dry_run"] else "Imported"
    rows, customers = plural(result["rows"], "row"), plural(new, "new customer")
    echo(f"{verb} {rows}: {customers}, {updated:,} updated, {same:,} unchanged.")
    if result["customers_disappeared"]:
        gone = f"{result['declared_gone']:,} declared gone" if absent_are_gone else "they are unchanged"
        absent = plural(result["customers_disappeared"], "active customer is", "active customers are")
        echo(f"{absent} not in this file ({gone}).")


def _present_schema(environment: Environment) -> Schema:
    with environment.database.read() as connection:
        present = customer_base.get(connection)
    if present is None:
        raise InvalidInput("There are no customers yet: the first import needs a schema (--schema).")
    return present.schema


def _print_notes(result: dict[str, Any]) -> None:
    for note in result["notes"]:
        echo(f"note: {note}", err=True)


def _print_rejects(environment: Environment, result: dict[str, Any]) -> None:
    _print_notes(result)
    if result["rejected"]:
        echo(
            f"{result['rejected']:,} of {result['total']:,} rows are rejected, {result['accepted']:,} are valid:",
            err=True,
        )
        for reject in result["rejects"][:SHOWN_REJECTS]:
            echo(f"  {reject['row']}  {reject.get('field', 'line')}: {reject['message']}", err=True)
        job_id = int(result["rejects_file"].split("/")[-2])
        echo(f"All of them: {uploads.rejects_path(environment.settings.data_folder, job_id)}", err=True)


@click.command("import-outcomes")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check and count; write nothing.")
@click.option("--keep-good", is_flag=True, help="Import the valid rows even if others are rejected.")
@COMPLETE_TO
def import_outcomes(file: Path, ends_complete_to: Any, **flags: bool) -> None:
    """Import ends of subscriptions: FILE has user_id, ended_at, and optionally end_reason and started_at."""
    environment = prepare()
    complete_to = ends_complete_to.date() if ends_complete_to else None
    params = OutcomesParams(str(file.resolve()), file.name, ends_complete_to=complete_to, **flags)
    result = run_here(environment, kinds.IMPORT_OUTCOMES, params)
    _print_rejects(environment, result)
    if result["dry_run"]:
        echo(f"{plural(result['accepted'], 'row')} can be imported; nothing was written.")
        return
    echo(f"{plural(result['ended'], 'customer has', 'customers have')} left; {result['announced']:,} will.")


@click.command()
@click.option("--allow-leak", "allow_leaks", multiple=True, help="Train on this feature although it looks like a leak.")
@click.option("--without", multiple=True, metavar="NAME", help="Leave this feature out of the model.")
@click.option("--again", is_flag=True, help="Train even if data and parameters are those of a version that stands.")
def train(allow_leaks: tuple[str, ...], without: tuple[str, ...], again: bool) -> None:
    """Train a model on the matured snapshots; it goes live if it is not worse than the live one."""
    environment = prepare()
    params = checked_params(environment.database, TrainingParams(allow_leaks, without, again))
    print_training(run_here(environment, kinds.TRAIN, params), without)


def print_training(result: dict[str, Any], without: tuple[str, ...] = ()) -> None:
    """Print how good a trained model is, and whether it went live."""
    figures = result["metrics"]
    if result["unchanged"]:
        echo(result["message"])
    left_out = f", without {', '.join(without)}" if without else ""
    echo(f"Model {figures['model_version']}, trained on {plural(figures['training_samples'], 'row')}{left_out}.")
    echo(f"On {plural(figures['n'], 'held-out row')}, {figures['prevalence'] * 100:.1f} % of whom left:")
    _figures({"AUC": figures["auc"]})
    echo(f"  at the threshold {figures['threshold']:.3f}, natural prevalence:")
    _figures({"precision": figures["precision"], "recall": figures["recall"], "F1": figures["f1_score"]})
    balanced = figures["balanced"]
    echo(f"  balanced (prevalence 1/2), at {balanced['threshold']:.3f}:")
    _figures({"precision": balanced["precision"], "recall": balanced["recall"], "F1": balanced["f1_score"]})
    echo(result["decision"])
    _print_notes(result)


def _figures(values: dict[str, float | None]) -> None:
    echo("  " + "   ".join(f"{name} {'unknown' if v is None else f'{v:.3f}'}" for name, v in values.items()))


@click.command()
@click.option("--sample-size", type=click.IntRange(min=1), help="Score only this many customers, chosen at random.")
@click.option("--allow-missing", multiple=True, metavar="NAME", help="Score although many customers lack this feature.")
def score(sample_size: int | None, allow_missing: tuple[str, ...]) -> None:
    """Score every active customer with the live model and publish the scores."""
    print_scoring(run_here(prepare(), kinds.SCORE, ScoreParams(sample_size, allow_missing)))


def print_scoring(result: dict[str, Any]) -> None:
    """Print how many customers a run scored."""
    average = result["average_probability"]
    for gap in result["allowed_missing"]:
        echo(f"{gap['feature']} is missing for {gap['missing']:,} of {gap['customers']:,} customers.", err=True)
    for warning in result["warnings"]:
        echo(warning, err=True)
    echo(
        f"Scored {plural(result['predictions_generated'], 'customer')} with model {result['model_version']}; "
        f"average probability {average * 100:.1f} %."
    )
    older = result["older_facts"]
    if older["customers"]:
        shown = older["dates"][:SHOWN_DATES]
        dates = ", ".join(f"{each['customers']:,} of {each['as_of']}" for each in shown)
        others = older["customers"] - sum(each["customers"] for each in shown)
        dates += f" and {others:,} of other dates" if others else ""
        who = plural(older["customers"], "customer has", "customers have")
        echo(f"{who} facts older than {older['before']}, and no score: {dates}.")


COMMANDS = (schema, import_command, import_outcomes, train, score)
