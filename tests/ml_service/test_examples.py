"""The examples in the docstrings of the ML service."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "name",
    ["metrics", "score", "data.splitting", "model.calibration", "model.thresholds"],
)
def test_the_examples_in_the_docstrings_print_what_they_say(name: str) -> None:
    results = doctest.testmod(import_module(f"ml_service.{name}"))
    assert results.attempted and not results.failed
