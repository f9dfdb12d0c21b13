"""The notes on a customer file that was read: what was recognised in it, and what was left out. Whole sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.tables.messages import SHOWN_HEADERS, ragged

SHOWN_WORDS = 5
_DATE_PARTS = str.maketrans({"D": "31", "M": "12", "Y": "2025"})

MIXED_LINE_ENDS = "The file mixes kinds of line ends; each ends a line."
DECIMAL_COMMA = "Numbers are written with a decimal comma."


def number_format(names: Sequence[str], example: str) -> str:
    """A note on columns whose numbers look like `example`, which is 1234.5."""
    return f"Numbers of {', '.join(map(repr, names[:SHOWN_HEADERS]))} are written like {example}: read as 1234.5."


def undecided_mark(name: str, mark: str) -> str:
    """A note on a column in which nothing tells a decimal sign from a thousands sign."""
    return (
        f"{name!r} has numbers such as 18{mark}500, and nothing in the file tells whether that is 18.5 or, with a "
        "thousands sign, 18500: read as 18.5. Write 18500 if thousands are meant."
    )


def written_in_two_ways(name: str) -> str:
    return (
        f"{name!r} holds numbers that are written in two ways (two decimal signs, two currencies, or a per cent sign "
        "at some): no numbers are read. Write all of them as 1234.5."
    )


def missing_words(name: str, words: Mapping[str, int]) -> str:
    """A note on the words that count as missing in a column, with their counts."""
    count = sum(words.values())
    cells = "1 cell counts" if count == 1 else f"{count:,} cells count"
    return f"{name!r}: {cells} as missing ({', '.join(map(repr, sorted(words)[:SHOWN_WORDS]))})."


def other_encoding(encoding: str) -> str:
    return f"The file is encoded in {encoding}, not in UTF-8."


def other_delimiter(name: str) -> str:
    return f"The columns are separated by {name}."


def unnamed_columns(count: int) -> str:
    return f"Columns without a name are left out: {count}."


def truth_words(name: str, words: tuple[str, str]) -> str:
    return f"{name!r} is written {words[0]}/{words[1]}, read as 1/0."


def date_format(name: str, written: str) -> str:
    return f"Dates of {name!r} are written {written.translate(_DATE_PARTS)} ({written})."


def column_absent(name: str, role: str) -> str:
    return f"The file has no column {name!r} ({role}), which the schema names."


def label_absent(name: str) -> str:
    return f"The file has no column {name!r}, so it doesn't say who churned."


def unlabelled(count: int, *, trained: bool) -> str:
    """A note on rows without a label; `trained` where the table is only trained on."""
    rows = "1 row has" if count == 1 else f"{count:,} rows have"
    return f"{rows} no label: not trained on{'' if trained else ', but scored'}."


def ended_and_stayed(count: int, place_name: str, lines: Sequence[int]) -> str:
    """A note on rows whose label says stayed and whose end has passed; `lines` are the first of them."""
    where = f"{place_name} {' and '.join(map(str, lines))}" + (" and others" if count > len(lines) else "")
    rows = "1 row says" if count == 1 else f"{count:,} rows say"
    return f"{rows} stayed, with an end that has passed ({where}): check the label, and whether it is an end."


def blank_lines(count: int, place_name: str, lines: Sequence[int]) -> str:
    """A note on lines without anything in them; `lines` are the first of them."""
    where = f"{place_name} {' and '.join(map(str, lines))}" + (" and others" if count > len(lines) else "")
    return f"{'1 line is' if count == 1 else f'{count:,} lines are'} blank and left out ({where})."


def label_blank(name: str) -> str:
    return f"The column {name!r} is blank, so it doesn't say who churned."


def nobody_churned(name: str, positive: Sequence[str], values: Sequence[Any]) -> str:
    seen, wanted = (", ".join(map(repr, some)) for some in (values, positive))
    advice = "Name those that mean the customer left under `positive` in the schema."
    return f"Nobody churned: {name!r} is never {wanted}; it holds {seen}. {advice}"


def columns_left_out(ignored: Sequence[str], others: Sequence[str]) -> list[str]:
    notes = [f"Left out, as the schema says: {', '.join(ignored)}."] if ignored else []
    return notes + ([f"Not in the schema and left out: {', '.join(others[:SHOWN_HEADERS])}."] if others else [])


def ids_differ_by_case(count: int, examples: Sequence[str]) -> str:
    such = f", such as {' and '.join(map(repr, examples))}" if examples else ""
    return f"{count:,} ids differ from another one only by case{such}: they are taken for different customers."


def ragged_left_out(line: int, cells: int, width: int) -> str:
    return f"Lines with another number of cells than the header are left out; line {line} has {ragged(cells, width)}."
