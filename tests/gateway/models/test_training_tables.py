"""Training tables as people have them, through the gateway's commands: `import`, then `train` by the real ML service.

Law: a table is trained on, and the command says what is odd about it; or it is refused with the column and what to do:
status 2, no traceback, no model.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from database.models import models
from tests.gateway.conftest import Run
from tests.world import World

Row = dict[str, str]
Change = Callable[[int, Row], None]
SCHEMA = """
id = "id"
label = "left"
positive = ["{leaves}"]
{more}
[features.calls]
kind = "number"
[features.tariff]
kind = "category"
"""
NUMBER, CATEGORY = '[features.k]\nkind = "number"', '[features.k]\nkind = "category"'


@dataclass(frozen=True)
class Said:
    """The result of the two commands: their status, all they said, and the report of the model there is now."""

    status: int | None
    text: str
    report: dict[str, Any] | None


Commands = Callable[..., Said]


def customers(count: int = 300) -> list[Row]:
    """Customers of five months, whose calls tell a good deal; ids, text, dates and labels as a CSV holds them."""
    rng, rows = random.Random(1), []
    for i in range(count):
        calls = rng.gauss(10, 4)
        left = rng.random() < 1 / (1 + 2.718 ** (1 - (calls - 10) / 2))
        seen = f"2025-0{1 + i % 5}-15"
        tariff = rng.choice(["basic", "plus"])
        rows.append({"id": f"c{i}", "calls": f"{calls:.2f}", "tariff": tariff, "seen": seen, "left": str(int(left))})
    return rows


def changed(rows: list[Row], change: Change) -> list[Row]:
    for i, row in enumerate(rows):
        change(i, row)
    return rows


def sets(column: str, value: Callable[[int, Row], str]) -> Change:
    """A change that writes one column anew."""
    return lambda i, row: row.update({column: value(i, row)})


@pytest.fixture
def commands(make_world: Callable[..., World], ml_url: str, tmp_path: Path, run: Run) -> Commands:
    """Runs `retainstream import` and, where that took the table, `retainstream train`, in a fresh base."""
    world = make_world(url=ml_url)

    def call(*words: str) -> tuple[int | None, str]:
        status, out, err = run(world, *words)
        assert "Traceback" not in err
        return status, out + err

    def both(rows: list[Row], *, leaves: str = "1", roles: str = "", feature: str = "") -> Said:
        with (tmp_path / "t.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        (tmp_path / "t.toml").write_text(SCHEMA.format(leaves=leaves, more=roles) + feature)
        status, text = call("import", str(tmp_path / "t.csv"), "--schema", str(tmp_path / "t.toml"))
        if status is None:
            status, trained = call("train")
            text += trained
        with world.database.read() as connection:
            live = models.live(connection)
        return Said(status, text, None if live is None else dict(live.figures))

    return both


def test_useless_columns_are_lived_with_and_told_and_dates_as_text_part_training_and_test(commands: Commands) -> None:
    rows = changed(customers(), lambda i, row: row.update(same="4", none="", word="", number=str(10_000 + i * 7 % 300)))
    changed(rows, sets("seen", lambda i, row: f"15.0{1 + i % 5}.2025"))
    kinds = {"same": "number", "none": "number", "word": "category", "number": "number"}
    features = "".join(f'[features.{name}]\nkind = "{kind}"\n' for name, kind in kinds.items())
    said = commands(rows, roles='as_of = "seen"', feature=features)
    assert said.status is None and said.report is not None, said.text
    assert (said.report["split"], said.report["training_period"]) == ("time", ["2025-01-15", "2025-03-15"])
    told = " ".join(said.report["warnings"])
    for part in (
        "same has the same value",
        "none has no value",
        "word has no value",
        "number has a different whole number",
    ):
        assert part in told
    assert all(f"note: {warning}" in said.text for warning in said.report["warnings"])


def test_ten_thousand_categories_words_as_labels_and_copies_of_rows_are_handled(commands: Commands) -> None:
    rows = changed(
        customers(5_700), lambda i, row: row.update(k=f"s{i}", left="gone" if row["left"] == "1" else "here")
    )
    rows += [{**row, "id": f"copy of {row['id']}", "k": f"t{i % 4_400}"} for i, row in enumerate(rows)]
    said = commands(rows, leaves="gone", feature=CATEGORY)
    assert said.status is None and said.report is not None, said.text
    assert any(told.startswith("k has more than 200 different values") for told in said.report["warnings"])
    assert said.report["training_samples"] + said.report["test"]["n"] == len(rows)


REFUSED: dict[str, tuple[Change, dict[str, str], tuple[str, ...]]] = {
    "an id as a category": (
        sets("k", lambda i, row: f"r{i}"), {"feature": CATEGORY}, ("k: 300 different values", "Remove it from the sch")
    ),
    "nobody left": (sets("left", lambda i, row: "0"), {}, ("0 leavers and 300", "'left'", "`positive`")),
    "everybody left": (sets("left", lambda i, row: "1"), {}, ("300 leavers and 0", "'left'", "`positive`")),
    "other words as labels than the schema says": (
        sets("left", lambda i, row: "yes" if row["left"] == "1" else "no"), {},
        ("'left' is never '1'; it holds", "'yes'", "Check which values of the label 'left'"),
    ),
    "too few leavers": (sets("left", lambda i, row: str(int(i < 20))), {}, ("20 leavers", "at least 25 of each")),
    "constants only": (lambda i, row: row.update(calls="4", tariff="a"), {}, ("a single value", "nothing to learn")),
    "infinity": (
        sets("calls", lambda i, row: "inf" if i == 7 else row["calls"]), {}, ("line 9, calls", "leave unknown cells")
    ),
    "words among numbers": (
        sets("calls", lambda i, row: "many" if i % 50 == 7 else row["calls"]), {},
        ("6 of 300 rows", "line 9, calls", "'many' is not a number"),
    ),
    "a date that is none": (
        sets("seen", lambda i, row: "last week" if i == 7 else row["seen"]), {"roles": 'as_of = "seen"'},
        ("line 9, seen", "write it as 2025-12-31"),
    ),
    "a date as a number": (
        sets("k", lambda i, row: row["seen"]), {"feature": NUMBER}, ("line 2, k", "'2025-01-15' is not a number")
    ),
    "a customer twice": (
        sets("id", lambda i, row: f"c{i % 250}"), {}, ("'c0' stands in line 2 already", "keep one of them")
    ),
    "a leak": (
        sets("k", lambda i, row: str(5 * int(row["left"]) + i % 3)), {"feature": NUMBER}, ("k: ", "--allow-leak k")
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "given", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_model_can_use_is_refused_with_the_column_and_what_to_do(
    commands: Commands, change: Change, given: dict[str, str], told: tuple[str, ...]
) -> None:
    said = commands(changed(customers(), change), **given)
    assert (said.status, said.report) == (2, None), said.text
    for part in told:
        assert part in said.text


def test_without_a_label_or_an_end_it_is_said_that_nothing_tells_who_left(
    make_world: Callable[..., World], ml_url: str, tmp_path: Path, run: Run
) -> None:
    world = make_world(url=ml_url)
    (tmp_path / "t.csv").write_text("id,calls\n" + "".join(f"c{n},{n}\n" for n in range(30)))
    (tmp_path / "t.toml").write_text('id = "id"\n[features.calls]\nkind = "number"\n')
    assert run(world, "import", str(tmp_path / "t.csv"), "--schema", str(tmp_path / "t.toml"))[0] is None
    status, _, told = run(world, "train")
    assert status == 2
    assert "Nothing says who left: the schema names no label, and no subscription has an end." in told
    assert "import-outcomes" in told and "month" not in told
