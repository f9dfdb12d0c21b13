"""Two gateways for nonsense: over the demo's data, and over nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, open_world


@pytest.fixture(scope="package")
def demo(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The demo's data, a worker, and an ML service that is away."""
    folder = Path(shutil.copytree(template / "database", tmp_path_factory.mktemp("demo") / "database"))
    world = open_world(folder / "retainstream.db")
    with world.working():
        yield world


@pytest.fixture(scope="package")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Nothing at all: no customers, no model."""
    world = open_world(tmp_path_factory.mktemp("empty") / "retainstream.db")
    with world.working():
        yield world
