"""Every message about a rejected cell, row or file stands in one module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.tables import messages

ROOT = Path(__file__).parents[3]
#: The proposal of a schema refuses tables for what a model needs, not for what stands in them.
MODULES = [
    path
    for folder in ("shared/tables", "gateway/services/importing")
    for path in sorted((ROOT / folder).glob("*.py"))
    if path.name not in ("messages.py", "schema_inference.py")
]


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def spelt_here(path: Path) -> Iterator[int]:
    """Lines that refuse a file or a cell with a text of their own."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("InvalidTable", "Reject") and any(map(is_text, node.args)):
            yield node.lineno
        if name == "add" and any(isinstance(a, ast.Lambda) and any(map(is_text, ast.walk(a))) for a in node.args):
            yield node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_reader_spells_a_refusal_itself(path: Path) -> None:
    assert list(spelt_here(path)) == []


def test_a_long_value_is_quoted_cut() -> None:
    assert messages.quoted("x" * 500) == repr("x" * 79 + "…")


def test_a_refusal_counts_rows_and_names_the_first_place() -> None:
    first = {"row": 3, "field": "hours", "message": "'x' is not a number"}
    one = messages.rows_rejected(1, 9, "line", first)  # type: ignore[arg-type]
    assert one == "1 row has to be put right before the table can be used: line 3, hours: 'x' is not a number"
    many = messages.rows_rejected(2000, 9000, "row", {"row": 3, "message": "2 cells where the header has 3"})
    assert many.startswith("2,000 of 9,000 rows have") and many.endswith("row 3: 2 cells where the header has 3")
