"""Restoring a backup.

Law: the backup is verified before anything is touched; everything it overwrites is named, and copied first; models
are restored before the database that names them; no other process may use the database during a restore: a running job
would write half a run into the restored data. Every session ends: the backup does not know which had ended since.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from database.accounts import audit, users
from database.accounts.audit import COMMAND_LINE
from database.engine import files
from database.engine.migrate import migrate
from database.engine.session import Database
from gateway.services.exporting import export_files
from gateway.services.importing import uploads
from gateway.services.maintenance import backups
from gateway.services.maintenance.backups import Backup, Progress
from shared.clock import Clock, iso
from shared.errors import Conflict

#: Files of jobs in a safety copy.
FILES = "files"
ENDINGS = ("", "-wal", "-shm")
OVERWRITES = "This would overwrite {what}. Nothing was touched; --force makes a safety copy, then overwrites."


@dataclass(frozen=True)
class Target:
    """The place that a backup is restored to."""

    database: Path
    registry: Path
    data_folder: Path


@dataclass(frozen=True)
class Restored:
    """The result of a restore."""

    backup: Backup
    safety_copy: Path | None
    overwritten: tuple[str, ...]


def restore(folder: Path, target: Target, *, force: bool, clock: Clock, progress: Progress) -> Restored:
    """Replace the database and models with those of a backup, and migrate the database to the newest version.

    Parameters
    ----------
    force
        Overwrite existing data.

    Raises
    ------
    NotFound, CorruptBackup
        There is no backup, or it is damaged; nothing was touched.
    Conflict
        It would overwrite something, the system is running, or a newer version made the backup; nothing was touched.
    """
    found = backups.verify(folder, progress=lambda share, what: progress(0.5 * share, what))
    files.refuse_unreadable(found.content.revision)
    with files.exclusive_use(target.database):
        clashing = [version for version in found.saved_models if _differs(found, version, target.registry)]
        overwritten = tuple(_named(target, clashing))
        if overwritten and not force:
            raise Conflict(OVERWRITES.format(what=", ".join(overwritten)))
        safety = _copy_aside(target, clashing, clock) if overwritten else None
        _remove_files_of_jobs(target, safety)
        _put_in_place(found, target, clashing, clock, progress)
    progress(1.0, "Restored")
    return Restored(found, safety, overwritten)


def _put_in_place(found: Backup, target: Target, clashing: Iterable[str], clock: Clock, progress: Progress) -> None:
    progress(0.6, "Putting the models in place")
    for version in found.saved_models:
        _place_model(found.models / version, target.registry / version, clashes=version in clashing)
    files.replace_database(
        found.database, target.database, progress=lambda share: progress(0.7 + 0.25 * share, "Writing the database")
    )
    progress(0.95, "Migrating")
    migrate(target.database)
    with closing(Database(target.database, pooled=False)) as database, database.write() as connection:
        users.end_all_sessions(connection)
        subject = f"backup:{found.made_at}"
        audit.record(connection, "backup.restored", at=iso(clock()), actor=COMMAND_LINE, subject=subject)


def _named(target: Target, clashing: Iterable[str]) -> Iterable[str]:
    if target.database.exists() and target.database.stat().st_size:
        yield f"the database {target.database}"
    for version in clashing:
        yield f"the model {target.registry / version}"


def _differs(found: Backup, version: str, registry: Path) -> bool:
    """Return whether the registry has this version with other files than the backup."""
    there, saved = registry / version, found.models / version
    if not there.exists():
        return False
    return _sums(there) != _sums(saved)


def _sums(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): backups.sha256(path) for path in files}


def _copy_aside(target: Target, clashing: Iterable[str], clock: Clock) -> Path:
    aside = target.database.parent / f"before-restore-{clock():%Y%m%dT%H%M%S%f}"
    (aside / backups.MODELS).mkdir(parents=True, mode=0o700)
    for version in clashing:
        shutil.copytree(target.registry / version, aside / backups.MODELS / version)
    path = target.database
    if not path.exists() or not path.stat().st_size:
        return aside
    if files.is_readable(path):
        files.copy_database(path, aside / backups.DATABASE)
    else:
        # Damaged, or not a database: it can't be written into, so it is moved aside with its log files.
        for ending in ENDINGS:
            if (each := path.with_name(path.name + ending)).exists():
                each.rename(aside / f"{backups.DATABASE}{ending}")
    return aside


def _remove_files_of_jobs(target: Target, safety: Path | None) -> None:
    """Move rejected rows and exports to the safety copy, or remove them: other jobs will get these jobs' numbers."""
    there = (
        *uploads.folder(target.data_folder).glob("rejects-*"),
        *export_files.folder(target.data_folder).glob("export-*"),
    )
    for each in there:
        if safety is None:
            each.unlink()
        else:
            (safety / FILES).mkdir(mode=0o700, exist_ok=True)
            shutil.move(each, safety / FILES / each.name)


def _place_model(saved: Path, there: Path, *, clashes: bool) -> None:
    if there.exists() and not clashes:
        return
    aside = there.with_name(f".restoring-{there.name}")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(saved, aside)
    if clashes:
        shutil.rmtree(there)
    aside.rename(there)
