"""Elements of the report's page: sections, paragraphs, tables and figures in words.

Law: words are set as text, so that nothing from the data becomes markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement

UNKNOWN = "unknown"
#: A cell that is one figure, as against words or a range.
FIGURE = re.compile(r"[+-]?[\d,.]+( %)?|-|unknown")
#: Cells with a figure and its interval, which no line break parts.
RANGE = re.compile(r"[^a-z]*\d[^a-z]*( to [^a-z]*)?|-|unknown")


def add(parent: Element, tag: str, words: str, **attributes: str) -> Element:
    """Append an element with a text."""
    element = SubElement(parent, tag, attributes)
    element.text = words
    return element


def section(parent: Element, title: str) -> Element:
    """Append a part of the page under a heading; what stands in it is appended to what this returns."""
    part = SubElement(parent, "section")
    add(part, "h2", title)
    return part


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many decimals, or the word for one that is not known."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share in per cent."""
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def _kind(cells: Sequence[str]) -> dict[str, str]:
    if all(FIGURE.fullmatch(cell) for cell in cells):
        return {"class": "figure"}
    return {"class": "range"} if all(RANGE.fullmatch(cell) for cell in cells) else {}


def table(parent: Element, name: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Append a table of texts; the first cell of a row heads it, and columns of figures are set to the right."""
    texts = [list(row) for row in rows]
    kinds = [_kind([row[at] for row in texts]) if at else {} for at in range(len(header))]
    # On a narrow screen a wide table scrolls by itself, by keyboard too.
    frame = SubElement(parent, "div", {"class": "scrolls", "tabindex": "0", "role": "group", "aria-label": name})
    whole = SubElement(frame, "table")
    add(whole, "caption", name)
    top = SubElement(SubElement(whole, "thead"), "tr")
    for title, kind in zip(header, kinds, strict=True):
        add(top, "th", title, scope="col", **(kind if kind.get("class") == "figure" else {}))
    inside = SubElement(whole, "tbody")
    for row in texts:
        line = SubElement(inside, "tr")
        add(line, "th", row[0], scope="row")
        for cell, kind in zip(row[1:], kinds[1:], strict=True):
            add(line, "td", cell, **kind)
