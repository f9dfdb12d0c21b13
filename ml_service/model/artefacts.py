"""The folder of a model on disk: its files, and a manifest with the SHA-256 of each.

Law: a folder appears complete or not at all, and no file is used before its checksum is verified.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import scipy
import xgboost as xgb

from shared.errors import Conflict, CorruptModel

MANIFEST = "manifest.json"
_UNFINISHED = re.compile(r"\.unfinished-(\d+)-(\d+)-[0-9a-f]+(-before)?")
_CHECKSUM = "manifest_sha256"


def unfinished_name() -> str:
    """A name for a folder that is being written; it names the process, so that abandoned folders can be recognised."""
    return f".unfinished-{os.getpid()}-{_started(os.getpid())}-{secrets.token_hex(4)}"


def is_abandoned(name: str) -> bool:
    """Return whether a folder was being written by a process that no longer exists."""
    owner = _UNFINISHED.fullmatch(name)
    return owner is not None and _started(int(owner[1])) != int(owner[2])


def _started(pid: int) -> int:
    """Start of a process in ticks since boot, -1 if there is none; containers reuse process ids."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return -1


def _dump(content: Mapping[str, Any]) -> bytes:
    # Keys keep their order, because the order of the schema's features is that of the model's inputs.
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_folder(folder: Path, about: Mapping[str, Any], files: Mapping[str, bytes], *, replace: bool = False) -> None:
    """Write files and manifest to a temporary folder, then rename it.

    Parameters
    ----------
    about : mapping
        JSON values for the manifest; the checksums of the files and of the manifest itself are added.
    replace : bool, default=False
        Replace a model in the folder; a folder with anything else is not changed.

    Raises
    ------
    Conflict
        If the folder exists and `replace` is false, or if it holds anything but a model.
    """
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        if not replace:
            raise Conflict(f"{folder} already exists.")
        if not (folder / MANIFEST).is_file():
            raise Conflict(f"{folder} exists but holds no model, so it is not replaced.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.parent / unfinished_name()
    aside.mkdir()
    try:
        content = {**about, "files": {name: _sha256(data) for name, data in files.items()}}
        content[_CHECKSUM] = _sha256(_dump(content))
        for name, data in {**files, MANIFEST: _dump(content)}.items():
            _write(aside / name, data)
        _put_in_place(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(aside: Path, folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        before = aside.with_name(f"{aside.name}-before")
        folder.rename(before)
        aside.rename(folder)
        shutil.rmtree(before)
    else:
        publish(aside, folder)


def publish(finished: Path, folder: Path) -> None:
    """Rename a finished folder to its final name.

    Raises
    ------
    Conflict
        If the version already exists.
    """
    try:
        finished.rename(folder)
    except OSError:
        if folder.exists():
            raise Conflict(f"Model {folder.name} already exists; a version is never overwritten.") from None
        raise


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read the manifest and the files of a model and verify their checksums.

    Raises
    ------
    CorruptModel
        If a file is missing, unreadable or not the one that was saved; the message names it.
    """
    about = read_manifest(folder)
    files = {}
    for name, expected in about["files"].items():
        data = _read(folder, name)
        if _sha256(data) != expected:
            raise _corrupt(folder, name, "is not the file that was saved (its SHA-256 differs)")
        files[name] = data
    return about, files


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a model and verify its own checksum.

    Raises
    ------
    CorruptModel
        If the manifest is missing, unreadable or not the one that was saved.
    """
    raw = _read(folder, MANIFEST)
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _corrupt(folder, MANIFEST, "is not JSON") from None
    if not isinstance(content, dict) or not _is_intact(content, raw):
        raise _corrupt(folder, MANIFEST, "is not the file that was saved (its SHA-256 differs)")
    return content


def _is_intact(content: dict[str, Any], raw: bytes) -> bool:
    expected = content.get(_CHECKSUM)
    rest = {name: value for name, value in content.items() if name != _CHECKSUM}
    files = content.get("files")
    has_plain_names = isinstance(files, dict) and all(Path(name).name == name for name in files)
    # The bytes are compared too, because JSON ignores white space.
    return has_plain_names and _sha256(_dump(rest)) == expected and _dump(content) == raw


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise _corrupt(folder, name, f"can't be read ({error.strerror})") from None


def _corrupt(folder: Path, name: str, why: str) -> CorruptModel:
    return CorruptModel(f"Model {folder.name}: {name} {why}.", details=[{"field": name, "message": why}])


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that compute a score."""
    return {
        "python": platform.python_version(),
        "xgboost": xgb.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "pyarrow": pa.__version__,
    }


def model_checksum(files: Mapping[str, bytes], values: Sequence[Any]) -> str:
    """SHA-256 of the boosters and of the other values that a score depends on."""
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(name.encode() + data if name.endswith(".ubj") else b"")
    digest.update(orjson.dumps(values))
    return digest.hexdigest()
