"""Printing by commands: whatever a file, a database or a caller put into a text, a terminal only shows it.

Law: nothing else prints. A character that is no printable one is written as its escape, the end of a line inside a
value too: a cell can neither steer a terminal nor look like a line of ours.
"""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

import click


def printable(text: str, *, kept: str = "") -> str:
    """Escape what is not printable, as JSON and TOML write it; blanks of every alphabet stay.

    Examples
    --------
    >>> printable("usr\\x1b[2J")
    'usr\\\\u001b[2J'
    """
    return text if text.isprintable() else "".join(each if each in kept else _shown(each) for each in text)


def _shown(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def echo(*lines: str, err: bool = False, **style: Any) -> None:
    """Print lines, to standard error where `err` says so; style as for `click.style`."""
    for line in lines or ("",):
        shown = printable(line)
        click.echo(click.style(shown, **style) if style else shown, err=err)


def echo_text(text: str, *, err: bool = False) -> None:
    """Print a text of several lines."""
    echo(*text.removesuffix("\n").split("\n"), err=err)


def redraw(line: str) -> None:
    """Print a line in place of the last one, on a terminal at standard error."""
    click.echo(f"\r\x1b[2K{printable(line)}", nl=False, err=True)


def write_data(lines: bytes) -> None:
    """Write whole lines of data to standard output: as they are into a file or a pipe, escaped on a terminal."""
    if sys.stdout.isatty():
        lines = printable(lines.decode(), kept="\r\n").encode()
    sys.stdout.buffer.write(lines)
