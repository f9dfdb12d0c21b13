"""Recognises dates that are not read: serial numbers, yyyymmdd, seconds since 1970, day and month in doubt.

Law: a column is taken for dates by its values and its name together, and only if nearly every value fits.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_NAMED = re.compile(
    r"(?:.*_)?(?:at|on|date|day|datetime|time|timestamp|since|until|ts|created|updated|joined|signup|sign_up|start|end"
    r"|started|ended|renewed|renewal|paid|seen|last_\w+|first_\w+|birth\w*|dob|expir\w*|datum)"
)
_CLOCK = r"(?:[T ,]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
_MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-zA-Z]*\.?"
_TEXTS = (
    rf"^(?:\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}{_CLOCK}"
    rf"|\d{{4}}[./-]\d{{1,2}}[./-]\d{{1,2}}{_CLOCK}"
    rf"|\d{{1,2}}[ -]{_MONTH}[ ,-]+\d{{2,4}}{_CLOCK}"
    rf"|{_MONTH} \d{{1,2}},? \d{{4}}{_CLOCK})$"
)
MOSTLY = 0.9
#: Ranges of numbers that are days: serials of spreadsheets, seconds and milliseconds since 1970 (1990 to 2065).
SERIALS, SECONDS, MILLISECONDS = (20_000, 60_000), (6.3e8, 3.0e9), (6.3e11, 3.0e12)
EARLIEST, LATEST = 19_000_101, 21_001_231


def looks_like_dates(name: str, texts: pa.Array | None, numbers: pa.Array | None) -> bool:
    """Return whether a column holds dates in a form that is not read.

    Parameters
    ----------
    name
        In snake case.
    texts, numbers
        The column read as each of the two; None where it can't be.
    """
    if texts is None or texts.null_count == len(texts):
        return False
    if numbers is None:
        return bool((pc.mean(pc.match_substring_regex(texts.drop_null(), _TEXTS)).as_py() or 0) >= MOSTLY)
    numbers = numbers.drop_null()
    if not pc.all(pc.equal(pc.floor(numbers), numbers)).as_py():
        return False
    named = _NAMED.fullmatch(name) is not None
    if _share_of_days(numbers) >= MOSTLY and (len(pc.unique(numbers)) > 1 or named):
        return True
    smallest, largest = (float(value.as_py()) for value in pc.min_max(numbers).values())
    return named and any(low <= smallest and largest <= high for low, high in (SERIALS, SECONDS, MILLISECONDS))


def _share_of_days(numbers: pa.Array) -> float:
    """Share of the numbers that are a day written as yyyymmdd."""
    inside = numbers.filter(pc.and_(pc.greater_equal(numbers, EARLIEST), pc.less_equal(numbers, LATEST)))
    whole = inside.cast(pa.int64())
    month = pc.subtract(pc.divide(whole, 100), pc.multiply(pc.divide(whole, 10_000), 100))
    day = pc.subtract(whole, pc.multiply(pc.divide(whole, 100), 100))
    good = pc.and_(
        pc.and_(pc.greater_equal(month, 1), pc.less_equal(month, 12)),
        pc.and_(pc.greater_equal(day, 1), pc.less_equal(day, 31)),
    )
    return float((pc.sum(good).as_py() or 0) / len(numbers)) if len(numbers) else 0.0
