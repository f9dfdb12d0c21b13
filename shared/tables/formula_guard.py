"""Cells that no spreadsheet runs: text that would be a formula is marked, and the mark comes off again.

Law: `unguard_cell(guard_cell(text)) == text` for every text; numbers and dates are not text and are never guarded.
"""

from __future__ import annotations

#: First characters that make a spreadsheet take a cell for a formula, or break out of the cell before it.
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
MARK = "'"
#: Guarded text as a regular expression (RE2 and `re` alike), for whole columns at once; group 1 is the text itself.
GUARDED = f"^{MARK}({MARK}*[{''.join(STARTS).replace('-', chr(92) + '-')}])"


def guard_cell(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run; it shows the rest as text.

    Text that begins with apostrophes and then goes on like a formula gets one more, so that nothing is ambiguous.

    >>> guard_cell("=1+1"), guard_cell("'=1+1"), guard_cell("O'Neil"), guard_cell("")
    ("'=1+1", "''=1+1", "O'Neil", '')
    """
    return MARK + text if text.lstrip(MARK).startswith(STARTS) else text


def unguard_cell(text: str) -> str:
    """Take the apostrophe off again.

    >>> unguard_cell("'=1+1"), unguard_cell("''=1+1"), unguard_cell("=1+1"), unguard_cell("'tis")
    ('=1+1', "'=1+1", '=1+1', "'tis")
    """
    return text[1:] if text.startswith(MARK) and text.lstrip(MARK).startswith(STARTS) else text
