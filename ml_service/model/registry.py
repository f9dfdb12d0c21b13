"""Registry: the model versions on disk, one folder each, and a cache of loaded models.

Law: only verified models are returned.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_service.model import artefacts
from ml_service.model.churn_model import ChurnModel
from shared import memory
from shared.errors import CorruptModel, NoModel, NotFound

_VERSION = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}")

#: Identifies one saved state of a folder: device, inode, modification time and size of the manifest.
Stamp = tuple[int, int, int, int]


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@dataclass(frozen=True)
class StoredModel:
    """A version on disk with its manifest and report, or with the problem that makes it unusable."""

    version: str
    manifest: dict[str, Any] | None
    report: dict[str, Any] | None
    problem: str | None


class Registry:
    """Model versions in a folder.

    Parameters
    ----------
    folder : Path
        It need not exist yet.
    cached : int, default=4
        Number of loaded versions to keep; the least recently used are dropped.
    threads : int, default=1
        Threads of xgboost per scoring request.
    """

    def __init__(self, folder: Path, *, cached: int = 4, threads: int = 1) -> None:
        self.folder, self._cached, self._threads = folder, cached, threads
        self._models: OrderedDict[str, tuple[Stamp, ChurnModel]] = OrderedDict()
        self._lock = threading.Lock()
        self._loading = threading.Lock()

    def versions(self) -> list[str]:
        """Versions on disk, newest first."""
        if not self.folder.is_dir():
            return []
        names = [entry.name for entry in self.folder.iterdir() if entry.is_dir() and _VERSION.fullmatch(entry.name)]
        return sorted(names, key=_version_key, reverse=True)

    def newest(self) -> str | None:
        """The highest version on disk; None if there is none."""
        return next(iter(self.versions()), None)

    def next_version(self, first: str) -> str:
        """The version after the newest one, by the patch number; `first` if there is none."""
        newest = self.newest()
        if newest is None:
            return first
        major, minor, patch = _version_key(newest)
        return f"{major}.{minor}.{patch + 1}"

    def path(self, version: str) -> Path:
        """The folder of a version."""
        return self.folder / version

    @property
    def holds_a_model(self) -> bool:
        """Whether a verified version is in memory."""
        return bool(self._models)

    def get(self, version: str | None = None) -> ChurnModel:
        """Return a verified model, from memory unless it has changed on disk.

        Parameters
        ----------
        version : str, optional
            The newest on disk if absent.

        Returns
        -------
        model : ChurnModel

        Raises
        ------
        NoModel
            If no version is given and none is on disk.
        NotFound
            If the version is not on disk.
        CorruptModel
            If the model on disk is incomplete or changed.
        """
        wanted = version or self.newest()
        if wanted is None:
            raise NoModel("There is no model yet: train one first.")
        stamp = self._stamp(wanted)
        return self._cached_model(wanted, stamp) or self._load(wanted, stamp)

    def _stamp(self, version: str) -> Stamp:
        missing = NotFound(f"There is no model {version} on disk.")
        if not _VERSION.fullmatch(version):
            raise missing
        try:
            # This runs on every request; a string is faster than a Path.
            status = os.stat(f"{self.folder}/{version}/{artefacts.MANIFEST}")
        except OSError:
            if not self.path(version).is_dir():
                raise missing from None
            raise CorruptModel(f"Model {version}: {artefacts.MANIFEST} is missing.") from None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size

    def _cached_model(self, version: str, stamp: Stamp) -> ChurnModel | None:
        with self._lock:
            known = self._models.get(version)
            if known is None or known[0] != stamp:
                return None
            self._models.move_to_end(version)
            return known[1]

    def _load(self, version: str, stamp: Stamp) -> ChurnModel:
        # One load at a time, so that simultaneous requests for a new version read it once.
        with self._loading:
            known = self._cached_model(version, stamp)
            if known is not None:
                return known
            # In a thread of its own: xgboost keeps what it computed with a booster until the thread ends.
            with ThreadPoolExecutor(1, "load") as thread:
                model = thread.submit(self._read, version).result()
            with self._lock:
                self._models[version] = (stamp, model)
                self._models.move_to_end(version)
                while len(self._models) > self._cached:
                    self._models.popitem(last=False)
            memory.give_back()
            return model

    def _read(self, version: str) -> ChurnModel:
        model = ChurnModel.load(self.path(version), threads=self._threads)
        if model.version != version:
            raise CorruptModel(f"Model {version}: {artefacts.MANIFEST} names version {model.version}.")
        model.trees.prepare()
        return model

    def inspect(self, version: str) -> StoredModel:
        """Read a version from disk and verify all its files.

        Raises
        ------
        NotFound
            If the version is not on disk.
        """
        if not _VERSION.fullmatch(version) or not self.path(version).is_dir():
            raise NotFound(f"There is no model {version} on disk.")
        try:
            model = ChurnModel.load(self.path(version), threads=self._threads)
            manifest = artefacts.read_manifest(self.path(version))
        except CorruptModel as error:
            return StoredModel(version, None, None, error.message)
        return StoredModel(version, manifest, model.report, None)

    def sweep(self) -> None:
        """Remove the unfinished folders of processes that no longer exist."""
        if not self.folder.is_dir():
            return
        for entry in self.folder.iterdir():
            if artefacts.is_abandoned(entry.name):
                shutil.rmtree(entry)
