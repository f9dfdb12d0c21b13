"""Elements of the report's page: paragraphs, tables and figures in words.

Law: words are set as text, so that nothing from the data becomes markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement

UNKNOWN = "unknown"


def add(parent: Element, tag: str, words: str, **attributes: str) -> Element:
    """Append an element with a text."""
    element = SubElement(parent, tag, attributes)
    element.text = words
    return element


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many decimals, or the word for one that is not known."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share in per cent."""
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def table(parent: Element, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Append a table of texts."""
    whole = SubElement(parent, "table")
    top = SubElement(SubElement(whole, "thead"), "tr")
    for name in header:
        add(top, "th", name)
    inside = SubElement(whole, "tbody")
    for row in rows:
        line = SubElement(inside, "tr")
        for cell in row:
            add(line, "td", cell)
