"""Finds the column that names the customer.

Law: a few blank or repeated cells never take the id away; they are named with their lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared.proposal import column_names as names
from shared.proposal.column_profile import Column, tolerated
from shared.proposal.doubts import Said
from shared.proposal.label_role import FEW, SHOWN_CANDIDATES
from shared.tables import cells, words

#: Rows from which a coincidence between two columns is none.
ENOUGH_ROWS = 20
#: Share of the rows that have a value of their own in a column of other things' ids.
OWN_VALUES = 0.3
#: A code of letters and digits, as programs make them for keys.
_CODE = r"^[A-Za-z0-9+/=_-]*(?:[A-Za-z][A-Za-z0-9+/=_-]*\d|\d[A-Za-z0-9+/=_-]*[A-Za-z])[A-Za-z0-9+/=_-]*$"


def find_id(columns: Sequence[Column], as_of: Column | None, said: Said) -> Column | None:
    """The id, which is said with its bad cells; where there is none, what was looked for is said."""
    named = [c for pattern in names.IDS for c in columns if pattern.fullmatch(c.snake)]
    for column in dict.fromkeys(named):
        bad = _not_identified(column, as_of)
        if bad is not None:
            said.say(f"The id is {column.name!r}.")
            _say_bad(column, bad, said)
            return column
    first = columns[0] if columns else None
    if first is not None and first.dates is None and first.numbers is None and first.share(_CODE) > 0.9:
        bad = _not_identified(first, as_of)
        if bad is not None:
            said.say(
                f"The id is {first.name!r}, because it comes first and every row has a code of its own: check this."
            )
            _say_bad(first, bad, said)
            return first
    near = {c.name: c.distinct for c in named if c.distinct > 1}
    listed = ", ".join(f"{n!r} ({near[n]:,} different values)" for n in list(near)[:SHOWN_CANDIDATES])
    seen = f" Too many rows share a value or lack one in {listed}." if near else ""
    said.say(
        "No id was found: no column with the name of an id has a value of its own in nearly every row, so "
        f"customers are the rows 1, 2, 3 … of this file.{seen} Set `id` if a column names the customer."
    )
    return None


def _say_bad(column: Column, bad: Sequence[int], said: Said) -> None:
    if bad:
        text = f"{column.name!r} is blank, repeated, cut short or a total: {{cells}}. Put these rows right."
        said.doubt(text, bad, column.values, column=column.name)


def _not_identified(column: Column, as_of: Column | None) -> list[int] | None:
    """Rows that the column does not name a customer of; None where it is no id."""
    rows = len(column.values)
    if pa.types.is_floating(column.values.type) or column.distinct < 2:
        return None
    broken = 0 if column.numbers is None or column.whole else _fractions(column)
    if broken > (tolerated(rows) if rows > FEW else 0):
        return None
    ids = cells.identifiers(column.values, column.name, cells.CellProblems(1))
    table: dict[str, Any] = {"id": ids}
    if as_of is not None:
        table["as_of"] = as_of.dates
    bad = _repeated_or_blank(pa.table(table))
    few = column.distinct < 3 and len(bad) > ids.null_count
    return None if few or len(bad) > tolerated(rows) else bad


def _fractions(column: Column) -> int:
    return int(pc.sum(pc.not_equal(pc.floor(column.numbers), column.numbers)).as_py() or 0)


def _repeated_or_blank(rows: pa.Table) -> list[int]:
    """Rows whose id is blank, shortened or a total, or stands in an earlier row (with the same date)."""
    bad, seen = [], set()
    cut = pc.or_(pc.match_substring_regex(rows["id"], cells.SPREADSHEET_ID), words.is_total(rows["id"]))
    wrong = pc.fill_null(cut, False).to_pylist()
    for row, (key, is_wrong) in enumerate(
        zip(zip(*(c.to_pylist() for c in rows.columns), strict=True), wrong, strict=True)
    ):
        if key[0] is None or is_wrong or key in seen:
            bad.append(row)
        seen.add(key)
    return bad


def is_other_id(column: Column) -> bool:
    """Whether a column with the name of an id has values as ids have them, though it names no customer."""
    rows = len(column.values)
    named = any(is_called(name, column) for name in names.IDS)
    only = is_called(names.ONLY_IDS, column)
    differs = column.distinct > OWN_VALUES * rows if only and rows >= ENOUGH_ROWS else column.many
    plain = column.whole or column.numbers is None
    return bool(plain and ((named and differs) or (only and column.distinct == rows > 2)))


def is_called(kind: re.Pattern[str], column: Column) -> bool:
    """Whether the whole name of a column is of this kind."""
    return kind.fullmatch(column.snake) is not None
