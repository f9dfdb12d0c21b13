"""The figures that the README prints: a test compares them with what the commands print, and can write them.

A block to be compared stands between a comment `<!-- printed by: NAME -->` and the end of the code fence below it.
"""

from __future__ import annotations

import os
import re

import pytest

from tests.stack import ROOT

README = ROOT / "README.md"
NUMBER = re.compile(r"(?<![\w-])-?\d[\d,]*(?:\.\d+)?")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
#: Another processor rounds otherwise; anything more is another figure.
RELATIVE = 0.01


def check_printed(name: str, printed: str) -> None:
    """Fail where the README's block differs from what a command printed; WRITE_README=1 writes it instead.

    Dates are not compared.
    """
    text = README.read_text(encoding="utf-8")
    block = re.search(rf"<!-- printed by: {re.escape(name)} -->\n+```\n(.*?)```\n", text, re.S)
    assert block, f"README.md has no block printed by {name}"
    if os.environ.get("WRITE_README"):
        README.write_text(text[: block.start(1)] + printed.rstrip("\n") + "\n" + text[block.end(1) :], encoding="utf-8")
        return
    shown, now = DATE.sub("DATE", block[1]).strip(), DATE.sub("DATE", printed).strip()
    assert NUMBER.sub("N", shown) == NUMBER.sub("N", now)
    for before, after in zip(NUMBER.findall(shown), NUMBER.findall(now), strict=True):
        assert _number(after) == pytest.approx(_number(before), rel=RELATIVE), f"{name}: {before} is {after} now"


def _number(text: str) -> float:
    return float(text.replace(",", ""))
