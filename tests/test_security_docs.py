"""The lists of docs/security.md and docs/security-asvs.md are whole, and each line has a test that exists or a reason."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ASVS = (ROOT / "docs" / "security-asvs.md").read_text(encoding="utf-8")
VERDICTS = ("holds", "not applicable", "does not hold")
#: Sections of ASVS 5.0.0, and how many of their requirements are of level 1 or 2: those come first.
SECTIONS = """
1.1:2 1.2:9 1.3:11 1.4:3 1.5:2  2.1:3 2.2:3 2.3:4 2.4:1  3.2:2 3.3:4 3.4:6 3.5:5 3.7:2  4.1:3 4.2:1 4.3:2 4.4:4
5.1:1 5.2:3 5.3:2 5.4:3  6.1:3 6.2:12 6.3:4 6.4:4 6.5:5 6.6:3 6.8:4  7.1:3 7.2:4 7.3:2 7.4:5 7.5:2 7.6:2
8.1:2 8.2:3 8.3:1 8.4:1  9.1:3 9.2:4  10.1:2 10.2:2 10.3:4 10.4:11 10.5:5 10.6:2 10.7:3
11.1:2 11.2:3 11.3:3 11.4:4 11.5:1 11.6:1  12.1:3 12.2:2 12.3:4  13.1:1 13.2:5 13.3:2 13.4:5
14.1:2 14.2:4 14.3:3  15.1:3 15.2:3 15.3:7  16.1:1 16.2:5 16.3:4 16.4:3 16.5:3  17.1:1 17.2:4 17.3:2
"""
WANTED = [f"{section}.{n}" for section, _, last in (each.partition(":") for each in SECTIONS.split())
          for n in range(1, int(last) + 1)]  # fmt: skip
FINDINGS = ["C1", "C2", *(f"H{n}" for n in range(1, 5)), *(f"M{n}" for n in range(1, 11)),
            *(f"L{n}" for n in range(1, 13))]  # fmt: skip
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(text: str, columns: int) -> list[list[str]]:
    cells = ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines())
    return [row for row in cells if len(row) == columns and not set(row[0]) <= {"-"}]


def section(title: str) -> str:
    return re.split(r"(?m)^## ", GUIDE.partition(f"\n## {title}\n")[2])[0]


def numbers(cell: str) -> list[str]:
    first, _, last = cell.partition(" to ")
    chapter, _, low = first.rpartition(".")
    return [f"{chapter}.{n}" for n in range(int(low), int(last.rpartition(".")[2] or low) + 1)]


def judged() -> list[list[str]]:
    return [row for row in rows(ASVS, 5) if row[0] != "number"]


@cache
def functions(file: str) -> frozenset[str]:
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def reason_of(cell: str) -> str:
    return re.sub(r"[;,\s]+", " ", NAMED.sub("", cell)).strip()


def test_each_requirement_of_levels_1_and_2_is_judged_once() -> None:
    assert len(WANTED) == 253
    assert Counter(n for row in judged() for n in numbers(row[0])) == Counter(WANTED)


def is_judged(row: list[str]) -> bool:
    _, level, asks, verdict, why = row
    if verdict == "holds":
        has_ground = bool(NAMED.search(why)) or len(reason_of(why)) > 20
    else:
        has_ground = len(reason_of(why)) > 5
    return level in ("1", "2") and asks != "" and verdict in VERDICTS and has_ground


def test_each_verdict_has_its_test_or_its_reason() -> None:
    assert [row for row in judged() if not is_judged(row)] == []


@pytest.mark.parametrize("text", [GUIDE, ASVS], ids=["security", "asvs"])
def test_each_test_that_is_named_is_a_test(text: str) -> None:
    assert [f"{file}::{name}" for file, name in NAMED.findall(text) if name not in functions(file)] == []
    # Nothing is named in a way that this test would not see.
    assert re.findall(r"::\w+|(?<!/)\btest_\w+", NAMED.sub("", text)) == []


def test_the_verdicts_are_counted_and_what_does_not_hold_stands_in_the_guide() -> None:
    counted: Counter[str] = Counter()
    for row in judged():
        counted[row[3]] += len(numbers(row[0]))
    said = re.search(r"(\d+) hold, (\d+) are not applicable, (\d+) do not hold, of (\d+)\.", ASVS)
    assert said is not None
    assert [int(each) for each in said.groups()] == [*(counted[verdict] for verdict in VERDICTS), len(WANTED)]
    listed = [row[0] for row in rows(section("ASVS 5.0"), 2) if row[0] != "number"]
    assert listed == [row[0] for row in judged() if row[3] == "does not hold"]


def test_each_risk_of_the_top_10_and_each_finding_has_a_test() -> None:
    risks = [row for row in rows(section("OWASP API Security Top 10 (2023)"), 3) if row[0] != "risk"]
    assert [row[0].split()[0] for row in risks] == [f"API{n}" for n in range(1, 11)]
    found = [row for row in rows(section("What an attack found"), 3) if row[0] != "finding"]
    assert [row[0] for row in found] == FINDINGS
    assert all(NAMED.search(row[2]) for row in (*risks, *found))
