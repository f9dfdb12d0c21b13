"""A customer table file is read whole and right, or refused with the places to correct."""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidTable
from shared.schema.features import Schema, load_schema, schema_from_dict
from shared.tables.read import CustomerTable, read_table, row_keys
from tests.fuzz.examples import examples

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("RETAINSTREAM_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real tables are not in {DATA} (RETAINSTREAM_DATA)")

SCHEMA = schema_from_dict({
    "id": "id", "label": "left", "positive": ["yes"], "ignore": ["colour"],
    "features": {"hours": {"kind": "number", "unit": "hours"}, "plan": {"kind": "category"}},
})  # fmt: skip
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to_file


def parquet(tmp_path: Path, **columns: Any) -> Path:
    path = tmp_path / "table.data"
    pq.write_table(pa.table(columns), path)
    return path


def with_features(**features: Any) -> Schema:
    return schema_from_dict({"id": "id", "features": features})


def refused(path: Path, schema: Schema = SCHEMA, **options: Any) -> InvalidTable:
    with pytest.raises(InvalidTable) as caught:
        read_table(path, schema, **options)
    assert caught.value.message.endswith((".", "?")), caught.value.message
    return caught.value


def columns(table: CustomerTable) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = table.features.to_pydict()
    return values


GOOD = "id,hours,plan,left\nA,1.5,Basic,yes\nB,,Premium,no\n"


def test_a_csv_file_is_read_in_its_order(write: Write) -> None:
    path = write(GOOD)
    table = read_table(path, SCHEMA)
    assert columns(table) == {"hours": [1.5, None], "plan": ["Basic", "Premium"]}
    assert table.ids.to_pylist() == ["A", "B"]
    assert table.label is not None and table.label.type == pa.int8() and table.label.to_pylist() == [1, 0]
    assert table.email is None and table.as_of is None and table.subscription == {} and table.notes == ()
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert table.features.schema.types == [pa.float64(), pa.string()]


def test_features_stand_in_the_order_of_the_schema_not_of_the_file(write: Write) -> None:
    assert list(columns(read_table(write("plan,left,hours,id\nx,no,1,A\n"), SCHEMA))) == ["hours", "plan"]


@pytest.mark.parametrize("delimiter, told", [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_delimiters_are_recognised_and_told(write: Write, delimiter: str, told: str) -> None:
    table = read_table(write(GOOD.replace(",", delimiter)), SCHEMA)
    assert columns(table)["hours"] == [1.5, None]
    assert told in table.notes[0]


@pytest.mark.parametrize(
    "encoding, told", [("utf-8", None), ("utf-8-sig", None), ("utf-16", "UTF-16"), ("cp1252", "Windows-1252")]
)
def test_encodings_are_recognised_and_told(write: Write, encoding: str, told: str | None) -> None:
    table = read_table(write("id,hours,plan\nÄ,1,Größe\n".encode(encoding)), SCHEMA)
    assert table.ids.to_pylist() == ["Ä"] and columns(table)["plan"] == ["Größe"]
    assert any(told in note for note in table.notes) if told else not any("encoded" in note for note in table.notes)


def test_what_windows_can_not_have_written_is_latin_1(write: Write) -> None:
    table = read_table(write(b"id,hours,plan\n\xe4\x81,1,x\n"), SCHEMA)
    assert table.ids.to_pylist() == ["ä\x81"] and "Latin-1" in table.notes[0]


def test_a_decimal_comma_is_recognised_where_the_delimiter_is_none(write: Write) -> None:
    table = read_table(write("id;hours;plan\nA;1,5;x\nB;2;y\n"), SCHEMA)
    assert columns(table)["hours"] == [1.5, 2.0]
    assert "Numbers are written with a decimal comma." in table.notes


def test_a_point_that_is_the_decimal_sign_makes_the_comma_a_thousands_sign(write: Write) -> None:
    table = read_table(write("id;hours;plan\nA;1,234;x\nB;2.5;y\n"), SCHEMA)
    assert columns(table)["hours"] == [1234.0, 2.5]
    assert any("1,234.5" in note for note in table.notes)


def test_points_and_commas_that_contradict_each_other_are_not_guessed_at(write: Write) -> None:
    assert "'1,5'" in refused(write("id;hours;plan\nA;1,5;x\nB;2.5;y\n")).message


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_line_ending_is_one(write: Write, ending: str) -> None:
    assert len(read_table(write(GOOD.replace("\n", ending)), SCHEMA).ids) == 2
    wrong = refused(write(GOOD.replace("1.5", "x").replace("\n", ending)))
    assert wrong.details[0]["row"] == 2


def test_parquet_is_known_by_its_bytes(tmp_path: Path) -> None:
    table = read_table(parquet(tmp_path, id=[7, 8], hours=pa.array([1, None], pa.int32()), plan=["a", None]), SCHEMA)
    assert table.ids.to_pylist() == ["7", "8"] and columns(table) == {"hours": [1.0, None], "plan": ["a", None]}


@pytest.mark.parametrize(
    "word", ["", "  ", "NA", "N/A", "n/a", "null", "NULL", "NaN", "nan", "None", " NA ", "?", "-", "#N/A"]
)
def test_words_for_missing_are_missing_numbers_and_kept_categories(write: Write, word: str) -> None:
    table = read_table(write(f"id,hours,plan\nA,{word},{word}\n"), SCHEMA)
    assert columns(table) == {"hours": [None], "plan": [word.strip() or None]}


@pytest.mark.parametrize("text, value", [
    ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("+5", 5.0), (" 5 ", 5.0), ("-0", 0.0), ("True", 1.0), ("false", 0.0),
])  # fmt: skip
def test_numbers_given_as_text_are_numbers(tmp_path: Path, text: str, value: float) -> None:
    assert columns(read_table(parquet(tmp_path, id=["A"], hours=[text], plan=["x"]), SCHEMA))["hours"] == [value]


@pytest.mark.parametrize("values, texts", [
    ([0, 1], ["0", "1"]), ([1.0, 1.5], ["1", "1.5"]), ([True, False], ["true", "false"]), ([-0.0, 1e3], ["0", "1000"]),
    (["1.0", "2.50"], ["1", "2.5"]), (["True", "FALSE"], ["true", "false"]), (["007", "1.0.0"], ["007", "1.0.0"]),
    ([date(2025, 1, 2), None], ["2025-01-02", None]), ([float("nan"), 2.0], [None, "2"]),
])  # fmt: skip
def test_categories_get_their_shortest_text(tmp_path: Path, values: list[Any], texts: list[str]) -> None:
    table = read_table(parquet(tmp_path, id=["A", "B"], hours=[1, 2], plan=values), SCHEMA)
    assert columns(table)["plan"] == texts


def test_truth_values_are_numbers_where_numbers_are_wanted(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=["A", "B", "C"], hours=[True, False, None], plan=["x"] * 3)
    assert columns(read_table(path, SCHEMA))["hours"] == [1.0, 0.0, None]


def test_headers_may_have_whitespace_around_them(write: Write) -> None:
    assert columns(read_table(write(" id , hours,plan \nA,1,x\n"), SCHEMA)) == {"hours": [1.0], "plan": ["x"]}


def test_an_exact_header_comes_before_one_with_whitespace(write: Write) -> None:
    assert columns(read_table(write("id, hours,hours,plan\nA,1,2,x\n"), SCHEMA))["hours"] == [2.0]


def test_rows_are_counted_where_there_is_no_id(write: Write) -> None:
    schema = schema_from_dict({"features": {"hours": {"kind": "number"}}})
    assert read_table(write("hours\n1\n1\n"), schema).ids.to_pylist() == ["1", "2"]


def test_contract_columns_have_their_types(write: Write) -> None:
    schema = schema_from_dict({
        "id": "id", "as_of": "day", "email": "mail", "features": {"price": {"kind": "number"}},
        "subscription": {"start": "from", "end": "to", "price": "price", "plan": "plan", "currency": "money"},
    })  # fmt: skip
    table = read_table(write(
        "id,day,mail,from,to,price,plan\nA,2025-03-01,a@b.de,2024-02-29T23:59:00+05:00,,9.5,Basic\n"
    ), schema)  # fmt: skip
    assert table.as_of is not None and table.as_of.to_pylist() == [date(2025, 3, 1)]
    assert table.email is not None and table.email.to_pylist() == ["a@b.de"]
    got = {role: values.to_pylist() for role, values in table.subscription.items()}
    assert got == {"start": [date(2024, 2, 29)], "end": [None], "price": [9.5], "plan": ["Basic"]}
    assert table.subscription["end"].type == pa.date32()
    assert any("'money'" in note for note in table.notes)


def test_times_in_parquet_are_dates(tmp_path: Path) -> None:
    schema = schema_from_dict({"as_of": "day", "features": {"n": {"kind": "number"}}})
    for kind in (pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.date64(), pa.date32()):
        day = pa.array([datetime(2025, 3, 1)]).cast(kind)
        as_of = read_table(parquet(tmp_path, day=day, n=[1]), schema).as_of
        assert as_of is not None and as_of.to_pylist() == [date(2025, 3, 1)], kind


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2025-02-30", "is not a calendar date"),
        ("2025-13-01", "is not a calendar date"),
        ("01/02/2025", "is written so that its column doesn't tell days from months"),
        ("soon", "is not a date, write it as 2025-12-31"),
        ("20250301", "is not a date, write it as 2025-12-31"),
    ],
)
def test_a_date_that_is_none_is_refused(write: Write, text: str, why: str) -> None:
    schema = schema_from_dict({"as_of": "day", "features": {"n": {"kind": "number"}}})
    assert f"'{text}' {why}" in refused(write(f"day,n\n{text},1\n"), schema).message


def test_a_customer_may_stand_in_the_table_once_for_each_date(write: Write) -> None:
    schema = schema_from_dict({"id": "id", "as_of": "day", "features": {"n": {"kind": "number"}}})
    assert len(read_table(write("id,day,n\nA,2025-01-01,1\nA,2025-02-01,1\n"), schema).ids) == 2
    assert "line 2" in refused(write("id,day,n\nA,2025-01-01,1\nA,2025-01-01,2\n"), schema).message


def test_a_row_without_its_date_is_refused(write: Write) -> None:
    schema = schema_from_dict({"as_of": "day", "features": {"n": {"kind": "number"}}})
    assert "date is missing" in refused(write("day,n\n,1\n"), schema).message
    assert "'day' (the date of the schema)" in refused(write("n\n1\n"), schema).message


@pytest.mark.parametrize("content, told", [
    (b"", "empty"), (b" \n\n", "empty"), (b"id,hours,plan\n", "no rows"), (b"id,hours,plan", "no rows"),
    (b'{"id": "A", "hours": 1}\n', "is JSON"), (b'\xef\xbb\xbf [\n {"id": "A"}]', "is JSON"), (b"[1, 2]\n", "no rows"),
    (b"id,hours\0,plan\nA,1,x\n", "NUL"), (b"PK\x03\x04rest", "Excel"), (b"\x1f\x8brest", "compressed"),
    (b"PAR1 half a file", "Parquet"), (b"\xff\xfea", "UTF-16"), (b"a,hours,hours\n1,2,3\n", "'hours' more than once"),
    (b'id,hours,plan\nA,1,"x\nB,2,y\n', "quotation mark"), (b",\n1,2\n", "No column has a name"),
])  # fmt: skip
def test_what_is_no_table_is_refused(write: Write, content: bytes, told: str) -> None:
    assert told in refused(write(content)).message


def test_half_a_parquet_file_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=["A"], hours=[1], plan=["x"])
    path.write_bytes(path.read_bytes()[:-20])
    assert "not whole" in refused(path).message


def test_a_damaged_parquet_file_is_refused_or_read_with_nothing_changed_but_the_damaged_column(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=["A", "B"], hours=[1.0, None], plan=["x", "y"])
    whole, random, refusals = path.read_bytes(), np.random.default_rng(0), 0
    good = {"id": ["A", "B"], "hours": [1.0, None], "plan": ["x", "y"]}
    pages = {name: bytes_of(path, at) for at, name in enumerate(good)}
    for _ in range(200):
        damaged, at = bytearray(whole), int(random.integers(4, len(whole)))
        damaged[at] = random.integers(256)
        path.write_bytes(damaged)
        try:
            table = read_table(path, SCHEMA)
        except InvalidTable:
            refusals += 1
            continue
        assert table.features.schema.types == [pa.float64(), pa.string()]
        found = {"id": table.ids.to_pylist(), **columns(table)}
        assert [len(values) for values in found.values()] == [2, 2, 2], f"byte {at}"
        # Pages carry no checksum here: another value in the damaged column can't be told from the right one.
        changed = {name for name in good if found[name] != good[name]}
        assert changed <= {name for name, its in pages.items() if at in its}, f"byte {at}: {found}"
    assert refusals > 100


def test_damaged_metadata_of_a_column_never_end_the_process(tmp_path: Path) -> None:
    """pyarrow ends the process where it is asked for the metadata of a column whose histograms have a wrong length."""
    path = parquet(tmp_path, id=["A", "B"], hours=[1.0, None], plan=["x", "y"])
    whole = path.read_bytes()
    for at in range(whole.rindex(b"PAR1") - 700, len(whole) - 8):
        path.write_bytes(whole[:at] + bytes([80]) + whole[at + 1 :])
        with suppress(InvalidTable):
            read_table(path, SCHEMA)


def bytes_of(path: Path, column: int) -> range:
    """Where the pages of a column stand in a Parquet file of one row group."""
    about = pq.read_metadata(path).row_group(0).column(column)
    first = about.dictionary_page_offset or about.data_page_offset
    return range(first, first + about.total_compressed_size)


def test_a_cell_as_long_as_a_book_is_left_out_or_refused(write: Write) -> None:
    book = "x" * 300_000
    assert read_table(write(f"id,hours,plan,book\nA,1,x,{book}\n"), SCHEMA).ids.to_pylist() == ["A"]
    assert "longer than 200" in refused(write(f"id,hours,plan\nA,1,{book}\n")).message


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    assert "There is no file" in refused(tmp_path / "none.csv").message
    assert "can't be read" in refused(tmp_path).message


def test_ragged_rows_are_named_by_line(write: Write) -> None:
    wrong = refused(write('id,hours,plan\nA,1,"x\ny"\n\nB,2\nC,3,z\nD,4,z,5\n'))
    assert [detail["row"] for detail in wrong.details] == [5, 7]
    assert "2 of 4 rows" in wrong.message and "line 5: 2 cells where the header has 3" in wrong.message


def test_a_missing_column_is_named_with_what_there_is_and_the_nearest_spelling(write: Write) -> None:
    wrong = refused(write("Id,Hours ,tariff\nA,1,x\n"))
    assert [detail["field"] for detail in wrong.details] == ["id", "hours", "plan"]
    assert "(is it 'Hours '?)" in wrong.message and "It has: 'Id', 'Hours ', 'tariff'." in wrong.message


def test_a_label_is_needed_only_where_it_is_required(write: Write) -> None:
    path = write("id,hours,plan\nA,1,x\n")
    table = read_table(path, SCHEMA)
    assert table.label is None and "doesn't say who churned" in table.notes[0]
    wrong = refused(path, label="required")
    assert "'left' (the label of the schema)" in wrong.message and "--schema" in wrong.message
    assert "--schema" in refused(path, with_features(hours={"kind": "number"}), label="required").message


def test_an_ignored_label_may_be_anything(write: Write) -> None:
    table = read_table(write("id,hours,plan,left\nA,1,x,\n"), SCHEMA, label="ignored")
    assert table.label is None and table.notes == ()


@pytest.mark.parametrize("word", ["", "NULL", "?"])
def test_rows_without_a_label_are_read_and_left_out_where_labels_are_needed(write: Write, word: str) -> None:
    path = write(f"id,hours,plan,left\nA,1,x,{word}\nB,1,x,yes\n")
    table = read_table(path, SCHEMA)
    assert table.label is not None and table.label.to_pylist() == [None, 1]
    assert "1 row has no label: not trained on, but scored." in table.notes
    table = read_table(path, SCHEMA, label="required")
    assert table.ids.to_pylist() == ["B"] and table.label is not None and table.label.to_pylist() == [1]
    assert "1 row has no label: not trained on." in table.notes


def test_a_column_of_blank_labels_is_no_label(write: Write) -> None:
    blank = write("id,hours,plan,left\nA,1,x,\n")
    assert read_table(blank, SCHEMA).label is None
    assert "'left' is blank everywhere" in refused(blank, label="required").message


@pytest.mark.parametrize("values, positive", [
    ([1, 0], "1"), ([1.0, 0.0], "1"), (["1.0", "0"], "1"), ([1, 0], "1.0"), ([True, False], "1"),
    ([True, False], "True"),
    (["True", "False"], "true"), (["yes ", "no"], "yes"), ([False, True], "0"),
])  # fmt: skip
def test_labels_are_compared_in_their_normal_form(tmp_path: Path, values: list[Any], positive: str) -> None:
    schema = schema_from_dict({"label": "left", "positive": [positive], "features": {"n": {"kind": "number"}}})
    table = read_table(parquet(tmp_path, left=values, n=[1, 2]), schema)
    assert table.label is not None and table.label.tolist() == [1, 0]


def test_a_label_nobody_has_is_told(write: Write) -> None:
    assert "'left' is never 'yes'; it holds 'Y'" in read_table(write("id,hours,plan,left\nA,1,x,Y\n"), SCHEMA).notes[0]


def test_an_id_twice_is_named_with_both_lines(write: Write) -> None:
    wrong = refused(write("id,hours,plan\nA,1,x\nB,1,x\nA,1,x\n"))
    assert wrong.details[0]["row"] == 4 and "line 4, id: the id 'A' stands in line 2 already" in wrong.message


def test_a_missing_id_is_refused(write: Write) -> None:
    assert refused(write("id,hours,plan\n ,1,x\nB,1,x\n")).details == [
        {"row": 2, "field": "id", "value": " ", "message": "the id is missing"}
    ]


def test_two_header_rows_are_caught(write: Write) -> None:
    assert "line 2, id: this line repeats the header" in refused(write("id,hours,plan\nid,hours,plan\nA,1,x\n")).message


def test_a_second_header_is_caught_where_every_column_takes_text(write: Write) -> None:
    schema = schema_from_dict({"id": "id", "features": {"plan": {"kind": "category"}}})
    assert "line 2, id: this line repeats" in refused(write("id,plan\nid,plan\nA,x\n"), schema).message


def test_a_long_id_that_a_spreadsheet_shortened_is_told_and_a_short_one_is_an_id(write: Write) -> None:
    wrong = refused(write("id,hours,plan\n82683900000000001,1,x\n8.26839E+17,2,y\n"))
    assert "line 3, id: '8.26839E+17' is a long id that a spreadsheet has shortened" in wrong.message
    assert read_table(write("id,hours,plan\n1E5,1,x\nAB1,2,y\n"), SCHEMA).ids.to_pylist() == ["1E5", "AB1"]


@pytest.mark.parametrize("text", ["inf", "-inf", "Infinity", "1e999", "1e300", "-3.5e38"])
def test_infinite_numbers_are_refused(write: Write, text: str) -> None:
    assert "not finite" in refused(write(f"id,hours,plan\nA,{text},x\nB,2,y\n")).message
    assert "not finite" in refused(write(f"id,hours,plan\nA,{text},x\nB,word,y\n")).message


def test_a_number_that_is_none_is_shown_cut(write: Write) -> None:
    wrong = refused(write(f"id,hours,plan\nA,{'x' * 500},x\n"))
    assert "x" * 79 + "…" in wrong.details[0]["message"] and "x" * 80 not in wrong.message


@pytest.mark.parametrize("unit", ["hours", "count", "USD", "EUR", "minutes per day", "Seconds"])
def test_a_negative_count_is_refused(write: Write, unit: str) -> None:
    path = write("id,n\nA,-1\n")
    assert "-1.0 is negative" in refused(path, with_features(n={"kind": "number", "unit": unit})).message


@pytest.mark.parametrize("unit", [None, "percent", "degrees"])
def test_other_numbers_may_be_negative(write: Write, unit: str | None) -> None:
    table = read_table(write("id,n\nA,-1\n"), with_features(n={"kind": "number", "unit": unit}))
    assert columns(table)["n"] == [-1.0]


def test_a_negative_price_is_refused(write: Write) -> None:
    schema = schema_from_dict({"subscription": {"price": "p"}, "features": {"n": {"kind": "number"}}})
    assert "negative" in refused(write("n,p\n1,-2\n"), schema).message


def test_a_fraction_where_the_schema_wants_whole_numbers_is_refused(write: Write) -> None:
    schema = with_features(n={"kind": "number", "whole": True})
    assert "not a whole number" in refused(write("id,n\nA,1.5\nB,\nC,2.0\n"), schema).message


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_missing_value_is_refused_where_the_schema_forbids_it(write: Write, kind: str) -> None:
    wrong = refused(write("id,n\nA,1\nB,\n"), with_features(n={"kind": kind, "missing": False}))
    assert [detail["row"] for detail in wrong.details] == [3]


def test_a_cell_is_refused_for_one_reason_only(write: Write) -> None:
    assert len(refused(write("id,n\nA,x\n"), with_features(n={"kind": "number", "missing": False})).details) == 1


def test_a_category_as_long_as_a_letter_is_refused(write: Write) -> None:
    assert read_table(write(f"id,hours,plan\nA,1,{'x' * 200}\n"), SCHEMA)
    assert "longer than 200" in refused(write(f"id,hours,plan\nA,1,{'x' * 201}\n")).message


def test_a_column_of_lists_is_refused_by_name(tmp_path: Path) -> None:
    wrong = refused(parquet(tmp_path, id=["A"], hours=[[1]], plan=["x"]))
    assert [detail["field"] for detail in wrong.details] == [
        "hours"
    ] and "hours: the column holds lists" in wrong.message


def test_columns_of_a_type_that_fits_no_row_are_refused_once_for_the_file(tmp_path: Path) -> None:
    rows = 70_000  # several batches
    path = parquet(tmp_path, id=[str(n) for n in range(rows)], hours=[date(2025, 1, 1)] * rows, plan=[{"a": 1}] * rows)
    wrong = refused(path)
    assert [(d["field"], "where" in d["message"], "row" in d) for d in wrong.details] == [
        ("hours", True, False), ("plan", True, False),
    ]  # fmt: skip


def test_many_problems_are_counted_and_the_first_listed(write: Write) -> None:
    rows = "".join(f"{i},x,p\n" for i in range(150))
    wrong = refused(write("id,hours,plan\n" + rows), max_problems=10)
    assert [detail["row"] for detail in wrong.details] == list(range(2, 12))
    assert "150 of 150 rows" in wrong.message and "the first 10 of 150" in wrong.message


def test_lines_are_right_after_blank_lines_and_line_breaks_in_cells(write: Write) -> None:
    path = write('id,hours,plan\nA,1,"x\ny"\n\nB,word,z\n')
    assert refused(path).details[0]["row"] == 5


def test_rows_of_parquet_are_counted_from_one(tmp_path: Path) -> None:
    wrong = refused(parquet(tmp_path, id=["A", "B"], hours=["1", "x"], plan=["a", "b"]))
    assert wrong.details[0]["row"] == 2 and "row 2" in wrong.message


def test_other_columns_are_noted_not_refused(write: Write) -> None:
    table = read_table(write("id,hours,plan,colour,size,\nA,1,x,red,9,\n"), SCHEMA, label="ignored")
    assert any("size" in note and "colour" not in note for note in table.notes)
    assert any("colour" in note and "schema" in note for note in table.notes)
    assert any("without a name" in note for note in table.notes)


def test_the_same_id_has_the_same_key_anywhere() -> None:
    keys = row_keys(pa.array(["usr_1", "ä", "usr_1"]))
    assert keys.dtype == np.int64 and keys[0] == keys[2] != keys[1]
    assert keys[0] == int.from_bytes(hashlib.blake2b(b"usr_1", digest_size=8).digest(), "little", signed=True)
    assert row_keys(pa.array([], pa.string())).tolist() == []


NUMBERS = st.none() | st.floats(-3.4e38, 3.4e38) | st.integers(-(10**9), 10**9).map(float)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip)


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(st.tuples(NUMBERS, WORDS), min_size=1, max_size=20), st.sampled_from([",", ";", "\t", "|"]))
def test_csv_and_parquet_say_the_same(rows: list[tuple[float | None, str]], delimiter: str) -> None:
    schema = with_features(n={"kind": "number"}, c={"kind": "category"})
    ids = [f"i{k}" for k in range(len(rows))]
    numbers, words = [n for n, _ in rows], [c for _, c in rows]
    with tempfile.TemporaryDirectory() as folder:
        flat = Path(folder) / "t.csv"
        with flat.open("w", newline="", encoding="utf-8") as out:
            csv.writer(out, delimiter=delimiter).writerows([("id", "n", "c"), *zip(ids, numbers, words, strict=True)])
        binary = parquet(Path(folder), id=ids, n=pa.array(numbers, pa.float64()), c=pa.array(words, pa.string()))
        one, other = read_table(flat, schema), read_table(binary, schema)
    assert one.features.equals(other.features) and one.ids.equals(other.ids)
    assert one.features["n"].to_pylist() == numbers


@settings(deadline=None, max_examples=examples(60))
@given(st.lists(st.one_of(st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9).map(lambda x: round(x, 3))), min_size=1))
def test_a_number_is_the_same_category_from_csv_and_from_parquet(values: list[float]) -> None:
    schema = schema_from_dict({"features": {"c": {"kind": "category"}}})
    floats = [float(value) for value in values]
    with tempfile.TemporaryDirectory() as folder:
        flat = Path(folder) / "t.csv"
        flat.write_text("c\n" + "".join(f"{value:.3f}\n" for value in floats))
        binary = parquet(Path(folder), c=[round(value, 3) for value in floats])
        assert read_table(flat, schema).features.equals(read_table(binary, schema).features)


@needs_data
@pytest.mark.parametrize("name, rows, churned, missing", [("telco", 7043, 1869, 11), ("iranian", 3150, 495, 0)])
def test_the_examples_read_the_real_tables(name: str, rows: int, churned: int, missing: int) -> None:
    table = read_table(DATA / name / f"{name}.csv", load_schema(ROOT / "examples" / f"{name}.toml"), label="required")
    assert table.features.num_rows == rows and table.label is not None and pc.sum(table.label).as_py() == churned
    assert sum(column.null_count for column in table.features.columns) == missing
    assert set(table.subscription) == {"price", "plan"} & set(table.schema.subscription.columns())


def test_a_hundred_thousand_rows_take_less_than_two_seconds(tmp_path: Path) -> None:
    rows, random = 100_000, np.random.default_rng(0)
    numbers = {f"n{i}": np.round(random.normal(50, 1, rows), 3) for i in range(12)}
    words = {f"c{i}": np.array(["Basic", "Standard", "Premium"])[random.integers(0, 3, rows)] for i in range(7)}
    path = tmp_path / "big.csv"
    pa.csv.write_csv(pa.table({"id": [f"u{i}" for i in range(rows)], **numbers, **words}), path)
    kinds: dict[str, Any] = {n: {"kind": "number", "unit": "hours"} for n in numbers}
    start = time.process_time()
    read_table(path, with_features(**kinds, **{c: {"kind": "category"} for c in words}))
    assert time.process_time() - start < 2


def test_a_subscription_beside_the_same_customers_newer_one_is_told_which_to_keep(write: Write) -> None:
    schema = schema_from_dict({"id": "id", "subscription": {"start": "start"}, "features": {"n": {"kind": "number"}}})
    told = refused(write("id,start,n\nA,2025-01-01,1\nA,2025-03-01,2\n"), schema).message
    assert "the id 'A' stands in line 2 already, keep the newest subscription of each customer" in told
