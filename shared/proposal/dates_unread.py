"""Recognises dates that are not read: serial numbers, yyyymmdd, seconds since 1970, day and month in doubt.

Law: a column is taken for dates by its values and its name together, and only if nearly every value fits.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_EVENT = (
    r"log_?in|logon|seen|visit|order|purchase|payment|paid|contact|activity|active|used|usage|access"
    r"|renewal|update|updated"
    r"|transaction|billing|billed|invoice|session|event|recharge|top_?up|call|ticket|complaint|change"
    r"|changed|watched|played"
)
_NAMED = re.compile(
    r"(?:.*_)?(?:at|on|date|day|dt|datetime|time|timestamp|since|until|ts|created|updated|joined|signup"
    r"|sign_up|start|end"
    r"|started|ended|renewed|renewal|paid|seen|birth\w*|dob|expir\w*|\w*datum|fecha|\w*beginn|\w*ende)"
    rf"|(?:last|first|latest|previous|next)_(?:\w+_)?(?:{_EVENT})|log_?in|(?:fecha|date|datum|dt"
    rf"|letzte[rs]?|ultim[oa]|derniere?)_\w+|birth\w*|geburt\w*"
    r"|data_(?:de_|di_|do_)?(?:cadastro|inicio|nascimento|ultim\w+|fim|ativacao|cancelamento|iscrizione"
    r"|nascita|inizio|fine)"
)
_CLOCK = (
    r"(?:(?:[T ,]+|, at )\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?"
    r"(?: ?(?:Z|UTC|GMT|CET|CEST|[ECMP][SD]T|[+-]\d{2}:?\d{2}))*)?"
)
_MONTH = (
    r"(?i:jan|feb|f[eé]v|mar|m[aä]r|apr|avr|abr|may|ma[ig]|jun|juin|giu|jul|juil|lug|aug|ao[uû]|ago|sep"
    r"|set|oct|okt|out|ott|nov"
    r"|dec|d[eé]c|dez|dic|ene|gen|fev)[a-zäéûúç]*\.?"
)
_WEEKDAY = r"(?i:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
_TEXTS = (
    rf"^{_WEEKDAY}(?:\d{{1,2}}[./-]\d{{1,2}}[./-](?:\d{{4}}|\d{{2}}){_CLOCK}"
    rf"|\d{{4}}[./-]\d{{1,2}}[./-]\d{{1,2}}{_CLOCK}"
    rf"|\d{{1,2}}(?:\.|st|nd|rd|th|er)?[ -](?:(?:de|of) )?{_MONTH}(?:[ ,-]+|/)(?:del? )?(?:\d{{4}}|\d{{2}}){_CLOCK}"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}{_CLOCK}"
    rf"|\d{{8}}T\d{{4,6}}(?:\.\d+)?(?:Z|[+-]\d{{2}}:?\d{{2}})?"
    rf"|{_MONTH} \d{{1,2}} \d{{1,2}}:\d{{2}}:\d{{2}}(?: [A-Z]{{3,4}})? \d{{4}})$"
)
MOSTLY = 0.9
#: Different words that may stand among days in place of one.
FEW_WORDS = 2
_MONTHS = re.compile(r"(?:.*_)?(?:month|yyyymm|ym|period\w*|cohort\w*|monat|mes|mois|mese)(?:_.*)?")
_DATED = re.compile(r"(?:.*_)?(?:date|dt|day|datum|fecha)")
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
    named, of_amounts = _NAMED.fullmatch(name) is not None, bool(_AMOUNTS & set(name.split("_")))
    if numbers is None:
        return _are_texts_of_days(texts.drop_null(), several=not named)
    numbers = numbers.drop_null()
    whole = bool(pc.all(pc.equal(pc.floor(numbers), numbers)).as_py())
    several = len(pc.unique(numbers)) > 1
    if whole and _share_of_days(numbers) >= MOSTLY and (several or named):
        return True
    if whole and _MONTHS.fullmatch(name) and _share_of_days(pc.add(pc.multiply(numbers, 100), 1)) >= MOSTLY:
        return True
    ranges: tuple[tuple[float, float], ...] = () if of_amounts or not whole else UNNAMED
    if named:
        days = BIRTHS if _BORN.fullmatch(name) else SERIALS
        ranges = (SECONDS, MILLISECONDS) if of_amounts and not _DATED.fullmatch(name) else (days, SECONDS, MILLISECONDS)
        numbers = numbers.filter(pc.greater(numbers, 0))  # 0 and -1 stand for no moment
    smallest, largest = (value.as_py() for value in pc.min_max(numbers).values())
    return smallest is not None and any(low <= smallest and largest <= high for low, high in ranges)


def _are_texts_of_days(texts: pa.Array, *, several: bool) -> bool:
    """Whether nearly all texts are days, or those that are none are one or two words (beside `several` days)."""
    days = pc.match_substring_regex(texts, _TEXTS)
    if (pc.mean(days).as_py() or 0) >= MOSTLY:
        return True
    return len(pc.unique(texts.filter(days))) > int(several) and _are_words(texts.filter(pc.invert(days)))


def _are_words(texts: pa.Array) -> bool:
    return len(pc.unique(texts)) <= FEW_WORDS and not pc.any(pc.match_substring_regex(texts, r"\d")).as_py()


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
