"""Small requests that would be much work or memory are refused within a second, by every route that parses them."""

from __future__ import annotations

import csv
import io
import json
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.services.importing.preview import MAX_CELL, PREVIEW_ROWS, preview
from shared.contracts import arrow
from shared.errors import InvalidTable, MalformedRequest, ServiceError, TooLarge
from shared.parsing_limits import (
    MAX_ARROW_MESSAGES,
    MAX_COLUMNS,
    MAX_FOOTER_BYTES,
    MAX_PREVIEW_CHARACTERS,
)
from shared.proposal.schema_inference import infer_schema
from shared.schema.features import load_schema
from shared.tables.open import open_table
from shared.tables.read import read_table
from tests.ml_service.conftest import Caller, as_stream, make_app, make_undated
from tests.shared.test_parsing_limits import TOML_ATTACKS
from tests.world import World, open_world

__all__ = ["make_app"]

pytestmark = pytest.mark.xdist_group("parser-attacks")
SECONDS, MEGABYTES = 1.0, 150


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Nothing but accounts."""
    made = open_world(tmp_path_factory.mktemp("attacked") / "retainstream.db")
    made.ask("GET", "/api/auth/me")  # what is loaded once is loaded
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def ml(make_app: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Caller:
    """The ML service without a model: what is refused is refused before one is needed."""
    return Caller(make_app(tmp_path_factory.mktemp("no models")).test_client())


class Measured:
    """Limits of a block: a second of this process, and little more memory than it ever had."""

    def __enter__(self) -> None:
        self._peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._began = time.process_time()

    def __exit__(self, *_: object) -> None:
        assert time.process_time() - self._began < SECONDS
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self._peak < MEGABYTES * 1024


def refused(answer: Any) -> None:
    body = answer.get_json()
    assert answer.status_code in (400, 413, 422), body
    assert body["success"] is False
    assert len(answer.get_data()) < 300_000


# --- TOML -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", TOML_ATTACKS)
@pytest.mark.parametrize("door", ["import", "extend", "edit"])
def test_a_schema_that_is_hard_to_read(gateway: World, door: str, attack: str) -> None:
    text = TOML_ATTACKS[attack]
    with Measured():
        if door == "extend":
            answer = gateway.ask("POST", "/api/schema/extend", "admin", json={"schema": text})
        elif door == "edit":
            answer = gateway.ask("PATCH", "/api/schema", "admin", json={"schema": text})
        else:
            form = {"file": (io.BytesIO(b"a,b\n1,2\n"), "a.csv"), "schema": text}
            answer = gateway.ask("POST", "/api/customers/import", data=form)
    refused(answer)


# --- JSON -----------------------------------------------------------------------------------------------------------

JSON_ATTACKS = {
    "deep arrays": '{"a":' + "[" * 100_000,
    "deep objects": '{"a":' * 70 + "1" + "}" * 70,
    "a number of many digits": '{"a":' + "9" * 900_000 + "}",
    "a number beyond any": '{"a":1e400}',
    "many names": json.dumps({f"k{n}": 1 for n in range(60_000)}),
    "many wrong values": json.dumps({"features": {f"k{n}": [1] for n in range(40_000)}}),
    "much": json.dumps({"a": "x" * 2_000_000}),
}


@pytest.mark.parametrize("attack", JSON_ATTACKS)
@pytest.mark.parametrize("path", ["auth/keys", "predictions/score", "schema/extend", "auth/login", "dashboard/predict"])
def test_json_that_is_hard_to_read(gateway: World, path: str, attack: str) -> None:
    with Measured():
        answer = gateway.ask(
            "POST", f"/api/{path}", "admin", data=JSON_ATTACKS[attack], content_type="application/json"
        )
    refused(answer)


ML_JSON = {
    **JSON_ATTACKS,
    "wrong cells": json.dumps({"columns": {"a": [[]] * 200_000}}),
    "much": json.dumps({"columns": {"a": [1] * 2_000_000}}),
}


@pytest.mark.parametrize("attack", ML_JSON)
def test_json_that_is_hard_to_read_for_the_ml_service(ml: Caller, attack: str) -> None:
    with Measured():
        answer = ml("POST", "/api/predict", data=ML_JSON[attack], content_type="application/json")
    refused(answer)


# --- forms, addresses, headers --------------------------------------------------------------------------------------

EDGE = "multipart/form-data; boundary=edge"
PART = b"--edge\r\nContent-Disposition: form-data; name=file; filename=a"
FORMS = {
    "many fields": b"".join(b"--edge\r\nContent-Disposition: form-data; name=k\r\n\r\n1\r\n" for _ in range(3_000)),
    "a large field": b"--edge\r\nContent-Disposition: form-data; name=schema\r\n\r\n" + b"x" * 3_000_000,
    "a part's long header": PART + b"; a=b" * 90_000 + b"\r\n\r\n1\r\n--edge--\r\n",
    "nothing but line ends": b"\r\n" * 2_000_000,
    "line ends in a file": PART + b"\r\n\r\n" + b"\r" * 5_000_000 + b"\r\n--edge--\r\n",
    "edges that are none": b"--edge" * 800_000,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_is_hard_to_read(gateway: World, form: str) -> None:
    with Measured():
        refused(gateway.ask("POST", "/api/customers/import", data=FORMS[form], content_type=EDGE))


@pytest.mark.parametrize(
    "query", ["&".join(f"plan=x{n}" for n in range(20_000)), "after=" + "A" * 100_000, "q=" + "x" * 100_000]
)
def test_an_address_that_is_hard_to_read(gateway: World, query: str) -> None:
    with Measured():
        refused(gateway.ask("GET", f"/api/customers?{query}"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("If-None-Match", "W/" * 4_000), ("If-None-Match", '"' * 8_000), ("If-None-Match", " " * 8_000 + "x"),
     ("Idempotency-Key", "x" * 8_000), ("Prefer", "wait=" + "9" * 8_000), ("Prefer", ";" * 8_000),
     ("Cookie", "a=b;" * 2_000), ("Accept", "a/b;q=0.1," * 800), ("X-Request-ID", "x" * 8_000)],
)  # fmt: skip
def test_a_header_of_any_kind_costs_nothing(gateway: World, name: str, value: str) -> None:
    with Measured():
        assert gateway.ask("GET", "/api/dashboard/history", headers={name: value}).status_code == 200


# --- files ----------------------------------------------------------------------------------------------------------


def csv_of(columns: int, rows: int = 1, cell: str = "1") -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([[f"c{n}" for n in range(columns)], *([[cell] * columns] * rows)])
    return out.getvalue().encode()


def parquet_of(table: pa.Table, **how: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **how)
    return out.getvalue()


def large_footer() -> bytes:
    table = pa.table({"user_id": ["a"]}).replace_schema_metadata({"x": "y" * (MAX_FOOTER_BYTES + 1)})
    return parquet_of(table)


FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a CSV of 300,000 columns": (lambda: csv_of(300_000), "300,000 columns"),
    "a CSV of one column too many": (lambda: csv_of(MAX_COLUMNS + 1), "2,001 columns"),
    "a CSV whose header is all commas": (lambda: b"," * 3_000_000 + b"\n1\n", "columns, and at most"),
    "a CSV of semicolons": (lambda: csv_of(50_000).replace(b",", b";"), "columns, and at most"),
    "a Parquet file of too many columns": (
        lambda: parquet_of(pa.table({f"c{n}": [1] for n in range(MAX_COLUMNS + 1)})), "columns, and at most"
    ),
    "a Parquet file of much metadata": (large_footer, "larger than 16 MB"),
}  # fmt: skip
READERS: dict[str, Callable[[Path], Any]] = {
    "import": open_table, "proposal": infer_schema, "command": lambda path: read_table(path, load_schema("retainstream")),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_hard_to_read(tmp_path: Path, file: str, reader: str) -> None:
    make, says = FILES[file]
    path = tmp_path / "table"
    path.write_bytes(make())
    with pytest.raises(InvalidTable, match=says), Measured():
        READERS[reader](path)


def shown(world: World, content: bytes) -> dict[str, Any]:
    path = world.database.path.parent / "table.csv"
    path.write_bytes(content)
    return world.do("preview", preview, {"path": str(path), "file_name": "table.csv"})


def test_a_preview_of_as_many_columns_as_there_may_be_is_shown_and_small(make_world: Callable[..., World]) -> None:
    found = shown(make_world(), csv_of(MAX_COLUMNS, 40, "x" * 100))
    assert (len(found["columns"]), len(found["rows"])) == (MAX_COLUMNS, PREVIEW_ROWS)
    assert sum(len(cell) for row in found["rows"] for cell in row) <= MAX_PREVIEW_CHARACTERS
    assert found["columns"][-1] == "c1999"


def test_a_preview_of_a_usual_table_shows_its_cells_up_to_the_usual_length(make_world: Callable[..., World]) -> None:
    found = shown(make_world(), csv_of(30, 3, "x" * 500))
    assert {len(cell) for row in found["rows"] for cell in row} == {MAX_CELL}


@pytest.mark.parametrize("columns", [300_000, MAX_COLUMNS + 1])
def test_a_preview_of_more_columns_is_refused(make_world: Callable[..., World], columns: int) -> None:
    with pytest.raises(ServiceError, match=f"{columns:,} columns, and at most"):
        shown(make_world(), csv_of(columns))


# --- Arrow ----------------------------------------------------------------------------------------------------------


def stream_of(table: pa.Table, compression: str | None = None) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return out.getvalue()


def many_batches() -> bytes:
    batch = pa.record_batch({"a": pa.array([1], pa.int8())})
    return arrow.encode(batch.schema, [batch] * (MAX_ARROW_MESSAGES + 1))


def meant_often(text: str, rows: int) -> pa.Table:
    return pa.table({"a": pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, "int8")), pa.array([text]))})


def runs(rows: int) -> pa.Table:
    return pa.table({"a": pa.RunEndEncodedArray.from_arrays(pa.array([rows], pa.int32()), pa.array([1.0]))})


STREAMS: dict[str, Callable[[], bytes]] = {
    "zeros in zstd": lambda: stream_of(pa.table({"a": np.zeros(4_000_000)}), "zstd"),
    "zeros in lz4": lambda: stream_of(pa.table({"a": np.zeros(4_000_000)}), "lz4"),
    "a dictionary in zstd": lambda: stream_of(meant_often("x" * 1_000_000, 10), "zstd"),
    "nulls": lambda: stream_of(pa.table({f"c{n}": pa.nulls(10_000_000) for n in range(10)})),
    "one number two thousand million times": lambda: stream_of(runs(2**31 - 1)),
    "one text a million times": lambda: stream_of(meant_often("x" * 1_000_000, 1_000_000)),
    "many columns": lambda: stream_of(pa.table({f"c{n}": [1] for n in range(5_000)})),
    "much metadata": lambda: stream_of(pa.table({"a": [1]}).replace_schema_metadata({"x": "y" * 9_000_000})),
    "many batches": many_batches,
}


@pytest.mark.parametrize("stream", STREAMS)
def test_columns_that_unpack_to_more_than_they_seem(stream: str) -> None:
    body = STREAMS[stream]()
    with pytest.raises((TooLarge, MalformedRequest)), Measured():
        arrow.decode(body)


@pytest.mark.parametrize("path", ["predict", "train", "backtest"])
@pytest.mark.parametrize("stream", ["zeros in zstd", "nulls", "one text a million times"])
def test_columns_that_unpack_to_more_than_they_seem_over_http(ml: Caller, path: str, stream: str) -> None:
    body = STREAMS[stream]()
    with Measured():
        answer = ml("POST", f"/api/{path}", data=body, content_type="application/vnd.apache.arrow.stream")
    refused(answer)


@pytest.mark.parametrize("path", ["train", "backtest"])
@pytest.mark.parametrize(
    "metadata",
    [b"[" * 100_000, b'{"a":' * 70 + b"1" + b"}" * 70, b'{"seed":' + b"9" * 5_000 + b"}", b'{"seed":1e400}',
     b'{"a":"' + b"x" * 3_000_000 + b'"}', b"{" + b'"k":1,' * 50_000 + b'"k":1}'],
    ids=["deep", "deep objects", "digits", "beyond any number", "much", "many names"],
)  # fmt: skip
def test_metadata_that_are_hard_to_read(ml: Caller, path: str, metadata: bytes) -> None:
    table = pa.table({"label": pa.array([0, 1], pa.int8())}).replace_schema_metadata({arrow.METADATA_KEY: metadata})
    with Measured():
        answer = ml("POST", f"/api/{path}", data=stream_of(table), content_type="application/vnd.apache.arrow.stream")
    refused(answer)


def test_the_gateways_own_streams_are_read() -> None:
    made = make_undated(rows=50)
    table = arrow.decode(as_stream(made))
    assert (table.num_rows, arrow.metadata(table)["trials"]) == (50, 1)
    assert arrow.decode(stream_of(pa.table({"a": pa.array(["x", "y"] * 1_000).dictionary_encode()}))).num_rows == 2_000
