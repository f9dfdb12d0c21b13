"""Files as people write them, checked from end to end as an import does: what is read, and where something is wrong."""

from __future__ import annotations

import codecs
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from database.importing.staging import Staging
from gateway.services.importing.check_file import CheckedFile, check_file
from shared.errors import InvalidTable
from shared.schema.features import schema_from_dict
from shared.tables.open import open_table

TODAY = date(2026, 6, 30)
SCHEMA = schema_from_dict(
    {
        "id": "id", "as_of": "day", "features": {"hours": {"kind": "number", "missing": True},
        "city": {"kind": "category", "missing": True}}, "subscription": {"start": "since", "end": "until"},
    }
)  # fmt: skip
HEADER = "id;day;hours;city;since;until"
Check = Callable[..., tuple[CheckedFile, list[dict[str, Any]]]]


@pytest.fixture
def checked(tmp_path: Path) -> Check:
    """Check bytes (or lines below the header); what came of it, and the rows that fit."""

    def check(content: bytes | list[str], encoding: str = "utf-8", schema: Any = SCHEMA) -> Any:
        if isinstance(content, list):
            content = "\n".join([HEADER, *content, ""]).encode(encoding)
        path = tmp_path / "table"
        path.write_bytes(content)
        table = open_table(path, folder=tmp_path)
        try:
            found = check_file(table, Staging(tmp_path / "scratch.db", schema), as_of="2026-06-01", today=TODAY)
        finally:
            table.close()
        with closing(sqlite3.connect(tmp_path / "scratch.db")) as raw:
            raw.row_factory = sqlite3.Row
            rows = [dict(row) for row in raw.execute("SELECT * FROM rows ORDER BY n")]
        assert found.accepted + found.rejected == found.total
        return found, rows

    return check


def wrong(found: CheckedFile) -> list[tuple[int, str | None, str | None]]:
    """Line, column and value of each place, as people are told."""
    return [(d["row"], d.get("field"), d.get("value")) for d in found.rejects]


# --- dates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "written", "read"),
    [
        ("31.12.2025", "01.02.2026", "D.M.Y", ["2025-12-31", "2026-02-01"]),
        ("05.04.2025", "01.02.2026", "D.M.Y", ["2025-04-05", "2026-02-01"]),  # dots: always day first
        ("31/12/2025", "01/02/2026", "D/M/Y", ["2025-12-31", "2026-02-01"]),
        ("12/31/2025", "01/02/2026", "M/D/Y", ["2025-12-31", "2026-01-02"]),
        ("31-12-2025", "1-2-2026", "D-M-Y", ["2025-12-31", "2026-02-01"]),
        ("2025-12-31", "2026-02-01T08:00:00Z", None, ["2025-12-31", "2026-02-01"]),
    ],
)
def test_dates_are_read_as_their_whole_column_is_written_and_that_is_reported(
    checked: Check, first: str, second: str, written: str | None, read: list[str]
) -> None:
    found, rows = checked([f"a;{first};1;x;2025-01-01;", f"b;{second};1;x;2025-01-01;"])
    assert [row["as_of"] for row in rows] == read
    assert found.recognised["dates"] == ({"day": written} if written else {})
    assert any(f"({written})" in note for note in found.notes) is bool(written)


def test_one_day_far_down_the_file_decides_how_a_column_is_written(checked: Check) -> None:
    lines = [f"c{k};05/04/2025;1;x;2025-01-01;" for k in range(40_000)]
    found, rows = checked([*lines, "last;05/13/2025;1;x;2025-01-01;"])
    assert found.recognised["dates"] == {"day": "M/D/Y"}
    assert {row["as_of"] for row in rows} == {"2025-05-04", "2025-05-13"}


@pytest.mark.parametrize("dates", [("01/02/2025", "03/04/2025"), ("31/12/2025", "12/31/2025"), ("01-02-2025", "")])
def test_dates_that_may_be_read_in_two_ways_are_not_guessed_at(checked: Check, dates: tuple[str, str]) -> None:
    found, _ = checked([f"a;2025-06-01;1;x;{dates[0]};", f"b;2025-06-01;1;x;{dates[1]};"])
    given = [day for day in dates if day]
    assert (found.rejected, found.recognised["dates"]) == (len(given), {})
    assert wrong(found) == [(line, "since", day) for line, day in enumerate(given, start=2)]
    assert all("tell days from months" in d["message"] and "2025-12-31" in d["message"] for d in found.rejects)


def test_a_few_dates_that_contradict_their_column_are_named_and_no_others(checked: Check) -> None:
    lines = [f"c{k};2025-06-01;1;x;{k + 1:02}/05/2025;" for k in range(30)]
    found, rows = checked([*lines[:20], "odd;2025-06-01;1;x;05/25/2025;", *lines[20:]])
    assert wrong(found) == [(22, "since", "05/25/2025")]
    assert "not a calendar date, written D/M/Y as the others of its column" in found.rejects[0]["message"]
    assert len(rows) == 30


@pytest.mark.parametrize(
    ("day", "others", "says"),
    [
        ("2025-02-30", "2025-01-01", "not a calendar date"),
        ("31.02.2025", "30.01.2025", "not a calendar date, written D.M.Y"),
        ("31/02/2025", "30/01/2025", "not a calendar date, written D/M/Y"),
        ("yesterday", "2025-01-01", "is not a date, write it as 2025-12-31"),
        ("20250131", "2025-01-01", "is not a date, write it as 2025-12-31"),
        ("2026-07-01", "2025-01-01", "lies in the future (today is 2026-06-30)"),
        ("01.07.2026", "30.01.2025", "lies in the future (today is 2026-06-30)"),
        ("1899-12-31", "2025-01-01", "is not a possible date, leave unknown dates blank"),
        ("0001-01-01", "2025-01-01", "is not a possible date, leave unknown dates blank"),
    ],
)
def test_a_day_that_can_not_be_is_told_with_line_column_value_and_reason(
    checked: Check, day: str, others: str, says: str
) -> None:
    found, rows = checked([f"a;{others};1;x;2024-01-01;", f"b;{day};1;x;2024-01-01;", f"c;{others};1;x;2024-01-01;"])
    assert wrong(found) == [(3, "day", day)]
    assert says in found.rejects[0]["message"]
    assert [row["user_id"] for row in rows] == ["a", "c"]


def test_an_end_may_lie_ahead_and_a_start_may_not(checked: Check) -> None:
    found, rows = checked(["a;2026-06-01;1;x;2025-01-01;2026-12-31", "b;2026-06-01;1;x;2026-12-31;",
                          "c;2026-06-01;1;x;2026-05-01;2026-04-01"])  # fmt: skip
    assert [row["user_id"] for row in rows] == ["a"]
    assert wrong(found) == [(3, "since", "2026-12-31"), (4, "until", "2026-04-01")]
    assert "before the start" in found.rejects[1]["message"]


# --- encodings and line ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "bom", "told"),
    [
        ("utf-8", b"", "UTF-8"),
        ("utf-8-sig", b"", "UTF-8"),
        ("utf-16-le", codecs.BOM_UTF16_LE, "UTF-16"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "UTF-16"),
        ("cp1252", b"", "Windows-1252"),
    ],
)
def test_text_is_read_in_its_encoding_and_that_is_reported(
    checked: Check, encoding: str, bom: bytes, told: str
) -> None:
    text = f"{HEADER}\r\nZoë;2026-06-01;1,5;Köln €;2025-01-01;\r\nb;2026-06-01;!;x;2025-01-01;\r\n"
    found, rows = checked(bom + text.encode(encoding))
    assert (rows[0]["user_id"], rows[0]["x_city"], rows[0]["x_hours"]) == ("Zoë", "Köln €", 1.5)
    assert found.recognised["encoding"] == told
    assert any(told in note for note in found.notes) is (told != "UTF-8")
    assert wrong(found) == [(3, "hours", "!")]


def test_bytes_that_windows_never_writes_are_latin_1(checked: Check) -> None:
    found, rows = checked(f"{HEADER}\nZo\xeb\x81;2026-06-01;1;x;2025-01-01;\n".encode("latin-1"))
    assert (rows[0]["user_id"], found.recognised["encoding"]) == ("Zoë\x81", "Latin-1")


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\na\0;2026-06-01;1;x;2025-01-01;\n".encode(),
        codecs.BOM_UTF16_LE + f"{HEADER}\na\0;2026-06-01;1;x;2025-01-01;\n".encode("utf-16-le"),
        f"{HEADER}\na;2026-06-01;1;x;2025-01-01;\n".encode("utf-16-le"),  # no mark at its beginning
        f"{HEADER}\nZo\xeb\0;2026-06-01;1;x;2025-01-01;\n".encode("latin-1"),
    ],
)
def test_nul_bytes_are_refused_with_a_sentence(checked: Check, content: bytes) -> None:
    with pytest.raises(InvalidTable, match="NUL"):
        checked(content)


def test_utf_16_that_breaks_off_in_a_character_is_refused(checked: Check) -> None:
    with pytest.raises(InvalidTable, match="UTF-16"):
        checked(codecs.BOM_UTF16_LE + f"{HEADER}\na;2026-06-01;1;x;2025-01-01;\n".encode("utf-16-le")[:-1])


def test_mixed_line_ends_end_lines_and_lines_are_counted_as_an_editor_does(checked: Check) -> None:
    text = f"{HEADER}\r\na;2026-06-01;1;x;2025-01-01;\nb;2026-06-01;2;x;2025-01-01;\rc;2026-06-01;!;x;2025-01-01;\r\n"
    found, rows = checked(text.encode())
    assert [row["user_id"] for row in rows] == ["a", "b"]
    assert wrong(found) == [(4, "hours", "!")]
    assert any("mixes kinds of line ends" in note for note in found.notes)


# --- numbers, headers, ids ------------------------------------------------------------------------------------------


def test_decimal_commas_are_read_where_no_number_has_a_point_and_not_guessed_at_otherwise(checked: Check) -> None:
    found, rows = checked(["a;2026-06-01;1,5;x;;", "b;2026-06-01;2;x;;", "c;2026-06-01;-0,25;x;;"])
    assert [row["x_hours"] for row in rows] == [1.5, 2.0, -0.25]
    assert found.recognised["decimal_comma"] is True
    found, rows = checked(["a;2026-06-01;1,5;x;;", "b;2026-06-01;2.5;x;;"])
    assert (wrong(found), [row["x_hours"] for row in rows]) == ([(2, "hours", "1,5")], [2.5])


@pytest.mark.parametrize("text", ["1.234,5", "12 34", "12 h", "1e", "--1", "0x10", "inf", "NaN1", "٣"])
def test_a_number_written_in_another_way_is_told_and_not_guessed_at(checked: Check, text: str) -> None:
    found, _ = checked([f"a;2026-06-01;{text};x;;", "b;2026-06-01;2.5;x;;"])
    assert wrong(found) == [(2, "hours", text)]


def test_numbers_given_as_text_are_numbers_and_text_among_them_is_told(checked: Check, tmp_path: Path) -> None:
    columns = {
        "id": ["a", "b", "c"], "day": ["2026-06-01"] * 3, "hours": [" 12.50 ", "1e2", "a lot"], "city": [1.0, 2.0, 3.5],
        "since": [None] * 3, "until": [None] * 3,
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found, rows = checked((tmp_path / "t.parquet").read_bytes())
    assert [(row["x_hours"], row["x_city"]) for row in rows] == [(12.5, "1"), (100.0, "2")]
    assert wrong(found) == [(3, "hours", "a lot")]


@pytest.mark.parametrize("at", [0, 1])
def test_a_second_header_is_named_wherever_it_stands(checked: Check, at: int) -> None:
    lines = ["a;2026-06-01;1;x;;"]
    lines.insert(at, HEADER)
    found, rows = checked(lines)
    assert [row["user_id"] for row in rows] == ["a"]
    assert {d["message"] for d in found.rejects} == {"this line repeats the header: remove it"}
    assert {d["row"] for d in found.rejects} == {at + 2}


def test_a_line_of_units_below_the_header_is_told_cell_by_cell(checked: Check) -> None:
    found, _ = checked(["no.;date;h;name;date;date", "a;2026-06-01;1;x;;"])
    assert {(2, "day", "date"), (2, "hours", "h")} <= set(wrong(found))


def test_ids_that_differ_only_by_case_are_two_and_by_space_one(checked: Check) -> None:
    found, rows = checked(
        ["A1;2026-06-01;1;x;;", "a1;2026-06-01;1;x;;", " a1 ;2026-06-01;1;x;;", "a 1;2026-06-01;1;x;;"]
    )
    assert [row["user_id"] for row in rows] == ["A1", "a1", "a 1"]
    assert any("only by case, such as 'A1' and 'a1'" in note for note in found.notes)
    assert wrong(found) == [(4, "id", "a1")]
    assert "stands in line 3 already" in found.rejects[0]["message"]
