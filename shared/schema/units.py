"""The units of numbers: how columns name them, and what a value in them can't be.

Law: a unit is known by its words alone; nothing here looks at values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_COUNTS = "hours days months years devices failures count calls seconds minutes messages"
_MONEY = (
    "currency money dollars euros pounds $ € £ ¥ "
    "usd eur gbp chf jpy cad aud nzd sek nok dkk pln czk inr cny brl mxn zar"
)
#: Units of which nobody can have less than none.
NOT_NEGATIVE = frozenset(f"{_COUNTS} {_MONEY}".split())
#: Words in a column's name that tell the unit of its numbers.
UNIT_WORDS: Mapping[str, frozenset[str]] = {
    unit: frozenset(words.split())
    for unit, words in {
        "percent": "percent pct percentage", "hours": "hours hrs", "minutes": "minutes mins", "seconds": "seconds secs",
        "days": "days", "months": "months", "years": "years", "USD": "usd dollars", "EUR": "eur euros",
        "GBP": "gbp pounds", "currency": "charge charges price fee fees revenue mrr", "failures": "failures failure",
        "devices": "devices", "calls": "calls", "messages": "messages sms", "count": "count num number nr qty",
    }.items()
}  # fmt: skip
#: Units that are counted in whole numbers.
WHOLE_UNITS = frozenset(("days", "months", "years", "failures", "devices", "calls", "messages", "count"))


#: Units that say nothing beside a number.
_UNSPOKEN = frozenset(("count", "currency", "money"))
_CURRENCY_CODE = re.compile(r"[A-Z]{3}\b")


def quantity(value: float, unit: str | None) -> str:
    """Return a number with its unit, as a person writes it: two decimals at most, more only of a number below 1.

    >>> quantity(9.9, "USD"), quantity(1, "months"), quantity(1234.5, "hours"), quantity(5, "count")
    ('9.90 USD', '1 month', '1,234.5 hours', '5')
    >>> quantity(1 / 3, None), quantity(100 / 3, "hours")
    ('0.3333', '33.33 hours')
    """
    value = value + 0  # makes 0.0 of -0.0
    is_money, one, several = _as_words(unit)
    if is_money:
        return f"{value:,.2f}{several}"
    shown = round(value, 2) if abs(value) >= 1 else float(f"{value:.4g}")
    return f"{shown:,.10g}{one if value == 1 else several}"


@lru_cache(maxsize=1024)
def _as_words(unit: str | None) -> tuple[bool, str, str]:
    """Return whether a unit is money, and what follows one and several of it."""
    if unit is None or unit in _UNSPOKEN:
        return unit in ("currency", "money"), "", ""
    return _CURRENCY_CODE.match(unit) is not None, f" {unit.removesuffix('s')}", f" {unit}"


def is_never_negative(unit: str | None) -> bool:
    """Return whether a value below zero must be a mistake in this unit; "minutes per day" counts as minutes.

    >>> is_never_negative("hours"), is_never_negative("USD/month"), is_never_negative("percent")
    (True, True, False)
    """
    return unit is not None and re.split(r"\s*/\s*|\s+per\s+", unit.strip().lower())[0] in NOT_NEGATIVE
