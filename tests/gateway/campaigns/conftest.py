"""Draws of these tests are the same each time: a random one blocks an effect once in a thousand."""

from __future__ import annotations

from itertools import count

import pytest

from gateway.services.campaigns import contacts, drawing


@pytest.fixture(autouse=True)
def _repeated_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count(1)
    for module in (contacts, drawing):
        monkeypatch.setattr(module, "new_seed", lambda: f"seed {next(numbers)}")
