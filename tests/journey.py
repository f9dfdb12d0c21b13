"""A table's way through the product, in and out, by REST with the worker or by commands alone.

Both ways give the same four things to compare: the import's result, everybody as CSV and as Parquet, and the ledger.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import requests

from shared.tables.formula_guard import unguard_cell
from tests.stack import Api, Stack

BLOCK = 1024 * 1024
#: Fields that differ between two runs over the same facts.
OF_THE_RUN = {"prediction_date", "id", "run_id", "outcome_known_at"}


@dataclass(frozen=True)
class Came:
    """The result of a table's way: the import's result, and the files that came out."""

    imported: dict[str, Any]
    customers: Path
    parquet: Path
    ledger: Path

    def everybody(self) -> pa.Table:
        return read_csv(self.customers)


def read_csv(path: Path) -> pa.Table:
    """A CSV file, every cell as the text that stands there, a spreadsheet's guard taken off."""
    with path.open("rb") as file:
        names = next(pcsv.open_csv(file).__iter__()).schema.names
    options = pcsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    found = pcsv.read_csv(path, convert_options=options, parse_options=pcsv.ParseOptions(newlines_in_values=True))
    return found.rename_columns([unguard_cell(name) for name in names])


def as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Texts as numbers, blank as null; None where one of them is not a number."""
    trimmed = pc.utf8_trim_whitespace(column)
    try:
        return pc.if_else(pc.equal(trimmed, ""), None, trimmed).cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def differing(given: pa.ChunkedArray, found: pa.ChunkedArray) -> int:
    """How many cells say something else: numbers are compared as numbers, texts without the space around them."""
    a, b = as_numbers(given), as_numbers(found)
    if a is None or b is None:
        a, b = pc.utf8_trim_whitespace(given), pc.utf8_trim_whitespace(found)
    same = pc.or_(pc.fill_null(pc.equal(a, b), False), pc.and_(pc.is_null(a), pc.is_null(b)))
    return len(same) - (pc.sum(same).as_py() or 0)


def uploaded(api: Api, path: str, file: Path, **fields: str) -> requests.Response:
    """Send a file of any length as multipart, a block at a time; the answer is the job's."""
    edge = "an-edge-that-no-table-holds"
    head = "".join(
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary={edge}", "Prefer": "respond-async"}
    with file.open("rb") as read:
        body = _Parts(head.encode(), read, f"\r\n--{edge}--\r\n".encode())
        return api.ask("POST", path, data=body, headers=kind, timeout=600)


class _Parts:
    """A body of a known length that is read while it is sent."""

    def __init__(self, head: bytes, file: BinaryIO, tail: bytes) -> None:
        self._parts: list[BinaryIO] = [BytesIO(head), file, BytesIO(tail)]
        self._size = len(head) + os.fstat(file.fileno()).st_size + len(tail)

    def __len__(self) -> int:
        return self._size

    def read(self, size: int) -> bytes:
        while self._parts:
            if block := self._parts[0].read(size):
                return block
            self._parts.pop(0)
        return b""


def done(api: Api, answer: requests.Response, seconds: float) -> dict[str, Any]:
    """The result of a job that was to be done."""
    assert answer.status_code == 202, answer.text
    job = api.ended(int(answer.headers["Location"].rsplit("/", 1)[1]), seconds)
    assert job["state"] == "done", job["error"]
    return dict(job["result"])


def streamed(api: Api, path: str, out: Path, *, seconds: float = 0) -> tuple[int, str, str]:
    """Write a streamed answer to a file; its bytes, SHA-256 and ETag. So long it asks again if it is told to."""
    digest, size, deadline = hashlib.sha256(), 0, time.monotonic() + seconds
    answer = api.get(path, stream=True, timeout=600)
    while answer.status_code == 503 and "Retry-After" in answer.headers and time.monotonic() < deadline:
        time.sleep(float(answer.headers["Retry-After"]))
        answer = api.get(path, stream=True, timeout=600)
    assert answer.status_code == 200, answer.text
    with answer, out.open("wb") as file:
        for block in answer.iter_content(BLOCK):
            digest.update(block)
            size += file.write(block)
    return size, digest.hexdigest(), answer.headers.get("ETag", "").strip('"')


def by_rest(stack: Stack, table: Path, *, schema: str, as_of: str, seconds: float = 90) -> dict[str, Any]:
    """Import a table, and return the job's result."""
    api = stack.person("analyst")
    text = schema if schema == "retainstream" else Path(schema).read_text(encoding="utf-8")
    return done(api, uploaded(api, "/api/customers/import", table, schema=text, as_of=as_of), seconds)


def scored_by_rest(stack: Stack, seconds: float = 90) -> dict[str, Any]:
    """Score everybody who is active, and return the job's result."""
    api = stack.person("analyst")
    return done(api, api.post("/api/predictions/generate", {}, headers={"Prefer": "respond-async"}), seconds)


def out_by_rest(stack: Stack, imported: dict[str, Any], folder: Path, seconds: float = 90) -> Came:
    """Everything that can be exported, each file compared with the count and checksum that the product states."""
    api = stack.person("analyst")
    came = Came(imported, folder / "rest.csv", folder / "rest.parquet", folder / "rest-ledger.csv")
    for path, out in (("customers/export", came.customers), ("predictions/export", came.ledger)):
        size, sha256, etag = streamed(api, f"/api/{path}", out)
        stated = api.ask("GET", f"/api/{path}/manifest", timeout=600).json()["data"]
        assert (stated["bytes"], stated["sha256"], stated["etag"]) == (size, sha256, etag)
        assert stated["rows"] == read_csv(out).num_rows
    told = done(api, api.get("/api/customers/export?format=parquet"), seconds)
    size, sha256, _ = streamed(api, told["file"], came.parquet)
    assert (told["bytes"], told["sha256"]) == (size, sha256)
    assert told["rows"] == pq.read_metadata(came.parquet).num_rows
    return came


def said(stack: Stack, *words: str, seconds: float = 120) -> str:
    """The text that a command printed to either stream; it has to succeed."""
    ran = stack.command(*words, timeout=seconds)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout + ran.stderr


def by_command(stack: Stack, table: Path, *, schema: str, as_of: str, seconds: float = 120) -> dict[str, Any]:
    """Import a table by command, and return the result in the job's row."""
    said(stack, "import", str(table), "--schema", schema, "--as-of", as_of, seconds=seconds)
    return dict(json.loads(stack.value("SELECT result_json FROM jobs WHERE kind = 'import' ORDER BY id DESC LIMIT 1")))


def out_by_command(stack: Stack, imported: dict[str, Any], folder: Path, seconds: float = 120) -> Came:
    """The same files by command."""
    came = Came(imported, folder / "cli.csv", folder / "cli.parquet", folder / "cli-ledger.csv")
    for content, out in (("customers", came.customers), ("customers", came.parquet), ("predictions", came.ledger)):
        told = said(stack, "export", content, "-o", str(out), seconds=seconds)
        stated = re.search(r"Wrote ([\d,]+) rows to .*; SHA-256 ([0-9a-f]{64})\.", told)
        assert stated is not None, told
        with out.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == stated[2]
        rows = pq.read_metadata(out).num_rows if out.suffix == ".parquet" else read_csv(out).num_rows
        assert int(stated[1].replace(",", "")) == rows
    return came


def check_whole(came: Came, source: pa.Table, ids: list[str], id_name: str, ignored: frozenset[str]) -> None:
    """Fail unless every row that went in came out, each cell as it was, and Parquet says what CSV says."""
    told = came.imported
    assert (told["total"], told["accepted"], told["rejected"]) == (len(ids), len(ids), 0)
    out = came.everybody()
    assert out.column(id_name).to_pylist() == ids
    for name in source.column_names:
        if name not in ignored:
            assert differing(source.column(name), out.column(name)) == 0, name
    check_parquet(came, out)


def check_parquet(came: Came, out: pa.Table) -> None:
    """Fail unless the Parquet file holds what the CSV holds."""
    for batch, at in _batches(came.parquet):
        assert batch.schema.names == out.column_names
        part = out.slice(at, batch.num_rows)
        for name in out.column_names:
            texts = pc.fill_null(batch.column(name).cast(pa.string()), "")
            assert differing(pa.chunked_array([texts]), part.column(name)) == 0, name
    assert at + batch.num_rows == out.num_rows


def _batches(path: Path) -> Iterator[tuple[pa.RecordBatch, int]]:
    at = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(65_536):
            yield batch, at
            at += batch.num_rows


def check_same(one: Path, other: Path) -> None:
    """Fail unless two exports hold the same, apart from which run wrote them and when."""
    a, b = read_csv(one), read_csv(other)
    assert a.column_names == b.column_names
    for name in a.column_names:
        if name not in OF_THE_RUN:
            assert a.column(name).equals(b.column(name)), name
