"""A file that is read whole and the same file imported: the same values, rejected rows, messages, lines and notes."""

from __future__ import annotations

import csv
import io
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from database.importing.staging import Staging, feature_column, role_column
from gateway.services.importing.check_file import check_file, refusal
from shared.errors import Detail, InvalidTable
from shared.schema.features import Schema, schema_from_dict
from shared.tables.open import open_table
from shared.tables.read import CustomerTable, read_table
from tests.fuzz.examples import examples

TODAY = date(2026, 6, 30)
HEADER = ["id", "day", "hours", "plan", "left", "since", "until", "price", "other"]
SCHEMA: dict[str, Any] = {
    "label": "left", "positive": ["yes"],
    "features": {"hours": {"kind": "number", "unit": "hours"}, "plan": {"kind": "category", "missing": False}},
    "subscription": {"start": "since", "end": "until", "price": "price", "plan": "plan", "currency": "money"},
}  # fmt: skip
SCHEMAS = [
    schema_from_dict({**SCHEMA, "id": "id", "as_of": "day"}),
    schema_from_dict({**SCHEMA, "id": "id", "ignore": ["day"]}),
    schema_from_dict(SCHEMA),
]


@dataclass
class Outcome:
    """The result of reading a file: rows and notes, or the reason of the refusal and its places."""

    rows: list[dict[str, Any]] | None = None
    notes: list[str] | None = None
    refused: str | None = None
    details: list[Detail] | None = None


def read_whole(path: Path, schema: Schema) -> Outcome:
    try:
        table = read_table(path, schema, today=TODAY)
    except InvalidTable as error:
        return Outcome(refused=error.message.partition(" (the first")[0].rstrip("."), details=error.details)
    return Outcome(rows_of(table), list(table.notes))


def rows_of(table: CustomerTable) -> list[dict[str, Any]]:
    columns: dict[str, list[Any]] = {"user_id": table.ids.to_pylist(), **table.features.to_pydict()}
    if table.as_of is not None:
        columns["as_of"] = table.as_of.cast(pa.string()).to_pylist()
    if table.label is not None:
        columns["label"] = table.label.tolist()
    for role, column in table.subscription.items():
        columns[role] = (column.cast(pa.string()) if pa.types.is_date(column.type) else column).to_pylist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def imported(path: Path, schema: Schema, folder: Path) -> Outcome:
    scratch = folder / "scratch.db"
    try:
        with closing(open_table(path, folder=folder)) as table:
            checked = check_file(table, Staging(scratch, schema), as_of="2026-06-01", today=TODAY)
    except InvalidTable as error:
        return Outcome(refused=error.message.rstrip("."), details=error.details)
    if checked.rejected:
        message = refusal(table, checked, "").message
        return Outcome(refused=message.partition(". Nothing was imported")[0], details=checked.rejects)
    names = {"user_id": "user_id", **{name: feature_column(name) for name in schema.features}}
    names |= {"as_of": "as_of"} if schema.as_of else {}
    names |= {role: role_column(role) for role in checked.staging.roles}
    with closing(sqlite3.connect(scratch)) as raw:
        raw.row_factory = sqlite3.Row
        rows = [{name: row[column] for name, column in names.items()} for row in raw.execute("SELECT * FROM rows")]
    if all(row.get("label") is None for row in rows):  # a blank column is no label
        rows = [{name: value for name, value in row.items() if name != "label"} for row in rows]
    return Outcome(rows, checked.notes)


def compare(path: Path, schema: Schema, folder: Path) -> Outcome:
    """Read the file whole, and import it in small batches."""
    whole = read_whole(path, schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.tables.open.BLOCK_BYTES", 512)
        patch.setattr("shared.tables.parquet.BATCH_ROWS", 3)
        assert imported(path, schema, folder) == whole
    return whole


def kind(outcome: Outcome) -> str:
    if outcome.details is None:
        return "accepted"
    return "rows rejected" if outcome.details else "refused as a file"


# --- tables that people make ----------------------------------------------------------------------------------------

IDS = st.one_of(
    st.integers(0, 400).map(lambda n: f"u{n}"),
    st.sampled_from(["", " ", "u1", " u1 ", "U1", "Zoë", "'=u1", 'an 8" disc', "two\nlines", "id"]),
)
DAYS = st.dates(date(2025, 1, 1), date(2026, 6, 30))
WRITTEN = st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y"])
MISSING = ["", " ", "NA", "N/A", "null", "NaN", "None"]
ODD_DAYS = st.sampled_from([*MISSING, "2025-02-30", "soon", "01/02/2025", "2027-01-01", "1850-01-01", "day"])
NUMBERS = st.one_of(
    st.integers(0, 999).map(str),
    st.sampled_from([*MISSING, "1.5", "1,5", "-3", "1e400", "inf", "lots", "yes", "no", "true", "hours"]),
)
PLANS = st.sampled_from(["Basic", "Größe", "1.0", "TRUE", "a;b", "a,b", '"quoted"', "x" * 201, "", "NA", "plan"])
LABELS = st.sampled_from(["yes", "no", "Yes ", "", "left"])
CLEAN = st.tuples(
    st.just(""), DAYS, st.integers(0, 999).map(str), st.sampled_from(["Basic", "Größe"]), st.sampled_from(["yes", "no"])
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows below the header: most of them good, some with one odd cell, some of another width."""
    written, blank_label = draw(WRITTEN), draw(st.booleans())
    rows: list[list[str]] = []
    for at, (_, day, hours, plan, label) in enumerate(draw(st.lists(CLEAN, min_size=1, max_size=12))):
        since, until = day - timedelta(days=draw(st.integers(0, 400))), draw(st.sampled_from(["", "2026-12-31"]))
        rows.append([f"c{at}", day.strftime(written), hours, plan, "" if blank_label else label,
                     since.isoformat(), until, "9.5", "x"])  # fmt: skip
    odd = {0: IDS, 1: ODD_DAYS, 2: NUMBERS, 3: PLANS, 4: LABELS, 5: ODD_DAYS, 6: ODD_DAYS, 7: NUMBERS}
    for _ in range(draw(st.integers(0, 3))):
        column = draw(st.sampled_from(sorted(odd)))
        draw(st.sampled_from(rows))[column] = draw(odd[column])
    return rows


ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    """A CSV file in any encoding, with blank lines, ragged lines and a header that stands in it twice."""
    rows = [HEADER, *draw(tables())]
    if draw(st.integers(0, 5)) == 0:
        rows.insert(draw(st.integers(1, len(rows))), HEADER)
    if draw(st.integers(0, 3)) == 0:
        rows.insert(draw(st.integers(1, len(rows))), draw(st.sampled_from([["a", "b"], ["x"] * 11, []])))
    out, end = io.StringIO(newline=""), draw(ENDS)
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    csv.writer(out, delimiter=draw(st.sampled_from(",;\t|")), quoting=quoting, lineterminator=end).writerows(rows)
    text = out.getvalue()
    text = text.removesuffix(end) if draw(st.booleans()) else text + draw(st.sampled_from(["", end, f'a"b{end}']))
    return text.encode(draw(ENCODINGS))


CHECKED = settings(deadline=None, max_examples=examples(80), suppress_health_check=[HealthCheck.too_slow])


@CHECKED
@given(csv_files(), st.sampled_from(SCHEMAS))
def test_a_csv_file_is_read_whole_as_it_is_imported(content: bytes, schema: Schema) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(content)
        event(kind(compare(path, schema, Path(folder))))
        assert [file.name for file in Path(folder).glob("utf8-*")] == []


@CHECKED
@given(tables(), st.sampled_from(SCHEMAS), st.integers(1, 5))
def test_a_parquet_file_is_read_whole_as_it_is_imported(rows: list[list[str]], schema: Schema, group: int) -> None:
    columns = dict(zip(HEADER, map(list, zip(*rows, strict=True)), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=group)
        event(kind(compare(path, schema, Path(folder))))


def test_a_row_of_every_kind_is_told_alike_over_several_batches(tmp_path: Path) -> None:
    days = [date(2026, 1, 1), None, date(2026, 1, 1), date(2027, 1, 1), *[date(2026, 1, 1)] * 6]
    rows = {
        "id": ["a", "b", "a", "c", "d", "e", "A", "f", None, "a"], "day": days, "hours": [1.0, 2, 3, 4, -5, 6, 7, 8, 9, 1],
        "plan": ["x"] * 10, "left": ["yes", "no", "yes", "no", "yes", None, "no", "no", "no", "no"],
        "since": ["2026-01-01"] * 10, "until": [None] * 7 + ["2025-01-01"] + [None] * 2,
    }  # fmt: skip
    pq.write_table(pa.table(rows), tmp_path / "table.parquet")
    told = compare(tmp_path / "table.parquet", SCHEMAS[0], tmp_path)
    assert [(d["row"], d["field"], d["message"]) for d in told.details or []] == [
        (2, "day", "the date is missing"),
        (3, "id", "the id 'a' stands in row 1 already with the same date, keep one of them"),
        (4, "day", "2027-01-01 lies in the future (today is 2026-06-30)"),
        (5, "hours", "-5.0 is negative, which hours can't be"),
        (8, "until", "2025-01-01 lies before the start"),
        (9, "id", "the id is missing"),
        (10, "id", "the id 'a' stands in row 1 already with the same date, keep one of them"),
    ]


def test_the_values_of_a_label_that_nobody_has_are_told_of_every_batch(tmp_path: Path) -> None:
    rows = {"id": list("abcd"), "day": ["2026-01-01"] * 4, "hours": ["1"] * 4, "plan": ["x"] * 4,
            "left": [None, None, None, "no"], "since": ["2025-01-01"] * 4, "until": [None] * 4}  # fmt: skip
    pq.write_table(pa.table(rows), tmp_path / "table.parquet")
    told = compare(tmp_path / "table.parquet", SCHEMAS[0], tmp_path)
    assert any("'left' is never 'yes'; it holds 'no'." in note for note in told.notes or [])
