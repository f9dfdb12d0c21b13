"""The command that exports data: customers, the risk list, segments, the ledger of predictions.

Law: rows, names and filters are those of `/api/customers/export` and `/api/predictions/export`; a file is written
completely or not at all.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import cast

import click

from database.accounts.audit import COMMAND_LINE
from gateway.cli.setup import ProgressLine, filter_pair, prepare, run_here
from gateway.environment import Environment
from gateway.services import kinds
from gateway.services.customers.filtering import Pair
from gateway.services.exporting import export_files
from gateway.services.exporting.exporting import Export, Format, record_export
from gateway.services.jobs.params import Content, ExportParams
from shared.clock import iso
from shared.commands.printing import echo, write_data
from shared.errors import InvalidInput
from shared.plural import plural

FORMATS = ("csv", "ndjson", "parquet")


@click.command("export")
@click.argument("content", type=click.Choice(["customers", "predictions", "risk", "segments"]))
@click.option("--format", "form", type=click.Choice(FORMATS), help="If absent: from the ending of --out, else csv.")
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead of to the terminal."
)
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="A filter, as in the API: plan=Standard, min_probability=0.5, feature.device_count.max=1. May be repeated.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def export_command(content: str, form: str | None, out: Path | None, where: tuple[str, ...], force: bool) -> None:
    """Export all of CONTENT, as `retainstream import` reads it; CSV is guarded against spreadsheet formulas."""
    if form is None:
        ending = out.suffix.removeprefix(".") if out is not None else ""
        form = ending if ending in FORMATS else "csv"
    if out is not None and out.exists() and not force:
        raise InvalidInput(f"{out} exists already; --force overwrites it.")
    if form == "parquet" and out is None:
        raise InvalidInput("Parquet is not text: name a file with --out.")
    pairs = [filter_pair(text) for text in where]
    environment = prepare()
    if form == "parquet":
        assert out is not None
        _parquet(environment, cast(Content, content), pairs, out)
        return
    unsure = environment.settings.confidence_threshold
    export = Export(environment.database, cast(Content, content), cast(Format, form), pairs, unsure_below=unsure)
    try:
        record_export(
            environment.database,
            content=export.content,
            form=export.form,
            pairs=pairs,
            at=iso(environment.clock()),
            actor=COMMAND_LINE,
        )
        _to_file(export, out) if out is not None else _to_terminal(export)
    finally:
        export.close()
    where_to = out if out is not None else "standard output"
    echo(f"Wrote {plural(export.rows, 'row')} to {where_to}; SHA-256 {export.sha256}.", err=True)


def _to_file(export: Export, out: Path) -> None:
    aside = out.with_name(out.name + export_files.UNFINISHED)
    line = ProgressLine()
    try:
        with aside.open("wb") as file:
            for part in export:
                file.write(part)
                line.show(0.0, f"Wrote {plural(export.rows, 'row')}")
        aside.replace(out)
    except OSError as error:
        raise InvalidInput(f"{out} can't be written: {error.strerror or error}.") from None
    finally:
        aside.unlink(missing_ok=True)
        line.end()


def _to_terminal(export: Export) -> None:
    for part in export:
        write_data(part)
    sys.stdout.flush()


def _parquet(environment: Environment, content: Content, pairs: list[Pair], out: Path) -> None:
    result = run_here(environment, kinds.EXPORT, ExportParams(content, tuple(pairs)))
    job_id = int(result["file"].split("/")[3])
    written = export_files.path(environment.settings.data_folder, job_id)
    try:
        shutil.copyfile(written, out)
    except OSError as error:
        out.unlink(missing_ok=True)
        raise InvalidInput(f"{out} can't be written: {error.strerror or error}.") from None
    finally:
        written.unlink(missing_ok=True)
    echo(f"Wrote {plural(result['rows'], 'row')} to {out}; SHA-256 {result['sha256']}.", err=True)


COMMANDS = (export_command,)
