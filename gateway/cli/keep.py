"""Commands of maintenance: backup, restore, retention, and the erasure of one customer.

Law: each prints how much it checked, overwrote or deleted.
"""

from __future__ import annotations

from pathlib import Path

import click

from database.accounts.audit import COMMAND_LINE
from database.engine import files
from gateway.cli.setup import ProgressLine, prepare
from gateway.services.customers import erasing
from gateway.services.maintenance import backups, restoring, retention
from gateway.services.maintenance.backups import Backup
from gateway.settings import load_settings
from shared.clock import utc_now
from shared.commands.printing import echo, printable
from shared.errors import InvalidInput, NotFound
from shared.plural import plural

MEGABYTE = 1024 * 1024
_folder = click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))


@click.command("backup")
@_folder
@click.option("--verify", is_flag=True, help="Make no backup: read the one in DIR and check that it is complete.")
def backup_command(folder: Path, verify: bool) -> None:
    """Back up database and models to DIR while the system runs; a backup there stays until the new one is complete."""
    line = ProgressLine()
    if verify:
        found = backups.verify(folder, progress=line.show)
    else:
        settings = load_settings()
        found = backups.make(
            settings.database_path, settings.registry_folder, folder, clock=utc_now, progress=line.show
        )
    line.end()
    echo(f"{folder} is complete: {_summary(found)}")
    if found.missing_models:
        echo(f"note: not in the registry, so not saved: models {', '.join(found.missing_models)}", err=True)


def _summary(found: Backup) -> str:
    counts = found.content.counts
    return (
        f"made {found.made_at}, {found.size / MEGABYTE:.1f} MB in {plural(len(found.files), 'file')}, "
        f"{plural(counts.get('customers', 0), 'customer')}, {plural(counts.get('ledger', 0), 'ledger row')}, "
        f"{plural(len(found.saved_models), 'model')}, migration {found.content.revision}."
    )


@click.command()
@_folder
@click.option("--force", is_flag=True, help="Overwrite what is there, after a safety copy.")
def restore(folder: Path, force: bool) -> None:
    """Restore the backup in DIR after verifying it, and migrate it; stop gateway and worker first."""
    settings, line = load_settings(), ProgressLine()
    target = restoring.Target(settings.database_path, settings.registry_folder, settings.data_folder)
    done = restoring.restore(folder, target, force=force, clock=utc_now, progress=line.show)
    line.end()
    echo(f"Restored: {_summary(done.backup)}")
    if done.safety_copy is not None:
        echo(f"The previous state is in {done.safety_copy}.")
    if done.overwritten:
        echo("Start gateway and worker; a running ML service reads the restored models.")


@click.command("retention")
@click.option("--dry-run", is_flag=True, help="Only print what would be deleted.")
@click.option("--shrink", is_flag=True, help="Only shrink the database file; stop gateway and worker first.")
def retention_command(dry_run: bool, shrink: bool) -> None:
    """Delete ledger, audit and job rows older than LEDGER_MONTHS, AUDIT_MONTHS, JOBS_MONTHS, and results of jobs."""
    if shrink:
        _shrink(dry_run)
        return
    environment, line = prepare(), ProgressLine()
    limits = retention.Limits.of(environment.settings)
    gone = retention.run(environment.database, limits, clock=environment.clock, dry_run=dry_run, report=line.show)
    line.end()
    verb = "would be deleted" if dry_run else "deleted"
    for what, kept in (("ledger", limits.ledger), ("audit", limits.audit), ("jobs", limits.jobs)):
        limit = (
            "kept for ever"
            if kept is None
            else f"{plural(gone[what], 'row')} older than {plural(kept, 'month')} {verb}"
        )
        echo(f"{what:<7} {limit}")
    echo(f"results {gone['results']:,} of jobs that ended more than {limits.results} days ago {verb}")
    echo(f"webhook deliveries: {gone['deliveries']:,} that ended more than {limits.deliveries} days ago {verb}")
    with environment.database.read() as connection:
        free = files.free_bytes(connection)
    echo(f"{free / MEGABYTE:,.1f} MB inside the file are free: new rows use them first.")


@click.command("erase")
@click.argument("customer", metavar="USER_ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase_command(customer: str, yes: bool) -> None:
    """Erase the customer USER_ID: facts, lifetimes, scores, contacts, notes. Only a backup brings them back."""
    environment = prepare()
    if not yes:
        click.confirm(f"Erase everything stored of {printable(customer)}?", abort=True)
    database, settings = environment.database, environment.settings
    rows = erasing.erase(database, settings, customer, clock=environment.clock, actor=COMMAND_LINE)
    for table, count in rows.items():
        echo(f"{table:<20} {count:>6,}")
    echo("Backups, exported files and log files still hold what they held: see docs/security.md.")


def _shrink(dry_run: bool) -> None:
    if dry_run:
        raise InvalidInput("--shrink deletes nothing: leave --dry-run out.")
    path = load_settings().database_path
    if not path.exists():
        raise NotFound(f"There is no database at {path}. Set DATABASE_PATH.")
    with files.exclusive_use(path):
        files.refuse_foreign_file(path)
        before, after = files.shrink(path)
    echo(f"{path}: {before / MEGABYTE:,.1f} MB before, {after / MEGABYTE:,.1f} MB now.")


COMMANDS = (backup_command, restore, retention_command, erase_command)
