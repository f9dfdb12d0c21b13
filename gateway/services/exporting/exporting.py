"""Exports as streams of bytes: CSV and NDJSON, written while the client reads them.

Law: one read transaction from the first row to the last; only one chunk is held in memory. Text that a spreadsheet
would run is guarded in CSV (`shared.tables.formula_guard`) and nowhere else; numbers stay numbers. No Arrow here: the
web process streams these. Parquet exports are in `gateway.services.exporting.parquet`, in the worker.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from itertools import islice
from typing import Any, Literal

import orjson
import structlog

from database.accounts import audit
from database.accounts.audit import Actor
from database.customers import customer_base
from database.customers.filters import Filters
from database.customers.listing import Sort
from database.engine.session import Connection, Database
from database.exporting import campaign_list, exports, ledger
from database.exporting.movers_list import movers_list
from database.exporting.risk_list import select_risk_list
from database.exporting.selection import Column, Selection
from database.scoring import runs
from gateway.services.customers import filtering
from gateway.services.customers.filtering import Pair
from gateway.services.customers.paging import listed
from gateway.services.jobs.params import Content
from gateway.services.score_changes import moving
from gateway.services.scoring.reasons import in_words
from shared.errors import NoCustomers, invalid
from shared.schema.features import Schema
from shared.tables.formula_guard import guard_cell

log = structlog.get_logger()

Format = Literal["csv", "ndjson"]
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
#: Parameters of the query string that are not filters.
NAMES = ("content", "format")
#: Parameters of the risk list alone: its order, and how many customers it has at most.
OF_RISK = ("sort", "top")
MOST = 10_000_000
ROWS_AT_ONCE = 500
ASK_EVERY_S = 1.0
NO_CUSTOMERS = "There are no customers yet: import a table first."
#: Counterparts of labels: where customers who left are `Yes`, those who stayed are `No`.
STAYED = {"1": "0", "yes": "No", "true": "false", "y": "N", "t": "F"}


def select(
    connection: Connection, content: Content, pairs: Sequence[Pair], *, unsure_below: float
) -> tuple[Schema, Selection]:
    """Select the rows of an export, without reading them yet.

    Raises
    ------
    NoCustomers
        The database is empty.
    InvalidInput
        A filter can't be used.
    """
    present = customer_base.get(connection)
    if present is None:
        raise NoCustomers(NO_CUSTOMERS)
    schema = present.schema
    if content == "predictions":
        ledger_filters = filtering.parse_ledger(pairs, allowed=NAMES)
        return schema, ledger.predictions(connection, schema, ledger_filters)
    if content == "campaign":
        values = dict(pairs)
        only = values.get("contact") != "any"
        return schema, campaign_list.campaign(connection, int(values["campaign"]), is_contactable=only)
    if content == "movers":
        return schema, _movers(connection, schema, dict(pairs))
    allowed = (*NAMES, *OF_RISK) if content == "risk" else NAMES
    filters = filtering.parse(schema, pairs, unsure_below=unsure_below, allowed=allowed)
    if filters.is_contactable is None and content != "segments":
        # Held-out customers must not get into a list that leaves by mistake; totals name nobody.
        filters = replace(filters, is_contactable=True)
    if content == "customers":
        return schema, exports.customers(connection, schema, filters, negative_label(schema))
    if content == "risk":
        return schema, _risk(connection, schema, listed(filters, pairs), pairs)
    return schema, exports.segments(connection, schema, filters)


def _movers(connection: Connection, schema: Schema, values: Mapping[str, str]) -> Selection:
    days = (date.fromisoformat(values[name]) if name in values else None for name in ("since", "until"))
    asked = moving.question_of(connection, moving.Dates(*days), values["direction"], float(values["cut"]))
    return movers_list(connection, schema, asked, is_contactable=values.get("contact") != "any")


def _risk(connection: Connection, schema: Schema, filters: Filters, pairs: Sequence[Pair]) -> Selection:
    """Select the risk list in its order, up to its length, with reasons as sentences."""
    given = {name: value for name, value in pairs if name in OF_RISK}
    top = given.get("top")
    if top is not None and not (top.isascii() and top.isdigit() and 1 <= int(top) <= MOST):
        raise invalid("top", f"expected a whole number from 1 to {MOST:,}")
    sort = filtering.parse_sort(schema, given["sort"]) if "sort" in given else Sort()

    def sentence(feature: str, value: Any, points: float) -> str:
        return in_words(schema, feature, value, points)["text"]

    return select_risk_list(connection, schema, filters, sentence, sort=sort, top=None if top is None else int(top))


def record_export(
    database: Database, *, content: Content, form: Format, pairs: Sequence[Pair], at: str, actor: Actor
) -> None:
    """Audit the start of an export, with the names of its filters; their values may be personal data."""
    filtered = ", ".join(sorted({name for name, _ in pairs if name not in NAMES})) or "none"
    with database.write() as connection:
        audit.record(
            connection, "export.streamed", at=at, actor=actor, subject=f"{content} as {form}, filters: {filtered}"
        )


def negative_label(schema: Schema) -> str:
    """Return a value for the label's column that does not mean churned; the database keeps 0 and 1 only."""
    means = [value.strip().casefold() for value in schema.positive]
    words = (*(STAYED[word] for word in means if word in STAYED), *STAYED.values())
    return next((word for word in words if word.casefold() not in means), "stayed")


class ReaderTooSlow(BrokenPipeError):
    """The reader of an export takes too long; the export ends as after a disconnect."""

    def __init__(self) -> None:
        super().__init__(errno.EPIPE, "The export took longer than EXPORT_STREAM_MINUTES.")


class ReaderShutOut(BrokenPipeError):
    """The reader of an export may no longer read it; the export ends as after a disconnect."""

    def __init__(self) -> None:
        super().__init__(errno.EPIPE, "The reader's access has ended.")


class Export:
    """An export being read: iterate it for its bytes, then read `rows` and `sha256`; close it in any case.

    Parameters
    ----------
    content, form, pairs
        The table, the format, and the filters as (name, value).
    unsure_below
        CONFIDENCE_THRESHOLD.
    time_limit_s
        Seconds that the reader may take; no limit if absent.
    may_read
        Whether the reader still may, asked once a second: an export can take minutes.

    Attributes
    ----------
    columns
        The columns in order.
    rows, size, sha256
        Rows and bytes read so far, and the SHA-256 of those bytes in hexadecimal.
    etag
        Entity tag: the same for the same table, format, filters and data.
    """

    def __init__(
        self,
        database: Database,
        content: Content,
        form: Format,
        pairs: Sequence[Pair],
        *,
        unsure_below: float,
        time_limit_s: float = math.inf,
        may_read: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ends_at_s, self._asked_at_s = time.monotonic() + time_limit_s, time.monotonic()
        self._may_read = may_read
        self.content, self.form = content, form
        self.pairs = [pair for pair in pairs if pair[0] not in NAMES]
        self.rows = self.size = 0
        self._digest = hashlib.sha256()
        self._open = ExitStack()
        try:
            connection = self._open.enter_context(database.read())
            self.schema, selection = select(connection, content, pairs, unsure_below=unsure_below)
            self.published = runs.published(connection)
            state = [exports.state(connection), content, form, self.pairs, self.schema.checksum(), unsure_below]
            self.etag = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:32]
            self.columns = selection.columns
            self._parts = _written(form, selection)
        except BaseException:
            self._open.close()
            raise

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call this when the export is closed, however it ends."""
        self._open.callback(callback)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            self._check_reader()
            rows, part = next(self._parts)
        except BaseException:
            self.close()  # after the last part too: the caller may forget to
            raise
        self.rows += rows
        self._digest.update(part)
        self.size += len(part)
        return part

    def _check_reader(self) -> None:
        now_s = time.monotonic()
        if now_s > self._ends_at_s:
            log.warning("export_cut_off", content=self.content, rows=self.rows)
            raise ReaderTooSlow
        if now_s - self._asked_at_s > ASK_EVERY_S:
            self._asked_at_s = now_s
            if not self._may_read():
                log.warning("export_shut_out", content=self.content, rows=self.rows)
                raise ReaderShutOut

    def close(self) -> None:
        """End the transaction, and the statement that is being read. Safe to call twice."""
        self._open.close()

    def __del__(self) -> None:
        # An export that the caller drops, even before its first row, frees its slot and its connection.
        if hasattr(self, "_open"):
            self.close()

    def manifest(self) -> dict[str, Any]:
        """Return the size and checksum of what was read, and the run and schema it comes from."""
        return {
            "content": self.content,
            "format": self.form,
            "filters": [list(pair) for pair in self.pairs],
            "columns": [column.name for column in self.columns],
            "rows": self.rows,
            "bytes": self.size,
            "sha256": self.sha256,
            "etag": self.etag,
            "schema_checksum": self.schema.checksum(),
            "model_version": self.published.model_version if self.published else None,
            "as_of": self.published.as_of if self.published else None,
        }


def _written(form: Format, selection: Selection) -> Iterator[tuple[int, bytes]]:
    """Yield (number of rows, their bytes). As a method it would keep a reference to its own `Export`."""
    write = _csv_lines if form == "csv" else _json_lines
    if form == "csv":
        yield 0, _csv_lines((), [[guard_cell(column.name) for column in selection.columns]])
    while chunk := list(islice(selection.rows, ROWS_AT_ONCE)):
        yield len(chunk), write(selection.columns, chunk)


def _csv_lines(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> bytes:
    """Write rows as RFC 4180 in UTF-8 without a byte order mark; an unknown value is blank."""
    texts = [k for k, column in enumerate(columns) if column.kind == "text"]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for row in rows:
        cells = list(row)
        for k in texts:
            if cells[k] is not None:
                cells[k] = guard_cell(cells[k])
        writer.writerow(cells)
    return out.getvalue().encode()


def _json_lines(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> bytes:
    """Write rows as one JSON object a line; an unknown value is null."""
    names = [column.name for column in columns]
    return b"".join(orjson.dumps(dict(zip(names, row, strict=True))) + b"\n" for row in rows)
