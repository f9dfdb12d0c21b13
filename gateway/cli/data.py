"""Commands of those who bring data: schema, import, train, score, the risk list.

Law: the same use cases as the routes and the worker; figures are printed with what they need to be judged.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import click

from database import base, customers, dashboard
from gateway.cli.setup import prepare, run_here
from gateway.services import explaining
from shared.errors import InvalidInput, NoCustomers
from shared.features import load_schema


@click.group()
def schema() -> None:
    """What the columns of a customer table mean."""


@schema.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead of to the terminal."
)
@click.option("--force", is_flag=True, help="Overwrite an existing schema file.")
def infer(file: Path, out: Path | None, force: bool) -> None:
    """Propose a schema for FILE (CSV or Parquet): read it, correct it, keep it."""
    from shared.inference import infer_schema

    found = infer_schema(file)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if out is None:
        click.echo(found.to_toml(), nl=False)
        return
    if out.exists() and not force:
        raise InvalidInput(f"{out} exists already; --force overwrites it.")
    out.write_text(found.to_toml(), encoding="utf-8")
    click.echo(f"Wrote {out}.", err=True)


@schema.command()
@click.argument("file")
def check(file: str) -> None:
    """Say whether the schema FILE can be used (`retainstream` is the built-in one)."""
    found = load_schema(file)
    roles = f"label {found.label or 'none'}, id {found.id or 'row number'}"
    click.echo(f"{file} is usable: {len(found.features)} features, {roles}.")


@schema.command()
def show() -> None:
    """Print the schema of this database's customers, as TOML."""
    import tomli_w

    with prepare().database.read() as connection:
        present = base.get(connection)
    if present is None:
        raise NoCustomers("There are no customers yet: import a table first.")
    click.echo(tomli_w.dumps(present.schema.as_dict()), nl=False)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--schema", "schema_file", required=True, help="Schema file, or `retainstream` for the built-in one.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Date of the facts where the file names none; today if absent."
)
def import_command(file: Path, schema_file: str, as_of: Any) -> None:
    """Import the customer table FILE (CSV or Parquet): whole, or not at all."""
    from gateway.services import importing

    described = load_schema(schema_file)
    context = prepare()
    day: date | None = as_of.date() if as_of else None
    if day is not None and day > context.clock().date():
        raise InvalidInput(f"--as-of {day} lies in the future.")
    params = {
        "path": str(file.resolve()),
        "file_name": file.name,
        "schema": described.as_dict(),
        "as_of": day.isoformat() if day else None,
    }
    result = run_here(context, "import", params, importing.run)
    for note in result["notes"]:
        click.echo(f"note: {note}", err=True)
    if result["unchanged"]:
        click.echo("This file is imported already; nothing changed.")
        return
    new, updated = result["customers_new"], result["customers_updated"]
    click.echo(f"Imported {result['rows']:,} rows: {new:,} new customers, {updated:,} updated.")


@click.command()
def train() -> None:
    """Train a model on what has matured; it goes live if it is not worse than the live one."""
    from gateway.services import training

    result = run_here(prepare(), "train", {}, training.run)
    figures = result["metrics"]
    click.echo(f"Model {figures['model_version']}, trained on {figures['training_samples']:,} rows.")
    click.echo(f"On {figures['n']:,} held-out rows, {figures['prevalence'] * 100:.1f} % of whom left:")
    _figures({"AUC": figures["auc"]})
    click.echo(f"  at the threshold {figures['threshold']:.3f}, natural prevalence:")
    _figures({"precision": figures["precision"], "recall": figures["recall"], "F1": figures["f1_score"]})
    balanced = figures["balanced"]
    click.echo(f"  balanced (prevalence 1/2), at {balanced['threshold']:.3f}:")
    _figures({"precision": balanced["precision"], "recall": balanced["recall"], "F1": balanced["f1_score"]})
    click.echo(result["decision"])


def _figures(values: dict[str, float | None]) -> None:
    click.echo("  " + "   ".join(f"{name} {'unknown' if v is None else f'{v:.3f}'}" for name, v in values.items()))


@click.command()
@click.option("--sample-size", type=click.IntRange(min=1), help="Score only so many customers, chosen at random.")
def score(sample_size: int | None) -> None:
    """Score every active customer with the live model and publish the scores."""
    from gateway.services import scoring

    result = run_here(prepare(), "score", {"sample_size": sample_size}, scoring.run)
    average = result["average_probability"]
    click.echo(
        f"Scored {result['predictions_generated']:,} customers with model {result['model_version']}; "
        f"average probability {average * 100:.1f} %."
    )


@click.command("high-risk")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="How many to show.")
def high_risk(limit: int) -> None:
    """The customers most likely to leave, with their reasons."""
    context = prepare()
    with context.database.read() as connection:
        present, shown = base.get(connection), dashboard.published(connection)
        if present is None or shown is None:
            raise NoCustomers(
                "Nobody is scored yet: import a table, then `retainstream train` and `retainstream score`."
            )
        rows = customers.ranked(connection, present.schema, limit=limit)
        tail = dashboard.tail(connection, shown.run_id, context.settings.cut)
    click.echo(
        f"{tail.customers:,} of {tail.all_customers:,} customers are above {context.settings.cut}; "
        f"{tail.expected:,.0f} are expected to leave. Model {shown.model_version}, data of {shown.as_of}."
    )
    for row in rows:
        reasons = "; ".join(reason["text"] for reason in explaining.stored_reasons(present.schema, row))
        click.echo(f"{row['churn_probability'] * 100:5.1f} %  {row['user_id']:<16}  {reasons}")


COMMANDS = (schema, import_command, train, score, high_risk)
