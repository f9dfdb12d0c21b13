"""Training tables as people have them, by both ways in: the command reads a file, the service a stream.

Law: a table is trained on, or refused with the column and what to do; never a traceback, a 500 or a half-made model.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ml_service import train_model
from ml_service.data.dataset import Snapshot
from shared.contracts import arrow
from shared.contracts.api import ARROW_TYPE
from tests.ml_service.conftest import Caller, as_stream

Row = dict[str, str]
Change = Callable[[int, Row], None]
SCHEMA = """
id = "id"
label = "left"
positive = {positive}
{dates}
[features.calls]
kind = "number"
[features.tariff]
kind = "category"
"""
DATED = 'as_of = "seen"'


def rows_of_a_table() -> list[Row]:
    """400 customers of six months, whose calls tell a good deal; ids, text, dates and labels as a CSV holds them."""
    rng, rows = random.Random(1), []
    for i in range(400):
        calls = rng.gauss(10, 4)
        left = rng.random() < 1 / (1 + 2.718 ** (1 - (calls - 10) / 2))
        tariff = rng.choice(["basic", "plus"])
        seen = f"2025-0{1 + i % 6}-15"
        rows.append({"id": f"c{i}", "calls": f"{calls:.2f}", "tariff": tariff, "seen": seen, "left": str(int(left))})
    return rows


def changed(change: Change) -> list[Row]:
    rows = rows_of_a_table()
    for i, row in enumerate(rows):
        change(i, row)
    return rows


def sets(column: str, value: Callable[[int, Row], str]) -> Change:
    """A change that writes one column anew."""
    return lambda i, row: row.update({column: value(i, row)})


@pytest.fixture
def trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command on rows; its exit code and all it said."""
    monkeypatch.setenv("ML_MODEL_PATH", str(tmp_path / "models"))

    def run(rows: list[Row], *, positive: str = "1", dates: str = "", more: str = "") -> tuple[int, str]:
        with (tmp_path / "t.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        (tmp_path / "t.toml").write_text(SCHEMA.format(positive=[positive], dates=dates) + more)
        line = ["--data", str(tmp_path / "t.csv"), "--schema", str(tmp_path / "t.toml"), "--trials", "1"]
        code = train_model.main([*line, "--out", str(tmp_path / "m")])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert (code == 0) == (tmp_path / "m").exists()
        return code, said.err + said.out

    return run


@pytest.mark.parametrize(("leaves", "stays"), [("yes", "no"), ("Churned", "Stayed"), ("TRUE", "FALSE")])
def test_labels_may_be_words(trains: Callable[..., Any], leaves: str, stays: str) -> None:
    code, _ = trains(changed(sets("left", lambda i, row: leaves if row["left"] == "1" else stays)), positive=leaves)
    assert code == 0


@pytest.mark.parametrize("shape", ["2025-0{}-15", "15.0{}.2025", "0{}/15/2025", "2025-0{}-15T08:30:00Z"])
def test_dates_may_be_text_of_any_clear_shape(trains: Callable[..., Any], shape: str) -> None:
    code, said = trains(changed(sets("seen", lambda i, row: shape.format(1 + i % 6))), dates=DATED)
    assert code == 0 and "2025-06-15 to 2025-06-15" in said


HANDLED: dict[str, tuple[Change, str, str]] = {
    "a word for missing": (sets("calls", lambda i, row: "N/A" if i % 50 == 7 else row["calls"]), "", "400"),
    "a row without a label": (
        sets("left", lambda i, row: "" if i == 5 else row["left"]),
        "",
        "1 row has no label: not trained on.",
    ),
    "a constant": (sets("k", lambda i, row: "4"), '[features.k]\nkind = "number"', "k has the same value"),
    "an empty number": (sets("k", lambda i, row: ""), '[features.k]\nkind = "number"', "k has no value"),
    "an empty category": (sets("k", lambda i, row: ""), '[features.k]\nkind = "category"', "k has no value"),
    "a number that is an id": (
        sets("k", lambda i, row: str(10_000 + i * 7 % 400)),
        '[features.k]\nkind = "number"',
        "k has a different whole number",
    ),
}


@pytest.mark.parametrize(("change", "more", "told"), HANDLED.values(), ids=HANDLED.keys())
def test_what_a_model_can_live_with_is_trained_on_and_told(
    trains: Callable[..., Any], change: Change, more: str, told: str
) -> None:
    code, said = trains(changed(change), more=more)
    assert code == 0 and told in said


REFUSED: dict[str, tuple[Change, dict[str, str], tuple[str, ...]]] = {
    "another label than the schema says": (
        sets("left", lambda i, row: "yes" if row["left"] == "1" else "no"),
        {},
        ("'left' is never '1'; it holds", "'yes'", "under `positive`"),
    ),
    "no labels": (sets("left", lambda i, row: ""), {}, ("'left' is blank everywhere", "nothing to train on")),
    "nobody left": (sets("left", lambda i, row: "0"), {}, ("0 leavers and 400", "Check which values of the label")),
    "everybody left": (sets("left", lambda i, row: "1"), {}, ("400 leavers and 0", "Check which values of the label")),
    "words among numbers": (
        sets("calls", lambda i, row: "many" if i % 50 == 7 else row["calls"]),
        {},
        ("8 of 400 rows", "line 9, calls", "'many' is not a number"),
    ),
    "infinity": (
        sets("calls", lambda i, row: "-Infinity" if i == 7 else row["calls"]), {}, ("line 9, calls", "leave unknown")
    ),
    "beyond single precision": (
        sets("calls", lambda i, row: "1e300" if i == 7 else row["calls"]), {}, ("line 9, calls", "above 3.4e+38")
    ),
    "a date that is none": (
        sets("seen", lambda i, row: "last week" if i == 7 else row["seen"]),
        {"dates": DATED},
        ("line 9, seen", "write it as 2025-12-31"),
    ),
    "dates that could be read two ways": (
        sets("seen", lambda i, row: f"0{1 + i % 6}/05/2025"), {"dates": DATED}, ("seen", "write it as 2025-12-31")
    ),
    "a date as a number": (lambda i, row: None, {"more": '[features.seen]\nkind = "number"'}, ("seen", "is not a number")),
    "an id as a category": (
        sets("k", lambda i, row: f"r{i}"),
        {"more": '[features.k]\nkind = "category"'},
        ("k: 400 different values", "Remove it from the schema's features"),
    ),
    "constants only": (
        lambda i, row: row.update(calls="4", tariff="a"), {}, ("a single value", "nothing to learn from")
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "given", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_model_can_use_is_refused_with_the_column_and_what_to_do(
    trains: Callable[..., Any], change: Change, given: dict[str, str], told: tuple[str, ...]
) -> None:
    code, said = trains(changed(change), **given)
    assert code == 2
    for part in told:
        assert part in said


def test_the_same_customer_twice_is_refused_with_both_lines(trains: Callable[..., Any]) -> None:
    rows = rows_of_a_table()
    code, said = trains(rows + rows[:50])
    assert code == 2 and "line 402, id: the id 'c0' stands in line 2 already" in said


def wrong(snapshot: Snapshot, **columns: pa.Array) -> bytes:
    """A training stream in which some columns are others."""
    table = arrow.decode(as_stream(snapshot))
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return arrow.encode(table.schema, table.to_batches())


def with_one(snapshot: Snapshot, value: float) -> pa.Array:
    column = snapshot.features["calls"].to_numpy().copy()
    column[17] = value
    return pa.array(column)


STREAMS: dict[str, tuple[Callable[[Snapshot], dict[str, pa.Array]], str, str]] = {
    "labels as text": (lambda s: {"label": pa.array(["Churned", "Stayed"] * 450)}, "label", "of type string"),
    "other labels": (lambda s: {"label": pa.array([1, 2] * 450, pa.int8())}, "label", "0 or 1"),
    "dates as text": (lambda s: {"as_of": pa.array(["2025-01-15"] * 900)}, "as_of", "of type string"),
    "some dates": (
        lambda s: {"as_of": pa.array([None] + [20_000] * 899, pa.int32()).cast(pa.date32())}, "as_of", "every row or on"
    ),
    "text for a number": (lambda s: {"calls": pa.array(["many"] * 900)}, "calls", "A number was expected"),
    "lists": (lambda s: {"tariff": pa.array([["a"]] * 900)}, "tariff", "A category was expected"),
    "infinity": (lambda s: {"calls": with_one(s, np.inf)}, "calls", "finite"),
    "beyond single precision": (lambda s: {"calls": with_one(s, 1e300)}, "calls", "too large"),
    "an id as a category": (
        lambda s: {"tariff": pa.array([f"r{i}" for i in range(900)])}, "tariff", "Remove it from the schema"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "field", "told"), STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_that_no_model_can_use_is_refused_before_a_training_starts(
    call: Caller, undated: Snapshot, columns: Callable[[Snapshot], dict[str, pa.Array]], field: str, told: str
) -> None:
    response = call("POST", "/api/train", data=wrong(undated, **columns(undated)), content_type=ARROW_TYPE)
    body = response.get_json()
    assert (response.status_code, body["error"]["code"]) == (422, "validation_failed"), body
    assert body["error"]["details"][0]["field"] == field and told in body["message"]


def test_a_stream_of_one_outcome_or_of_copies_is_refused_with_the_counts(call: Caller, undated: Snapshot) -> None:
    nobody = wrong(undated, label=pa.array([0] * 900, pa.int8()))
    one = as_stream(replace(undated, features=undated.features.take([0] * 900)))
    for body, told in ((nobody, "0 leavers and 900 stayers"), (one, "nothing to learn from")):
        response = call("POST", "/api/train", data=body, content_type=ARROW_TYPE)
        assert response.status_code == 422 and told in response.get_json()["message"]
