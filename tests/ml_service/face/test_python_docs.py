"""docs/python.md, run from its first block to its last: what each block prints is what the page shows below it.

WRITE_PYTHON_DOCS=1 writes what they print into the page instead.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import redirect_stdout
from typing import Any

import pytest

from ml_service.face.estimator import ChurnModel
from tests.stack import ROOT

PAGE = ROOT / "docs" / "python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)
NUMBER = re.compile(r"(?<![\w-])[+-]?\d[\d,]*(?:\.\d+)?")
#: Another processor rounds otherwise; anything more is another figure.
RELATIVE = 0.01


def printed(code: str, names: dict[str, Any]) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        exec(compile(code, str(PAGE), "exec"), names)
    return out.getvalue()


def numbers(text: str) -> list[float]:
    return [float(each.replace(",", "")) for each in NUMBER.findall(text)]


def test_each_block_of_the_page_runs_and_prints_what_the_page_shows() -> None:
    names: dict[str, Any] = {}
    page = PAGE.read_text(encoding="utf-8")
    blocks = [(match, printed(match[1], names)) for match in BLOCK.finditer(page)]
    assert len(blocks) == page.count("```python") > 5
    if os.environ.get("WRITE_PYTHON_DOCS"):
        for match, now in reversed(blocks):
            shown = f"\n```text\n{now}```\n" if now else ""
            page = page[: match.start()] + f"```python\n{match[1]}```\n{shown}" + page[match.end() :]
        PAGE.write_text(page, encoding="utf-8")
        return
    for match, now in blocks:
        shown = match[2] or ""
        assert NUMBER.sub("N", now) == NUMBER.sub("N", shown)
        assert numbers(now) == pytest.approx(numbers(shown), rel=RELATIVE)


def test_the_page_has_every_parameter_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.M))
    given = ChurnModel().get_params()
    assert set(rows) == set(given)
    plain = {name: value for name, value in given.items() if isinstance(value, int | str)}
    assert plain == {"trials": 4, "random_state": 0, "threads": 2, "version": "2.4.1", "if_refused": "rate"}
    assert {name: rows[name].strip("`") for name in plain} == {name: str(value) for name, value in plain.items()}
