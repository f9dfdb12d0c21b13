"""Commands print values so that none steers the terminal on which it is shown."""

from __future__ import annotations

import ast
import io
import json
import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.commands.printing import echo, echo_text, printable, redraw, write_data
from tests.stack import ROOT

CLEARS, BACKWARDS = "usr\x1b[2J\x07", "abc\u202ecba"
PRINTS = {"print", "click.echo", "click.secho", "click.echo_via_pager", "sys.stdout.write", "sys.stderr.write",
          "sys.stdout.buffer.write"}  # fmt: skip


class Terminal(io.TextIOWrapper):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_a_text_holds_is_printable_once_escaped(text: str) -> None:
    shown = printable(text)
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in shown)
    assert "\u202e" not in shown and "\u2028" not in shown
    if text.isprintable():
        assert shown == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escapes_are_those_of_toml(text: str) -> None:
    written = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    assert tomllib.loads(f"a = {printable(written)}")["a"] == text


def test_letters_and_blanks_of_every_alphabet_stay() -> None:
    for text in ("Ünï", "客戶　様", "عميل", "1\u202f000\u00a0€", "🙂"):
        assert printable(text) == text


def test_a_value_with_a_line_end_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    echo("usr\nError: all is lost", CLEARS)
    echo(BACKWARDS, err=True, fg="red")
    shown = capsys.readouterr()
    assert shown.out == "usr\\u000aError: all is lost\nusr\\u001b[2J\\u0007\n"
    assert shown.err == "abc\\u202ecba\n"


def test_a_text_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    echo_text(f"one\n\n{CLEARS}\n")
    echo()
    assert capsys.readouterr().out == "one\n\nusr\\u001b[2J\\u0007\n\n"


def test_progress_is_drawn_in_place_and_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    redraw(CLEARS)
    assert "usr\\u001b[2J" in capsys.readouterr().err


def test_data_are_escaped_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = f"id\r\n{CLEARS}\r\n".encode()
    for kind, wanted in ((io.TextIOWrapper, data), (Terminal, b"id\r\nusr\\u001b[2J\\u0007\r\n")):
        stream = kind(io.BytesIO(), encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            write_data(data)
            stream.flush()
        assert stream.buffer.getvalue() == wanted  # type: ignore[attr-defined]


def test_nothing_else_prints() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("gateway", "ml_service", "database", "shared", "retainstream")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "printing.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTS
    ]
    assert found == []
