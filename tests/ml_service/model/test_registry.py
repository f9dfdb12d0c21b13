"""Model folders: whole or not there, verified or refused."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml_service.model import artefacts
from ml_service.model.churn_model import ChurnModel
from ml_service.model.registry import Registry
from ml_service.training.pipeline import Trained
from shared.errors import Conflict, CorruptModel, NoModel, NotFound
from tests.ml_service.conftest import DATED, UNDATED


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0x20
    path.write_bytes(bytes(data))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def boosters(name: str, manifest: dict[str, Any]) -> set[str]:
    """The files of a booster and of what stands in for it."""
    count = len(manifest["training"]["stand_ins"])
    return {f"{name}.ubj", *(f"{name}_without_{rank}.ubj" for rank in range(1, count + 1))}


def sibling(name: str, manifest: dict[str, Any]) -> set[str]:
    return {f"sibling_{file}" for file in boosters(name, manifest["sibling"])}


def test_a_folder_holds_trees_in_ubjson_and_the_rest_in_json(registry_folder: Path) -> None:
    dated, undated = (json.loads((registry_folder / name / "manifest.json").read_text()) for name in (DATED, UNDATED))
    every = {"manifest.json", "report.json", "report.html"}
    both = boosters("model", dated) | sibling("model", dated)
    assert names(registry_folder / DATED) == every | both
    keys = {"row_keys.npy", "row_folds.npy", "sibling_row_keys.npy", "sibling_row_folds.npy"}
    parts = ["model", *(f"fold_{k}" for k in range(5))]
    trees = {file for part in parts for file in boosters(part, undated) | sibling(part, undated)}
    assert names(registry_folder / UNDATED) == every | trees | keys
    assert names(registry_folder) == {DATED, UNDATED}
    assert set(dated["files"]) == (every | both) - {"manifest.json"}
    assert {"schema", "categories", "calibration", "threshold", "balanced_threshold", "libraries"} <= set(dated)


@pytest.mark.parametrize(
    "name", ["model.ubj", "fold_3.ubj", "row_keys.npy", "row_folds.npy", "report.json", "manifest.json"]
)
@pytest.mark.parametrize("at", [3, 100, -2])
def test_a_flipped_bit_is_refused_by_the_file_s_name(registry_folder: Path, name: str, at: int) -> None:
    flip(registry_folder / UNDATED / name, at)
    with pytest.raises(CorruptModel, match=name):
        ChurnModel.load(registry_folder / UNDATED)
    with pytest.raises(CorruptModel, match=name):
        Registry(registry_folder).get(UNDATED)


@pytest.mark.parametrize("name", ["model.ubj", "report.json", "manifest.json"])
def test_a_missing_file_is_refused_by_its_name(registry_folder: Path, name: str) -> None:
    (registry_folder / DATED / name).unlink()
    with pytest.raises(CorruptModel, match=name):
        Registry(registry_folder).get(DATED)


def test_a_blank_added_to_the_manifest_is_a_change(registry_folder: Path) -> None:
    path = registry_folder / DATED / "manifest.json"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(CorruptModel, match=r"manifest\.json"):
        ChurnModel.load(registry_folder / DATED)


def test_a_manifest_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    artefacts.write_folder(tmp_path / "m", {}, {"inside": b"x"})
    content = json.loads((tmp_path / "m" / "manifest.json").read_text())
    content["files"] = {"../outside": content["files"]["inside"]}
    (tmp_path / "m" / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(CorruptModel, match=r"manifest\.json"):
        artefacts.read_manifest(tmp_path / "m")


def test_a_folder_under_another_version_s_name_is_refused(registry_folder: Path) -> None:
    (registry_folder / DATED).rename(registry_folder / "2.4.9")
    with pytest.raises(CorruptModel, match=r"names version 2\.4\.1"):
        Registry(registry_folder).get("2.4.9")


def test_versions_are_ordered_as_numbers(tmp_path: Path) -> None:
    for name in ("2.4.9", "2.4.10", "2.10.0", "notes", ".unfinished-1-1-ab"):
        (tmp_path / name).mkdir()
    registry = Registry(tmp_path)
    assert registry.versions() == ["2.10.0", "2.4.10", "2.4.9"]
    assert registry.next_version("2.4.1") == "2.10.1"
    assert Registry(tmp_path / "none").next_version("2.4.1") == "2.4.1"


def test_what_is_not_there_is_said(tmp_path: Path, registry_folder: Path) -> None:
    with pytest.raises(NoModel):
        Registry(tmp_path / "none").get()
    for wanted in ("9.9.9", "../2.4.1", "x"):
        with pytest.raises(NotFound):
            Registry(registry_folder).get(wanted)


def test_a_model_is_read_once_and_again_when_it_changed(registry_folder: Path, undated_model: Trained) -> None:
    registry = Registry(registry_folder)
    first = registry.get(UNDATED)
    assert registry.get(UNDATED) is first
    undated_model.model.save(registry_folder / UNDATED, replace=True)
    assert registry.get(UNDATED) is not first
    assert names(registry_folder) == {DATED, UNDATED}


def test_the_cache_keeps_as_many_as_it_may(registry_folder: Path) -> None:
    registry = Registry(registry_folder, cached=1)
    first = registry.get(DATED)
    registry.get(UNDATED)
    assert registry.get(DATED) is not first


def test_threads_share_one_loaded_model(registry_folder: Path, dated) -> None:  # type: ignore[no-untyped-def]
    registry, some = Registry(registry_folder), dated.features.slice(0, 50)
    found: list[tuple[int, np.ndarray]] = []

    def ask() -> None:
        model = registry.get(DATED)
        found.append((id(model), model.explain(some).scores.probability))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each for each, _ in found}) == 1
    assert all((p == found[0][1]).all() for _, p in found)


def test_nothing_is_overwritten(registry_folder: Path, dated_model: Trained, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="already exists"):
        dated_model.model.save(registry_folder / DATED)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(Conflict, match="holds no model"):
        dated_model.model.save(tmp_path / "mine", replace=True)
    assert names(tmp_path / "mine") == {"letter.txt"}


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        artefacts.write_folder(tmp_path / "m", {}, {"a": b"1"})
    assert names(tmp_path) == set()


def test_what_a_dead_process_left_is_swept_and_what_a_live_one_writes_is_not(tmp_path: Path) -> None:
    mine = artefacts.unfinished_name()
    before_this_boot = f".unfinished-{os.getpid()}-1-abcd"
    for name in (mine, ".unfinished-999999999-5-abcd", before_this_boot, DATED, "notes"):
        (tmp_path / name).mkdir()
    Registry(tmp_path).sweep()
    assert names(tmp_path) == {mine, DATED, "notes"}
