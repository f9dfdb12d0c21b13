"""The message of every rejected cell, row and file of customers.

Messages of cells and rows are clauses that follow the line and the column: "line 3, hours: 'x' is not a number".
Messages of files are whole sentences.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from datetime import date

from shared.errors import Detail
from shared.parsing_limits import MAX_FOOTER_BYTES

MAX_QUOTED = 80
_ISO_SHAPE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_LOCAL_SHAPE = re.compile(r"^\d{1,2}([./-])\d{1,2}\1\d{4}$")


def quoted(value: object) -> str:
    """A value in quotation marks, at most 80 characters of it."""
    text = str(value)
    return repr(text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…")


# --- cells ----------------------------------------------------------------------------------------------------------

ID_MISSING = "the id is missing"
DATE_MISSING = "the date is missing"
END_MISSING = "the date of the end is missing"
VALUE_MISSING = "a value is missing here, which the schema forbids"
INFINITE_CATEGORY = "an infinite number is not a category"


def spreadsheet_id(cell: object) -> str:
    return f"{quoted(cell)} is a long id that a spreadsheet has shortened: export the column as text"


def not_a_number(cell: object) -> str:
    return f"{quoted(cell)} is not a number"


def not_finite(cell: object, largest: float) -> str:
    return f"{quoted(cell)} is not finite or above {largest:.1e}, leave unknown cells blank"


def not_whole(value: object) -> str:
    return f"{value} is not a whole number, as the schema requires"


def negative(value: object, unit: str) -> str:
    return f"{value} is negative, which {unit} can't be"


def too_long(cell: object, longest: int) -> str:
    return f"{quoted(cell)} is longer than {longest} characters: shorten it or put the column under `ignore`"


def not_a_date(cell: object, text: str, written: str | None) -> str:
    """The message of a cell, trimmed `text`, that is not a date in a column of dates as `written` (None for ISO)."""
    if _ISO_SHAPE.match(text):
        return f"{quoted(cell)} is not a calendar date"
    if _LOCAL_SHAPE.match(text) and written is None:
        advice = "write it as 2025-12-31"
        return f"{quoted(cell)} is written so that its column doesn't tell days from months: {advice}"
    if _LOCAL_SHAPE.match(text):
        return f"{quoted(cell)} is not a calendar date, written {written} as the others of its column"
    return f"{quoted(cell)} is not a date, write it as 2025-12-31"


def too_early(day: object) -> str:
    return f"{day} is not a possible date, leave unknown dates blank"


def in_future(day: object, today: date) -> str:
    return f"{day} lies in the future (today is {today})"


def before_start(end: object) -> str:
    return f"{end} lies before the start"


def no_subscription_by(end: object) -> str:
    return f"no subscription of this customer began by {end}"


def other_subscription(start: object) -> str:
    return f"the subscription that runs then began on {start}: give that day, or leave it blank"


# --- rows -----------------------------------------------------------------------------------------------------------

HEADER_AGAIN = "this line repeats the header: remove it"


def total(text: object) -> str:
    return f"{quoted(text)} is a total and no customer: remove this line"


def remark(text: object) -> str:
    return f"nothing but {quoted(text)} stands in this line: remove it, if it is no customer"


def ragged(cells: int, width: int) -> str:
    return f"{cells} cells where the header has {width}"


def repeated_id(user_id: str, place_name: str, earlier: int, *, dated: bool, contracts: bool) -> str:
    """The message of a row whose id stands in an earlier one; `contracts`: each row tells of a subscription's dates."""
    same = " with the same date" if dated else ""
    keep = "keep the newest subscription of each customer" if contracts and not dated else "keep one of them"
    return f"the id {user_id[:MAX_QUOTED]!r} stands in {place_name} {earlier} already{same}, {keep}"


def unknown_customer(user_id: str) -> str:
    return f"there is no customer {user_id[:MAX_QUOTED]!r}"


def rows_rejected(rejected: int, total: int, place_name: str, first: Detail) -> str:
    """The beginning of a refusal, which `first_listed` or `nothing_imported` ends."""
    rows = "1 row has" if rejected == 1 else f"{rejected:,} of {total:,} rows have"
    field = f", {first['field']}" if "field" in first else ""
    wrong = f"{place_name} {first['row']}{field}: {first['message']}"
    return f"{rows} to be put right before the table can be used: {wrong}"


def first_listed(listed: int, reasons: int) -> str:
    return f" (the first {listed} of {reasons:,} reasons are listed)." if reasons > listed else "."


def nothing_imported(where: str) -> str:
    return f". Nothing was imported. All rejected rows with their reasons: {where}"


def no_row_accepted(total: int, first: Detail) -> str:
    return f"None of the {total:,} rows can be used: {first['message']}."


# --- columns and headers --------------------------------------------------------------------------------------------

NO_ROWS = "The file has a header and no rows: one line for each customer is needed."
NO_NAMES = "No column has a name: the first line must be the header."
HEADER_UNREADABLE = "The header line can't be read: check its quotation marks."
HEADER_USED_TWICE = "this header is used more than once"
NO_SUCH_COLUMN = "there is no such column"
NO_LABEL_IN_SCHEMA = "The schema names no label: add `label` and `positive` to the file given with --schema."
TOO_MUCH_TEXT = "A text column of the Parquet file unpacks to more than 256 MB at once: its cells are too long."
HOLDS_LISTS = "the column holds lists, and a table has one value in each cell"
SHOWN_HEADERS = 60


def too_many_columns(columns: int, most: int) -> str:
    return f"The file has {columns:,} columns, and at most {most:,} can be read: leave columns out."


def header_twice(name: str) -> str:
    return f"The header has {name!r} more than once: rename or remove one."


def ambiguous_header(name: str, count: int) -> str:
    return f"The file has {count} columns called {name!r}: rename or remove one."


def missing_column(described: str) -> str:
    return f"there is no column {described}"


def missing_columns(missing: Sequence[str], names: Sequence[str]) -> str:
    """A refusal that lists the missing columns, each with its role, and the headers that are there."""
    column = "column" if len(missing) == 1 else "columns"
    has = ", ".join(repr(name) for name in names[:SHOWN_HEADERS])
    more = f" and {len(names) - SHOWN_HEADERS} more" if len(names) > SHOWN_HEADERS else ""
    advice = "Rename the columns, or give the schema of this file with --schema."
    return f"The file has no {column} {', '.join(missing)}. It has: {has}{more}. {advice}"


def missing_outcome_column(name: str, needed: Sequence[str], optional: Sequence[str]) -> str:
    wanted = f"outcomes need {' and '.join(needed)}; {' and '.join(optional)} may be there."
    return f"The file has no column {name!r}: {wanted}"


def wrong_type(found: object, wanted: str) -> str:
    name = re.sub(r"\s+", " ", str(found))[:MAX_QUOTED]
    return f"the column holds {name} where {wanted} are needed"


def wrong_columns(details: Sequence[Detail]) -> str:
    return "The file can't be used: " + "; ".join(f"{d['field']}: {d['message']}" for d in details) + "."


# --- files ----------------------------------------------------------------------------------------------------------

EMPTY = "The file is empty: a header line and one line for each customer are needed."
NUL_BYTES = "The file is not text (it holds NUL bytes): save it as a UTF-8 CSV or as Parquet."
NOT_UTF_16 = "The file begins as UTF-16 text and is none: save it as UTF-8."
SEP_LINE = "The first line (sep=…) is for spreadsheets alone: remove it, so that the header comes first."
OPEN_QUOTE = "a quotation mark is not closed"
RECORD_TOO_LONG = "A record is longer than 4 MB: a quotation mark is not closed, or this is not a customer table."
FOOTER_TOO_LARGE = (
    f"The metadata of the Parquet file are larger than {MAX_FOOTER_BYTES // 1024**2} MB: write it in larger row groups."
)
ROW_GROUP_TOO_LARGE = (
    "The texts of a row group of the Parquet file unpack to more than 256 MB: write it in smaller row groups."
)
#: First bytes of files that people upload in place of a table, and what to do with them.
OTHER_FILES = {
    b"PK\x03\x04": "The file is an Excel workbook or a zip archive: save the sheet as CSV.",
    b"\xd0\xcf\x11\xe0": "The file is an old Excel workbook: save the sheet as CSV.",
    b"\x1f\x8b": "The file is compressed: unpack it first.",
    b"SQLite format 3": "The file is a database: export the table as CSV.",
}


#: How JSON begins, which people export in place of a table.
_JSON = re.compile(rb"\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]])")


def other_file(begin: bytes) -> str | None:
    """The refusal of a file that begins like another kind of file; None if it may be a table."""
    if _JSON.match(begin.removeprefix(codecs.BOM_UTF8)):
        return "The file is JSON: write it as a CSV or Parquet table, with a header and one line for each customer."
    return next((text for magic, text in OTHER_FILES.items() if begin.startswith(magic)), None)


def no_file(name: str) -> str:
    return f"There is no file {name}."


def unreadable(path: object, why: object) -> str:
    return f"The file {path} can't be read: {why}."


def broken_parquet(error: object) -> str:
    return f"The Parquet file is broken or not whole, upload it again: {error}"


def broken_csv(error: object) -> str:
    return f"The file can't be read as CSV: {error}"


def open_quote(line: int) -> str:
    return f"The record that begins in line {line} can't be read: a quotation mark is opened and not closed."


def too_many_rows(most: int) -> str:
    return f"The file has more than {most:,} rows: split it."


def too_many_ragged(most: int, width: int, cells: int) -> str:
    return (
        f"More than {most:,} lines have another number of cells than the header ({width}), the first of them {cells}: "
        "check the delimiter and the quotation marks."
    )


def ragged_file(count: int, width: int, line: int, cells: int) -> str:
    return (
        f"Every line needs as many cells as the header, {width}, and line {line} has {cells} ({count:,} such in all): "
        "put text that holds the delimiter in quotation marks."
    )


def too_many_repeated(rows: int, column: str | None) -> str:
    return f"{rows:,} rows share the value of {column!r} with another row: is it the id?"


def no_label_given(name: str) -> str:
    return f"No row has a label: {name!r} is blank everywhere, so there is nothing to train on."
