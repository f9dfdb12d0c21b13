"""Backups: a folder with a copy of the database, the models it names, and a manifest with the SHA-256 of each file.

Law: a backup is complete once its manifest exists. The manifest is put in place last, in one rename, after every file
it names was written, read back and verified; a killed backup leaves the previous one unchanged.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from database.engine import files, interruption
from database.engine.files import Content
from gateway import __version__
from gateway.services.jobs.work import Work
from shared.clock import Clock, iso
from shared.errors import Conflict, CorruptBackup, InvalidInput, NotFound

MANIFEST, LOCK, DATABASE, MODELS = "manifest.json", ".lock", "retainstream.db", "models"
FORMAT = 1
BLOCK = 1024 * 1024
Progress = Callable[[float, str], None]
_CHECKSUM = "manifest_sha256"
_DATA = re.compile(r"data-\d{8}T\d{6}-[0-9a-f]{8}")


@dataclass(frozen=True)
class Backup:
    """A backup as its manifest describes it."""

    folder: Path
    made_at: str
    data: str
    files: Mapping[str, str]
    size: int
    content: Content
    missing_models: tuple[str, ...]

    @property
    def database(self) -> Path:
        return self.folder / self.data / DATABASE

    @property
    def models(self) -> Path:
        return self.folder / self.data / MODELS

    @property
    def saved_models(self) -> list[str]:
        return [version for version in self.content.models if version not in self.missing_models]


def make(database: Path, registry: Path, folder: Path, *, clock: Clock, progress: Progress) -> Backup:
    """Back up a system that may be running.

    Parameters
    ----------
    database, registry
        The database file, and the folder with one folder per model version.
    folder
        A new or empty folder, or one with a backup, which this one replaces.

    Raises
    ------
    NotFound
        There is no database.
    InvalidInput
        The folder holds something else, can't be written, or the registry lacks the live model.
    Conflict
        Another backup is being written here.
    CorruptBackup
        The copy differs from what was written; the previous backup is unchanged.
    """
    if not database.exists():
        raise NotFound(f"There is no database at {database}. Set DATABASE_PATH.")
    with _locked(folder):
        data = f"data-{clock():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        _sweep(folder, keep=_present_data(folder))
        try:
            manifest = _write(database, registry, folder, data, clock, progress)
            made = _read(folder, manifest)
            _check(made, lambda share, what: progress(0.6 + 0.4 * share, what))
        except OSError as error:
            shutil.rmtree(folder / data, ignore_errors=True)
            raise InvalidInput(f"The backup could not be written to {folder}: {error.strerror or error}.") from None
        except BaseException:
            shutil.rmtree(folder / data, ignore_errors=True)
            raise
        _put_in_place(folder, manifest)
        _sweep(folder, keep=data)
    return made


def made_at(folder: Path) -> str | None:
    """Return when the backup in a folder was made, by its manifest; None if there is none."""
    try:
        return str(orjson.loads((folder / MANIFEST).read_bytes())["made_at"])
    except (OSError, orjson.JSONDecodeError, KeyError):
        return None


def run(work: Work) -> Mapping[str, Any]:
    """Back up to BACKUP_FOLDER, as a job."""
    settings = work.settings
    if settings.backup_folder is None:
        raise InvalidInput("BACKUP_FOLDER is not set.")
    made = make(
        settings.database_path, settings.registry_folder, settings.backup_folder, clock=work.clock, progress=work.step
    )
    return {"made_at": made.made_at, "bytes": made.size, "missing_models": list(made.missing_models)}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _refuse_foreign(folder)
        lock = (folder / LOCK).open("w", encoding="ascii")
    except OSError as error:
        raise InvalidInput(f"{folder} can't be written: {error.strerror}.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another backup is writing to {folder}.") from None
        yield


def _refuse_foreign(folder: Path) -> None:
    if (folder / MANIFEST).exists():
        verify_manifest(folder)
        return
    foreign = sorted(p.name for p in folder.iterdir() if p.name != LOCK and not _DATA.fullmatch(p.name))
    if foreign:
        raise InvalidInput(f"{folder} holds something else ({foreign[0]}). Name a new folder, or one with a backup.")


def _present_data(folder: Path) -> str | None:
    return verify_manifest(folder).data if (folder / MANIFEST).exists() else None


def _sweep(folder: Path, *, keep: str | None) -> None:
    for entry in folder.iterdir():
        if _DATA.fullmatch(entry.name) and entry.name != keep:
            shutil.rmtree(entry)


def _write(database: Path, registry: Path, folder: Path, data: str, clock: Clock, progress: Progress) -> dict[str, Any]:
    made_at = iso(clock())
    target = folder / data
    (target / MODELS).mkdir(parents=True, mode=0o700)
    files.copy_database(
        database, target / DATABASE, progress=lambda share: progress(0.4 * share, "Copying the database")
    )
    (target / DATABASE).chmod(0o600)
    progress(0.4, "Reading the copy back")
    found = files.read_content(target / DATABASE, check=True)
    # After the database: each model that it names was already complete on disk, and never changes.
    missing = _copy_models(found, registry, target / MODELS)
    progress(0.55, "Computing checksums")
    paths = sorted(path for path in target.rglob("*") if path.is_file())
    for path in (*paths, *sorted(path for path in target.rglob("*") if path.is_dir()), target):
        _sync(path)
    return {
        "format": FORMAT,
        "product": __version__,
        "made_at": made_at,
        "data": data,
        "content": asdict(found),
        "missing_models": missing,
        "files": {str(p.relative_to(folder)): {"sha256": sha256(p), "bytes": p.stat().st_size} for p in paths},
    }


def _copy_models(found: Content, registry: Path, target: Path) -> list[str]:
    missing = [version for version in found.models if not (registry / version).is_dir()]
    if found.live_model in missing:
        raise InvalidInput(
            f"The live model {found.live_model} is not in {registry.resolve()}. Set ML_MODEL_PATH to the ML service's."
        )
    for version in found.models:
        if version not in missing:
            shutil.copytree(registry / version, target / version)
    return missing


def _put_in_place(folder: Path, manifest: dict[str, Any]) -> None:
    aside = folder / f"{LOCK}-{MANIFEST}"
    aside.write_bytes(_dump({**manifest, _CHECKSUM: hashlib.sha256(_dump(manifest)).hexdigest()}))
    _sync(aside)
    os.replace(aside, folder / MANIFEST)
    _sync(folder)


def _dump(manifest: Mapping[str, Any]) -> bytes:
    return orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file. Raises Cancelled if the job that asks was."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            interruption.check()
            found.update(block)
    return found.hexdigest()


def verify_manifest(folder: Path) -> Backup:
    """Read a backup's manifest.

    Raises
    ------
    NotFound
        There is no backup.
    CorruptBackup
        The manifest was changed since it was written, or has an unknown format.
    """
    try:
        manifest: Any = orjson.loads((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"There is no backup in {folder}: {MANIFEST} is missing.") from None
    except orjson.JSONDecodeError:
        raise CorruptBackup(f"{MANIFEST} is damaged.") from None
    if not isinstance(manifest, dict):
        raise CorruptBackup(f"{MANIFEST} is damaged.")
    stated = manifest.pop(_CHECKSUM, None)
    if stated != hashlib.sha256(_dump(manifest)).hexdigest():
        raise CorruptBackup(f"{MANIFEST} is damaged: its own checksum does not match.")
    if manifest.get("format") != FORMAT:
        raise CorruptBackup(f"{MANIFEST} has a format that this version can't read.")
    return _read(folder, manifest)


def _read(folder: Path, manifest: Mapping[str, Any]) -> Backup:
    content = {**manifest["content"], "models": tuple(manifest["content"]["models"])}
    return Backup(
        folder=folder,
        made_at=manifest["made_at"],
        data=manifest["data"],
        files={name: about["sha256"] for name, about in manifest["files"].items()},
        size=sum(about["bytes"] for about in manifest["files"].values()),
        content=Content(**content),
        missing_models=tuple(manifest["missing_models"]),
    )


def verify(folder: Path, *, progress: Progress) -> Backup:
    """Verify a backup: every checksum, the database's integrity, its content.

    Raises
    ------
    NotFound, CorruptBackup
    """
    found = verify_manifest(folder)
    _check(found, progress)
    return found


def _check(found: Backup, progress: Progress) -> None:
    for at, (name, expected) in enumerate(found.files.items()):
        progress(0.6 * at / len(found.files), f"Checking {Path(name).name}")
        path = found.folder / name
        if not path.is_file():
            raise CorruptBackup(f"{name} is missing from the backup.")
        if sha256(path) != expected:
            raise CorruptBackup(f"{name} is damaged: its checksum differs from the manifest's.")
    progress(0.6, "Checking the database")
    if files.read_content(found.database, check=True) != found.content:
        raise CorruptBackup(f"{DATABASE} does not have the content that the manifest states.")
    progress(1.0, "Checked")
