"""The scan of an image's files, on trees that hold what it looks for."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.install.image_scan import findings, of_archive, of_tree

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small file system in which nothing is wrong."""
    made = tmp_path / "tree"
    for folder, mode in (("usr/bin", 0o755), ("tmp", 0o1777), ("data", 0o750)):
        (made / folder).mkdir(parents=True)
        (made / folder).chmod(mode)
    (made / "usr/bin/python").write_text("")
    (made / "usr/bin/python").chmod(0o755)
    (made / "usr/bin/python3").symlink_to("python")
    return made


def scanned(tree: Path) -> list[str]:
    return [line.split(" (")[0] for line in findings(of_tree(tree), writable=["/data"])]


def test_an_ordinary_tree_is_clean(tree: Path) -> None:
    assert scanned(tree) == []


@pytest.mark.parametrize("bit", [0o4755, 0o2755, 0o6755])
def test_a_program_that_runs_as_somebody_else_is_found(tree: Path, bit: int) -> None:
    (tree / "usr/bin/python").chmod(bit)
    assert scanned(tree) == ["/usr/bin/python: runs as its owner or group"]


def test_what_everybody_may_write_is_found_but_for_the_sticky_folders(tree: Path) -> None:
    (tree / "usr/bin").chmod(0o777)
    (tree / "usr/bin/python").chmod(0o757)
    (tree / "tmp").chmod(0o777)
    assert [line.split(":")[0] for line in scanned(tree)] == ["/tmp", "/usr/bin", "/usr/bin/python"]


def test_what_the_services_user_owns_and_may_write_is_found_but_for_what_is_meant(tree: Path) -> None:
    for path in (tree / "usr", tree / "usr/bin", tree / "usr/bin/python", tree / "tmp"):
        path.chmod(0o555)
    (tree / "usr/bin").chmod(0o755)
    found = findings(of_tree(tree), writable=["/data"], user=os.getuid())
    assert [line.split(":")[0] for line in found] == ["/usr/bin"]


def test_an_archive_is_read_as_a_tree_is(tree: Path) -> None:
    (tree / "usr/bin/python").chmod(0o4755)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(tree, arcname=".")
    packed.seek(0)
    assert findings(of_archive(packed), writable=["/data"]) == findings(of_tree(tree), writable=["/data"]) != []


def test_the_command_ends_with_1_where_anything_is_found(tree: Path) -> None:
    (tree / "usr/bin/python").chmod(0o4755)
    words = [sys.executable, "-m", "tests.install.image_scan", "--tree", str(tree), "/data"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "/usr/bin/python" in done.stdout
