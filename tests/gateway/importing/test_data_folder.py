"""DATA_FOLDER: uploads, rejected rows, exports and the locks of imports lie there, and nothing of them beside the
database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.services.exporting import parquet
from gateway.services.importing import import_file, uploads
from shared.errors import ServiceError
from shared.schema.features import schema_from_dict
from tests.world import World

PLAIN = schema_from_dict({"id": "id", "features": {"x": {"kind": "number"}}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "not made yet"


@pytest.fixture
def apart(make_world: Callable[..., World], folder: Path) -> World:
    """A world whose data folder is not that of its database."""
    return make_world(DATA_FOLDER=folder)


def bring(world: World, text: str) -> None:
    path = uploads.keep(world.settings.data_folder, lambda to: to.write_text(text) and None, most_bytes=10**9)
    params = {"path": str(path), "file_name": "a.csv", "schema": PLAIN.as_dict(), "as_of": "2026-06-01"}
    world.do("import", import_file.run, params)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_not_the_databases_own_lies_in_the_data_folder(apart: World, folder: Path) -> None:
    before = names(apart.database.path.parent) | {"data"}
    bring(apart, "id,x\na,1\nb,2\n")
    job = apart.run("export", parquet.run, {"content": "customers", "filters": []})
    assert job.state == "done"
    assert (folder / "exports" / f"export-{job.id}.parquet").exists()
    assert names(folder) == {"exports", "spool", "world0.db.facts-lock", "world0.db.imports-lock"}
    assert list((folder / "spool").iterdir()) == []
    assert {name for name in names(apart.database.path.parent) if not name.startswith("world0.db-")} == before


def test_rejected_rows_are_said_to_lie_where_they_lie(apart: World, folder: Path) -> None:
    with pytest.raises(ServiceError, match=r"or spool/rejects-1\.csv in DATA_FOLDER\.$"):
        bring(apart, "id,x\na,one\nb,2\n")
    assert uploads.rejects(folder, 1).read_text(encoding="utf-8").splitlines()[1].endswith(",a,one")
