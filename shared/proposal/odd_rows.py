"""Sets apart the rows of a file that are no customers: headers that stand there again, totals, remarks, blank lines.

Law: every such row is named with its line; what a column is never depends on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.proposal.doubts import SHOWN, Said
from shared.tables import words
from shared.tables.columns import FileColumns
from shared.tables.row_checks import blank_rows

#: Rows at the end of a file that may be totals or remarks.
LAST_ROWS = 5


def customers_only(file: FileColumns, said: Said) -> tuple[FileColumns, list[int]]:
    """The columns without rows that are no customers, which are said, and the place of each row in the file."""
    rows = len(file.columns[0])
    blank = blank_rows(file.columns, rows).to_numpy(zero_copy_only=False)
    again = _headers(file)
    if len(file.columns) < 2 or bool((blank | again).all()):
        return file, list(range(rows))
    if blank.any():
        said.doubt(
            "Lines are blank and left out ({cells}).", np.flatnonzero(blank).tolist(), pa.nulls(rows, pa.string())
        )
    if again.any():
        text = "The header stands in the file again ({cells}): remove it."
        said.doubt(text, np.flatnonzero(again).tolist(), file.columns[0], column=file.names[0])
    last = _last(file, np.flatnonzero(~blank & ~again)[-LAST_ROWS:].tolist())
    for row, name in last.items():
        text = "A line looks like a total or a remark and no customer ({cells}): remove it."
        said.doubt(text, [row], file.column(name), column=name)
    odd = blank | again
    odd[list(last)] = True
    if not odd.any() or odd.all():
        return file, list(range(rows))
    kept = pa.array(~odd)
    columns = tuple(column.filter(kept) for column in file.columns)
    return FileColumns(file.names, columns, file.delimiter, file.notes), np.flatnonzero(~odd).tolist()


def _headers(file: FileColumns) -> np.ndarray:
    """Rows that repeat the header, in whatever case."""
    again = np.ones(len(file.columns[0]), dtype=bool)
    for name, column in zip(file.names, file.columns, strict=True):
        if not again.any():
            break
        if not pa.types.is_string(column.type):
            return np.zeros(len(column), dtype=bool)
        same = pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(column)), name.strip().lower())
        again &= pc.fill_null(same, False).to_numpy(zero_copy_only=False)
    return again


def _last(file: FileColumns, rows: Sequence[int]) -> Mapping[int, str]:
    """Those of some rows that are totals or remarks, with the column that says so."""
    found = {}
    for row in rows:
        cells = {
            name: text
            for name, column in zip(file.names, file.columns, strict=True)
            if pa.types.is_string(column.type) and (text := str(column[row].as_py() or "").strip())
        }
        name, text = next(iter(cells.items()), ("", ""))
        seldom = name and pc.sum(pc.equal(file.column(name), file.column(name)[row])).as_py() <= SHOWN
        total = pc.any(words.is_total(pa.array([text]))).as_py()
        if seldom and (total or (len(cells) == 1 and re.search(words.REMARK, text))):
            found[row] = name
    return found
