"""Columns of numbers as the image of a SQLite database with one table, which `database.engine.sqlite.columns` copies.

Law: numbers are stored unchanged, NaN as NULL; the image is one that SQLite could have written itself (its file format
is documented, and promised to stay readable: sqlite.org/fileformat2.html).

The driver binds single values only: creating and binding them would take longer than storing them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt

TABLE = "incoming_rows"
#: From here on row numbers take four bytes, up to 2**28: rows of numbers are then all of one size.
FIRST_ROW = 2**21
PAGE = 32_768
#: This many rows of 127 bytes fit under one interior page, so that the table's tree has two levels.
MOST_ROWS = 799_000
#: SQLite's serial type and byte order for each type of number.
_KINDS = {"f8": (7, ">f8"), "b1": (1, ">i1"), "i1": (1, ">i1"), "i2": (2, ">i2"), "i4": (4, ">i4"), "i8": (6, ">i8")}
LEAF, _INNER = 13, 5
Array = npt.NDArray[Any]


def image(columns: Mapping[str, Array]) -> memoryview:
    """Return a database whose table `TABLE` has these columns, with rows numbered from `FIRST_ROW`.

    Parameters
    ----------
    columns
        By name, in order; float64, bool or signed integers, all of shape (rows,), at least one row.

    Raises
    ------
    ValueError
        There are more than `MOST_ROWS` rows, or rows of 128 bytes or more (about fifteen columns).
    """
    rows = len(next(iter(columns.values())))
    cell = _cell(columns)
    if rows > MOST_ROWS or cell.itemsize - 5 > 127:
        raise ValueError(f"{rows} rows of {cell.itemsize - 5} bytes: at most {MOST_ROWS} of 127 bytes fit.")
    each = (PAGE - 8) // (cell.itemsize + 2)
    leaves = -(-rows // each)
    above = int(leaves > 1)
    pages = np.zeros((1 + above + leaves, PAGE), dtype=np.uint8)
    pages[0] = np.frombuffer(_first_page(tuple(columns)), dtype=np.uint8)
    pages[0, 28:32] = _bytes(len(pages), ">u4")  # the size that the header states
    if above:
        _write_interior_page(pages[1], leaves, each)
    full = rows // each
    _write_rows(pages[1 + above : 1 + above + full], cell, each, columns, 0)
    _write_rows(pages[1 + above + full :], cell, rows - full * each, columns, full * each)
    return pages.data.cast("B")


def _first_page(names: tuple[str, ...]) -> bytes:
    # Written by SQLite itself: the file's header and the table's definition.
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.execute(f"PRAGMA page_size = {PAGE}")
        raw.execute(f"CREATE TABLE {TABLE} ({', '.join(names)})")
        return raw.serialize()[:PAGE]


def _cell(columns: Mapping[str, Array]) -> np.dtype[Any]:
    """Return the layout of a row: its size, its number, the types of its values, the values."""
    values = [(f"value_{at}", _KINDS[array.dtype.str[1:]][1]) for at, array in enumerate(columns.values())]
    return np.dtype([("size", "u1"), ("number", "u1", 4), ("kinds", "u1", len(values) + 1), *values])


def _write_rows(pages: Array, cell: np.dtype[Any], each: int, columns: Mapping[str, Array], first: int) -> None:
    """Write rows from `first` on into pages, `each` rows per page."""
    if not len(pages):
        return
    here, shape = slice(first, first + len(pages) * each), (len(pages), each)
    cells = _cells(pages, LEAF, 8, cell, each)
    cells["size"] = cell.itemsize - 5
    cells["number"] = _row_numbers(np.arange(here.start, here.stop)).reshape(*shape, 4)
    cells["kinds"] = [len(columns) + 1, *(_KINDS[array.dtype.str[1:]][0] for array in columns.values())]
    for at, array in enumerate(columns.values()):
        cells[f"value_{at}"] = array[here].reshape(shape)


def _write_interior_page(page: Array, leaves: int, each: int) -> None:
    """Write the interior page: the position of each leaf page and the number of its last row."""
    cells = _cells(page[None], _INNER, 12, np.dtype([("page", ">u4"), ("last", "u1", 4)]), leaves - 1)
    cells["page"] = np.arange(3, 2 + leaves)
    cells["last"] = _row_numbers(np.arange(1, leaves) * each - 1)
    page[8:12] = _bytes(2 + leaves, ">u4")


def _cells(pages: Array, kind: int, start: int, cell: np.dtype[Any], each: int) -> Array:
    """Write the headers and cell pointers of pages; return their cells, shape (pages, each)."""
    begin = PAGE - each * cell.itemsize
    pages[:, 0] = kind
    pages[:, 3:7] = _bytes([each, begin], ">u2")
    pages[:, start : start + 2 * each] = _bytes(begin + np.arange(each) * cell.itemsize, ">u2")
    form = np.dtype([("before", f"V{begin}"), ("cells", cell, each)])
    return pages.view(form)["cells"][:, 0]


def _row_numbers(places: Array) -> Array:
    """Return row numbers as varints: seven bits per byte, highest first; shape (places, 4)."""
    bits = (places + FIRST_ROW)[:, None] >> np.array([21, 14, 7, 0])
    return (bits & 0x7F) | np.array([0x80, 0x80, 0x80, 0])


def _bytes(numbers: Any, form: str) -> Array:
    return np.asarray(numbers).astype(form).reshape(-1).view("u1")
