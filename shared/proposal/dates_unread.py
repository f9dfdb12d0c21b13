"""Recognises dates that are not read: serial numbers, yyyymmdd, seconds since 1970, day and month in doubt.

Law: a column is taken for dates by its values and its name together, and only if nearly every value fits.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_EVENT = (
    r"log_?in|logon|seen|visit|order|purchase|payment|paid|contact|activity|active|used|usage|access|renewal|update|updated"
    r"|transaction|billing|billed|invoice|session|event|recharge|top_?up|call|ticket|complaint|change|changed|watched|played"
)
_NAMED = re.compile(
    r"(?:.*_)?(?:at|on|date|day|datetime|time|timestamp|since|until|ts|created|updated|joined|signup|sign_up|start|end"
    r"|started|ended|renewed|renewal|paid|seen|birth\w*|dob|expir\w*|\w*datum|fecha|\w*beginn|\w*ende)"
    rf"|(?:last|first|latest|previous|next)_(?:\w+_)?(?:{_EVENT})|log_?in|(?:fecha|date|datum|dt)_\w+|birth\w*|geburt\w*"
    r"|data_(?:de_|di_|do_)?(?:cadastro|inicio|nascimento|ultim\w+|fim|ativacao|cancelamento|iscrizione|nascita|inizio|fine)"
)
_CLOCK = (
    r"(?:(?:[T ,]+|, at )\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?"
    r"(?: ?(?:Z|UTC|GMT|CET|CEST|[ECMP][SD]T|[+-]\d{2}:?\d{2}))*)?"
)
_MONTH = (
    r"(?i:jan|feb|f[eé]v|mar|m[aä]r|apr|avr|abr|may|ma[ig]|jun|juin|giu|jul|juil|lug|aug|ao[uû]|ago|sep|set|oct|okt|out|ott|nov"
    r"|dec|d[eé]c|dez|dic|ene|gen|fev)[a-zäéûúç]*\.?"
)
_WEEKDAY = r"(?i:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
_TEXTS = (
    rf"^{_WEEKDAY}(?:\d{{1,2}}[./-]\d{{1,2}}[./-](?:\d{{4}}|\d{{2}}){_CLOCK}"
    rf"|\d{{4}}[./-]\d{{1,2}}[./-]\d{{1,2}}{_CLOCK}"
    rf"|\d{{1,2}}(?:\.|st|nd|rd|th|er)?[ -](?:(?:de|of) )?{_MONTH}(?:[ ,-]+|/)(?:del? )?(?:\d{{4}}|\d{{2}}){_CLOCK}"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}{_CLOCK}"
    rf"|{_MONTH} \d{{1,2}} \d{{1,2}}:\d{{2}}:\d{{2}}(?: [A-Z]{{3,4}})? \d{{4}})$"
)
MOSTLY = 0.9
#: Ranges of numbers that are days: serials of spreadsheets (2000 to 2040; of births from 1927), seconds and
#: milliseconds since 1970 (1990 to 2065; without a name that speaks of time, 2001 to 2036).
SERIALS, BIRTHS, SECONDS, MILLISECONDS = (36_500.0, 51_500.0), (10_000.0, 51_500.0), (6.3e8, 3.0e9), (6.3e11, 3.0e12)
UNNAMED = ((1.0e9, 2.1e9), (1.0e12, 2.1e12))
_BORN = re.compile(r"(?:.*_)?(?:birth\w*|dob|geburt\w*|nascimento|nascita|nacimiento|naissance)")
#: Words of names whose large numbers are amounts.
_AMOUNTS = frozenset((
    "bytes", "kb", "mb", "gb", "amount", "revenue", "income", "salary", "balance", "usd", "eur", "inr", "volume",
    "views", "total", "value", "price", "limit", "impressions", "count", "turnover", "sales",
))  # fmt: skip
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
    named = _NAMED.fullmatch(name) is not None
    whole = bool(pc.all(pc.equal(pc.floor(numbers), numbers)).as_py())
    if whole and _share_of_days(numbers) >= MOSTLY and (len(pc.unique(numbers)) > 1 or named):
        return True
    smallest, largest = (float(value.as_py()) for value in pc.min_max(numbers).values())
    ranges: tuple[tuple[float, float], ...] = ()
    if named:
        ranges = (BIRTHS if _BORN.fullmatch(name) else SERIALS, SECONDS, MILLISECONDS)
    elif whole and not _AMOUNTS & set(name.split("_")):
        ranges = UNNAMED
    return any(low <= smallest and largest <= high for low, high in ranges)


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
