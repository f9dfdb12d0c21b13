"""Commands over a world, and draws that are the same each time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count

import pytest

import gateway.cli.main as cli
from gateway.cli import data
from gateway.services.campaigns import contacts, drawing
from shared.web.logs import configure_logs
from tests.portable_sql import compiled_for_postgresql
from tests.world import World

#: A command over a world: its status, what it printed, what it complained of.
Run = Callable[..., tuple[int | None, str, str]]


@pytest.fixture(autouse=True, scope="session")
def _portable() -> Iterator[None]:
    """No statement of these tests is one that PostgreSQL could not run."""
    with compiled_for_postgresql():
        yield


@pytest.fixture(autouse=True)
def _repeated_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Campaigns are drawn alike in each run: the sizes of random arms failed a test now and then."""
    numbers = count(1)
    for module in (contacts, drawing):
        monkeypatch.setattr(module, "new_seed", lambda: f"seed {next(numbers)}")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`retainstream ...` over a world: its status, what it printed, what it complained of."""

    def call(world: World, *words: str) -> tuple[int | None, str, str]:
        monkeypatch.setattr(data, "prepare", lambda: world.environment)
        monkeypatch.setattr(sys, "argv", ["retainstream", *words])
        configure_logs(service="cli", level="error", json_lines=False, is_command=True)  # as `prepare` does
        status = None
        try:
            cli.main()
        except SystemExit as left:
            status = left.code  # type: ignore[assignment]
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call
