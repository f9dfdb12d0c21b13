"""The risk levels are those that old dashboards show, and stand in one place."""

from __future__ import annotations

import re

import pytest

from shared.risk import HIGH_ABOVE, LEVELS, MEDIUM_ABOVE, risk_level
from tests.stack import ROOT


@pytest.mark.parametrize(
    ("probability", "level"),
    [(0.0, "Low"), (0.6, "Low"), (0.6000001, "Medium"), (0.8, "Medium"), (0.8000001, "High"), (1.0, "High")],
)
def test_a_level_begins_above_its_cut(probability: float, level: str) -> None:
    assert risk_level(probability) == level


def test_the_levels_are_the_documented_ones() -> None:
    assert (LEVELS, HIGH_ABOVE, MEDIUM_ABOVE) == (("High", "Medium", "Low"), 0.8, 0.6)


def test_no_other_module_and_no_script_of_the_page_compares_with_the_cuts() -> None:
    compared = re.compile(r"[<>]=? *0\.[68]\b")
    files = [path for folder in ("database", "gateway", "shared") for path in (ROOT / folder).rglob("*.*")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in files if path.suffix in (".py", ".js")}
    assert [name for name, text in texts.items() if compared.search(text)] == []
