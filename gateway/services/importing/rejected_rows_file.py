"""Writes the rejected rows of a file as a file, to be corrected and imported again.

Law: cells are copied as they are, so that a corrected row means what it would have meant in the file; formats that only
the whole file shows (those of its dates and numbers) are converted.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa

from database.importing.staging import StagedRows
from gateway.services.importing.check_file import CheckedFile
from shared.tables.cells import CLOCK, NUMBER
from shared.tables.formula_guard import guard_cell, unguard_cell
from shared.tables.number_formats import NumberFormat
from shared.tables.open import OpenTable
from shared.tables.row_checks import OWN_COLUMNS, REASON_COLUMN, ROW_COLUMN
from shared.tables.value_formats import Recognised

_LOCAL = re.compile(rf"\s*(\d{{1,2}})[./-](\d{{1,2}})[./-](\d{{4}}){CLOCK}\s*")
_YEAR_FIRST = re.compile(rf"\s*(\d{{4}})[./-](\d{{1,2}})[./-](\d{{1,2}}){CLOCK}\s*")


def write_rejects(table: OpenTable, checked: CheckedFile, out: Path) -> None:
    """Write the rejected rows as CSV, each with the reason before it (and its number, in a table without ids)."""
    staging = checked.staging
    with staging.open() as rows, out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=table.delimiter or ",")
        own = [REASON_COLUMN] if staging.schema.id is not None else [REASON_COLUMN, ROW_COLUMN]
        writer.writerow([*own, *(guard_cell(name) for name in _names(table))])
        reasons = _reasons(rows)
        wanted = next(reasons, None)
        for record, cells in _rows(table):
            if wanted is None:
                return
            if record == wanted[0]:
                number = [record - 1] if len(own) > 1 else []
                writer.writerow([guard_cell(wanted[1]), *number, *_converted(cells, table, checked.formats)])
                wanted = next(reasons, None)


def _names(table: OpenTable) -> list[str]:
    return [name for name in table.names if name not in OWN_COLUMNS]


def _reasons(rows: StagedRows) -> Iterator[tuple[int, str]]:
    record, reasons = None, ""
    for n, field, _, expected in rows.rejects():
        text = f"{field}: {expected}" if field else expected
        if n == record:
            reasons += f"; {text}"
            continue
        if record is not None:
            yield record, reasons
        record, reasons = n, text
    if record is not None:
        yield record, reasons


def _rows(table: OpenTable) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield record number and cells of every row, unchanged."""
    if table.delimiter is None:
        yield from _parquet_rows(table)
        return
    rows = ((number, cells) for number, (_, cells) in enumerate(table.records(), start=1))
    next(rows, None)
    yield from rows


def _converted(cells: Sequence[Any], table: OpenTable, formats: Recognised) -> list[Any]:
    """The cells of a row of a CSV, without our own columns: dates as ISO, numbers as programs write them."""
    if table.delimiter is None:
        return list(cells)
    converted = []
    for name, cell in zip_longest((name.strip() for name in table.names), cells):
        if name in OWN_COLUMNS or cell is None:
            continue
        if name in formats.dates:
            converted.append(_iso(cell, formats.dates[name]))
        elif name in formats.numbers:
            converted.append(_plain(cell, formats.numbers[name]))
        else:
            converted.append(_safe(cell))
    return converted


def _plain(cell: str, written: NumberFormat) -> str:
    """Write a number as programs do: the rejected rows alone may not show the format of their column."""
    plain: str = written.plain(pa.array([cell.strip()]))[0].as_py()
    return plain if re.match(NUMBER, plain) else _safe(cell)


def _parquet_rows(table: OpenTable) -> Iterator[tuple[int, Sequence[Any]]]:
    done = 0
    for batch in table.batches():
        rows = len(next(iter(batch.values())))
        lists = [_values(batch[name]) if name in batch else [None] * rows for name in _names(table)]
        for cells in zip(*lists, strict=True):
            yield done + 2, cells
            done += 1


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):  # Python has no nanoseconds
        column = column.cast(pa.string())
    return [guard_cell(v) if isinstance(v, str) and not re.match(NUMBER, v) else v for v in column.to_pylist()]


def _safe(cell: str) -> str:
    """Guard a cell against spreadsheets, which run formulas; an import reads it as the same value."""
    return cell if re.match(NUMBER, cell) else guard_cell(unguard_cell(cell))


def _iso(cell: str, written: str) -> str:
    """Write a date as ISO: the rejected rows alone may not show the format of their column."""
    parts = (_YEAR_FIRST if written[0] == "Y" else _LOCAL).fullmatch(cell)
    if parts is None:
        return _safe(cell)
    at = dict(zip(written.replace(written[1], ""), map(int, parts.groups()), strict=True))
    try:
        return date(at["Y"], at["M"], at["D"]).isoformat()
    except ValueError:
        return cell
