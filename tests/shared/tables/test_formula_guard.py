"""Guarding cells against spreadsheets: nothing runs, nothing is lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tables.formula_guard import GUARDED, STARTS, guard_cell, unguard_cell

NASTY = st.text(alphabet="'=+-@\t\r\n\uff1dab1 ", max_size=8) | st.text(max_size=20)


@given(NASTY)
def test_what_is_guarded_comes_back_as_it_was(text: str) -> None:
    assert unguard_cell(guard_cell(text)) == text


@given(NASTY)
def test_no_guarded_cell_begins_a_formula(text: str) -> None:
    assert not guard_cell(text).startswith(STARTS)


@given(NASTY)
def test_the_pattern_for_whole_columns_does_the_same(text: str) -> None:
    assert re.sub(GUARDED, r"\1", text, count=1) == unguard_cell(text)


@pytest.mark.parametrize("text", ["", "usr_1", "O'Neil", "'tis", "1-2", "a=b"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert guard_cell(text) == text
    assert unguard_cell(text) == text
