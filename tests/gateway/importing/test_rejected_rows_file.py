"""The rejected rows as a file: put right and imported, they are what they would have been at once."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from database.customers.customer_base import customers_table
from database.jobs import jobs
from gateway.services.importing import import_file, uploads
from shared.clock import iso
from shared.schema.features import Schema, schema_from_dict
from tests.world import World

FEATURES = {"hours": {"kind": "number", "unit": "hours"}, "city": {"kind": "category"}, "paid": {"kind": "number"}}
WITH_ID = schema_from_dict({"id": "id", "features": FEATURES, "subscription": {"start": "since", "price": "price"}})
WITHOUT_ID = schema_from_dict({"features": FEATURES})


def bring(world: World, path: Path, schema: Schema, **more: Any) -> tuple[dict[str, Any], Path]:
    params = {"path": str(path), "file_name": path.name, "schema": schema.as_dict(), "as_of": "2026-06-01", **more}
    result = world.do("import", import_file.run, params)
    job_id = int(result["rejects_file"].split("/")[-2]) if result["rejects_file"] else 0
    return result, uploads.rejects_path(world.settings.data_folder, job_id)


def put_right(rejects: Path, **cells: str) -> list[list[str]]:
    """Overwrite a column in every row, in place; what the file was, the header first."""
    text = rejects.read_text(encoding="utf-8")
    delimiter = ";" if ";" in text.splitlines()[0] else ","
    rows = list(csv.reader(text.splitlines(), delimiter=delimiter))
    mended = [rows[0], *([cells.get(name, c) for name, c in zip(rows[0], row, strict=True)] for row in rows[1:])]
    with rejects.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(mended)
    return rows


def present(world: World, schema: Schema) -> dict[str, tuple[Any, ...]]:
    wide = customers_table(schema)
    with world.database.read() as connection:
        rows = connection.execute(select(wide.c.user_id, wide.c.hours, wide.c.city, wide.c.paid, wide.c.monthly_price))
        return {row[0]: tuple(row[1:]) for row in rows}


def parquet(path: Path, hours: list[float | None]) -> Path:
    stamps = [datetime(2025, 1, k, 23, 30, tzinfo=UTC) for k in (1, 2, 3, 4)]
    columns = {
        "id": pa.array(["a", "=b", "'c", "d"]),
        "hours": pa.array(hours),
        "city": pa.array(["=1+1", "Köln, am Rhein", "'=2", "-5"]).dictionary_encode(),
        "paid": pa.array([True, False, True, None]),
        "since": pa.array(stamps, pa.timestamp("ns", "Europe/Berlin")),
        "price": pa.array([0.1, 1 / 3, 9.0, 1e-7]),
        "left_out": pa.array([date(2025, 1, 1)] * 4),
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("schema", [WITH_ID, WITHOUT_ID], ids=["with ids", "without ids"])
def test_rejected_rows_of_a_parquet_file_come_back_as_csv_and_go_in_unchanged(
    world: World, make_world: Any, tmp_path: Path, schema: Schema
) -> None:
    told, rejects = bring(world, parquet(tmp_path / "a.parquet", [1.5, -2, -3, -4]), schema, keep_good=True)
    assert (told["accepted"], told["rejected"]) == (1, 3)
    assert [(d["row"], d["field"], d["value"]) for d in told["rejects"]] == [
        (2, "hours", "-2.0"), (3, "hours", "-3.0"), (4, "hours", "-4.0")
    ]  # fmt: skip
    rows = put_right(rejects, hours="0.125")
    assert rows[0][0] == "retainstream_reason"
    assert all("negative" in row[0] for row in rows[1:])
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row), "no spreadsheet runs a cell"
    again, _ = bring(world, rejects, schema)
    assert (again["accepted"], again["rejected"], again["customers_new"]) == (3, 0, 3)
    other = make_world()
    bring(other, parquet(tmp_path / "b.parquet", [1.5, 0.125, 0.125, 0.125]), schema)
    assert present(world, schema) == present(other, schema)


def test_rejected_rows_of_a_table_without_ids_keep_their_numbers(world: World, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("hours,city,paid\n1,x,1\nmany,y,0\n3,z,1\ntoo,few\n-5,w,0\n", encoding="utf-8")
    told, rejects = bring(world, path, WITHOUT_ID, keep_good=True)
    assert (told["accepted"], told["rejected"]) == (2, 3)
    rows = list(csv.reader(rejects.read_text(encoding="utf-8").splitlines()))
    assert rows[0][:2] == ["retainstream_reason", "retainstream_row"]
    assert [(row[1], row[2]) for row in rows[1:]] == [("2", "many"), ("4", "too"), ("5", "-5")]
    rejects.write_text(
        "retainstream_reason,retainstream_row,hours,city,paid\nx,2,7,y,0\nx,4,8,v,1\n,5,9,w,0\n", encoding="utf-8"
    )
    bring(world, rejects, WITHOUT_ID)
    assert {key: row[0] for key, row in present(world, WITHOUT_ID).items()} == {
        "1": 1.0, "2": 7.0, "3": 3.0, "4": 8.0, "5": 9.0
    }  # fmt: skip


@pytest.mark.parametrize("written, days", [
    ("M/D/Y", ["12/31/2024", "05/04/2025", "13/31/2024"]), ("Y/M/D", ["2024/12/31", "2025/5/4", "2024/13/31"]),
    ("D.M.Y", ["31.12.2024 9:05", "04.05.2025 12:00:00", "31.13.2024"]),
])  # fmt: skip
def test_dates_that_only_the_whole_file_could_tell_apart_are_written_out_in_the_rejects(
    world: World, tmp_path: Path, written: str, days: list[str]
) -> None:
    path = tmp_path / "a.csv"
    lines = ["id;hours;city;paid;since;price", f"a;1,5;x;ja;{days[0]};9,5", f"b;viel;'=x;nein;{days[1]};9,5",
             f"c;1;z;ja;{days[2]};9,5"]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    told, rejects = bring(world, path, WITH_ID, keep_good=True)
    assert told["recognised"]["dates"] == {"since": written}
    rows = put_right(rejects, hours="2,5", since="2025-05-04")
    assert [row[5] for row in rows[1:]] == ["2025-05-04", days[2]]
    bring(world, rejects, WITH_ID)
    assert present(world, WITH_ID)["b"] == (2.5, "=x", 0.0, 9.5)


def test_numbers_that_only_the_whole_file_explains_are_written_out_in_the_rejects(world: World, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = ["id;hours;city;paid;since;price", "a;1,5;x;ja;2024-12-31;9,50", "b;18.500;z;nein;soon;€ 9,50"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    told, rejects = bring(world, path, WITH_ID, keep_good=True)
    assert told["rejected"] == 1
    put_right(rejects, since="2025-05-04")
    bring(world, rejects, WITH_ID)
    assert present(world, WITH_ID)["b"] == (18500.0, "z", 0.0, 9.5)


def test_no_cache_keeps_rejected_rows(world: World) -> None:
    user = world.person("analyst", "owner@example.com")
    with world.database.write() as connection:
        params = {"path": "a", "file_name": "a", "schema": {}}
        job = jobs.create(connection, kind="import", params=params, now=iso(world.clock()), user_id=user.id)
    rows = b"reason,who\nx,ann\n"
    uploads.rejects_path(world.settings.data_folder, job).write_bytes(rows)
    bearer = {"Authorization": f"Bearer {world.login('owner@example.com').get_json()['data']['token']}"}
    answer = world.client.get(f"/api/customers/import/{job}/rejects", headers=bearer)
    assert (answer.status_code, answer.get_data()) == (200, rows)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
