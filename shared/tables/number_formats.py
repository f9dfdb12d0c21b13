"""Recognises how the numbers of a column are written: decimal commas, thousands signs, currencies, per cent, brackets.

Law: a format is recognised from a whole column; what can be read in two ways is read as the other columns decide.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

_CODES = (
    "USD|EUR|GBP|CHF|CAD|AUD|NZD|JPY|CNY|INR|BRL|MXN|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|TRY|ZAR|RUB|UAH|ILS|AED|SAR|EGP|NGN|KES"
    "|KRW|SGD|HKD|TWD|THB|IDR|MYR|PHP|VND|COP|CLP|ARS|PEN|PKR|BDT|LKR|Euro|euros?|Kč|kr|zł|Ft|lei"
)
_CURRENCY = rf"(?:(?:US|R|A|C|NZ|HK|NT|S)\$|S/\.?|Rs\.?|[$€£¥₹₩₺₴₽₪₫₱₦฿]|(?:{_CODES}))"
_BEFORE, _AFTER = rf"^(?P<sign>[+-]?)\s*(?P<currency>{_CURRENCY})\s*", rf"\s*(?P<currency>{_CURRENCY})$"
_BRACKETS, _PERCENT, _MINUS_BEHIND = r"^\(([^()]+)\)$", r"\s*%$", r"^(\d[\d.,]*)\s*-$"
_GROUP = r"[ \x{00a0}\x{202f}'’]"
_SPACED = rf"^[+-]?\d{{1,3}}(?:{_GROUP}\d{{3}})+(?:[.,]\d+)?$"
#: Ways to write the same currency.
_SAME = {
    "EUR": "€",
    "Euro": "€",
    "euro": "€",
    "euros": "€",
    "USD": "$",
    "US$": "$",
    "GBP": "£",
    "BRL": "R$",
    "Rs": "₹",
    "INR": "₹",
}
_WHOLE = r"^[+-]?\d+$"
#: Groups of two digits after the first three, as in India: 12,34,567.
_LAKHS = r"^[+-]?\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?$"
_MARKS = (".", ",")


def _each(pattern: str) -> dict[str, str]:
    """The pattern for each mark; OTHER is the other one."""
    return {
        mark: pattern.replace("MARK", re.escape(mark)).replace("OTHER", re.escape(other))
        for mark, other in zip(_MARKS, reversed(_MARKS), strict=True)
    }


#: Texts in which the mark can only be the decimal sign, only a thousands sign, or either of them.
_DECIMAL = _each(
    rf"^[+-]?(?:\d*MARK(?:\d{{1,2}}|\d{{4,}})|0*MARK\d{{3}}|\d{{4,}}MARK\d{{3}}|\d+MARK|\d*MARK?\d+[eE][+-]?\d+"
    rf"|\d{{1,3}}(?:(?:OTHER|{_GROUP})\d{{3}})+MARK\d+)$"
)
_THOUSANDS = _each(r"^[+-]?\d{1,3}(?:MARK\d{3})(?:(?:MARK\d{3})+|(?:MARK\d{3})*OTHER\d+)$")
_EITHER = _each(r"^[+-]?[1-9]\d{0,2}MARK\d{3}$")
#: Texts of a long column that are looked at first.
SAMPLE = 2_000
KINDS = {"decimal": _DECIMAL, "thousands": _THOUSANDS, "either": _EITHER}


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal
        The decimal sign.
    grouped
        Thousands are grouped, by the other sign, by spaces or by apostrophes.
    currency
        The sign or code that stands beside the numbers.
    percent
        A per cent sign stands behind them: 12.5% is read as 12.5.
    brackets, minus_behind
        Negative numbers stand in brackets, or have their minus behind them.
    """

    decimal: str = "."
    grouped: bool = False
    currency: str | None = None
    percent: bool = False
    brackets: bool = False
    minus_behind: bool = False

    def plain(self, texts: pa.Array) -> pa.Array:
        """Texts as programs write numbers; a text that is written in another way stays as it is."""
        texts = _bare(texts)
        if self.grouped:
            mark = r"\." if self.decimal == "," else ","
            pattern = rf"^[+-]?\d{{1,3}}(?:(?:{mark}|{_GROUP})\d{{3}})+(?:{re.escape(self.decimal)}\d*)?$"
            grouped = pc.match_substring_regex(texts, pattern)
            if mark == ",":
                grouped = pc.or_(grouped, pc.match_substring_regex(texts, _LAKHS))
            texts = pc.if_else(grouped, pc.replace_substring_regex(texts, rf"{mark}|{_GROUP}", ""), texts)
        return pc.replace_substring(texts, ",", ".") if self.decimal == "," else texts

    def example(self) -> str:
        """The number 1234.5 in this format, and how negative ones differ."""
        text = "1" + ({",": ".", ".": ","}[self.decimal] if self.grouped else "") + f"234{self.decimal}5"
        if self.currency is not None:
            text = f"{text} {self.currency}" if self.currency.isalpha() else f"{self.currency}{text}"
        text = f"{text}%" if self.percent else text
        text = f"{text}, negative ones in brackets" if self.brackets else text
        return f"{text}, negative ones with the minus behind them" if self.minus_behind else text


USUAL = NumberFormat()


class NumberShapes:
    """The shapes of the numbers of one column."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._currencies: set[str] = set()

    def look(self, texts: pa.Array) -> None:
        """Take note of a batch of texts, of which those that mean missing are null."""
        texts = _enough(pc.unique(texts).drop_null())
        self._count("cells", pc.is_valid(texts))
        outside = _without_currency(texts)
        self._count("brackets", pc.match_substring_regex(outside, _BRACKETS))
        inside = pc.replace_substring_regex(outside, _BRACKETS, r"\1")
        self._count("percent", pc.match_substring_regex(inside, _PERCENT))
        self._count("minus behind", pc.match_substring_regex(_without_currency(inside), _MINUS_BEHIND))
        for where, pattern in ((texts, _BEFORE), (texts, _AFTER), (inside, _BEFORE), (inside, _AFTER)):
            found = pc.struct_field(pc.extract_regex(where, pattern), "currency").drop_null()
            self._currencies.update(pc.unique(pc.utf8_rtrim(found, ".")).to_pylist())
            self._seen["currency"] += len(found)
        bare = _bare(texts)
        self._count("whole", pc.match_substring_regex(bare, _WHOLE))
        self._count("spaced", pc.match_substring_regex(bare, _SPACED))
        self._count("thousands,", pc.match_substring_regex(bare, _LAKHS))
        for mark in _MARKS:
            for name, patterns in KINDS.items():
                self._count(f"{name}{mark}", pc.match_substring_regex(bare, patterns[mark]))

    def _count(self, name: str, found: pa.Array) -> None:
        self._seen[name] += pc.sum(found).as_py() or 0

    @property
    def are_numbers(self) -> bool:
        """Whether nearly all of the different texts are numbers, written in one way or another."""
        return bool(self._seen["cells"]) and self._numbers >= 0.9 * self._seen["cells"]

    @property
    def _numbers(self) -> int:
        seen = self._seen
        return seen["whole"] + seen["spaced"] + sum(seen[f"{name}{mark}"] for name in KINDS for mark in _MARKS)

    @property
    def is_money(self) -> bool:
        """Whether a currency stands beside some of the numbers."""
        return bool(self._seen["currency"])

    def decides(self) -> str | None:
        """The decimal sign that the column proves; None where it proves none, or two."""
        seen = self._seen
        proven = [m for m, o in ((".", ","), (",", ".")) if seen[f"decimal{m}"] or seen[f"thousands{o}"]]
        return proven[0] if len(proven) == 1 else None

    @property
    def contradicts(self) -> bool:
        """Whether the column proves both signs, or two currencies, or has signs at some of its numbers only."""
        seen = self._seen
        both = all(seen[f"decimal{m}"] or seen[f"thousands{o}"] for m, o in ((".", ","), (",", ".")))
        some = 0 < seen["percent"] < self._numbers * 0.9
        currencies = {_SAME.get(currency, currency) for currency in self._currencies}
        return both or len(currencies) > 1 or some or bool(seen["percent"] and seen["currency"])

    def ambiguous(self) -> str | None:
        """The mark that may be either sign in this column, where nothing in the column decides."""
        marks = [mark for mark in _MARKS if self._seen[f"either{mark}"]]
        return marks[0] if len(marks) == 1 and self.decides() is None else None

    def _of_money(self) -> str | None:
        """The decimal sign of money whose mark stands before three digits: no currency has three decimals."""
        mark = self.ambiguous() if self.is_money else None
        return None if mark is None else next(other for other in _MARKS if other != mark)

    def format(self, elsewhere: str | None) -> NumberFormat | None:
        """How the column is written, if another column proves the decimal sign `elsewhere`; None if nothing fits."""
        seen, decimal = self._seen, self.decides()
        if self.contradicts or (decimal is None and all(seen[f"either{mark}"] for mark in _MARKS)):
            return None
        decimal = decimal or self._of_money() or elsewhere or ("," if seen["either,"] else ".")
        other = next(mark for mark in _MARKS if mark != decimal)
        grouped = bool(seen[f"thousands{other}"] or seen[f"either{other}"] or seen["spaced"])
        return NumberFormat(
            decimal=decimal if seen[f"decimal{decimal}"] or seen[f"either{decimal}"] or grouped else ".",
            grouped=grouped,
            currency=min(self._currencies, default=None),
            percent=bool(seen["percent"]),
            brackets=bool(seen["brackets"]),
            minus_behind=bool(seen["minus behind"]),
        )


def _enough(texts: pa.Array) -> pa.Array:
    """The first texts only, where a program can read all of them and no further one could mean something else."""
    if len(texts) <= SAMPLE:
        return texts
    try:
        texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return texts
    first = texts.slice(0, SAMPLE)
    proven = pc.any(pc.match_substring_regex(first, _DECIMAL["."])).as_py()
    return first if proven or not pc.any(pc.match_substring_regex(texts, _EITHER["."])).as_py() else texts


def number_formats(shapes: Mapping[str, NumberShapes], *, delimiter: str | None) -> dict[str, NumberFormat]:
    """How each column is written, of those that are not written as programs write numbers.

    Parameters
    ----------
    delimiter
        The file's; where it is the comma, an undecided comma within a number groups thousands.
    """
    proven = _proven(shapes)
    elsewhere = next(iter(proven)) if len(proven) == 1 else None
    if elsewhere is None and not proven and delimiter == ",":
        elsewhere = "."
    found = {name: shape.format(elsewhere) for name, shape in shapes.items()}
    return {name: written for name, written in found.items() if written is not None and written != USUAL}


def undecided(shapes: Mapping[str, NumberShapes], *, delimiter: str | None) -> dict[str, str]:
    """Columns whose mark may be a decimal sign or a thousands sign, and nothing in the file tells; with that mark."""
    if len(_proven(shapes)) == 1:
        return {}
    marks = {name: shape.ambiguous() for name, shape in shapes.items() if not shape.is_money}
    return {name: mark for name, mark in marks.items() if mark == "." or (mark == "," and delimiter != ",")}


def _proven(shapes: Mapping[str, NumberShapes]) -> set[str]:
    return {decimal for shape in shapes.values() if (decimal := shape.decides()) is not None}


def _without_currency(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(pc.replace_substring_regex(texts, _BEFORE, r"\1"), _AFTER, "")


def _bare(texts: pa.Array) -> pa.Array:
    """Texts without brackets, currencies and per cent signs; brackets and a minus behind become a minus."""
    texts = pc.replace_substring_regex(texts, r"^[\x{2212}\x{2013}]\s*", "-")
    texts = pc.replace_substring_regex(_without_currency(texts), _BRACKETS, r"-\1")
    texts = _without_currency(texts)
    texts = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, _PERCENT, ""))
    return pc.replace_substring_regex(texts, _MINUS_BEHIND, r"-\1")
