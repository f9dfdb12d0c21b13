"""Text that would be slow or large to parse is refused before it is parsed, and what people write is not."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import parsing_limits
from shared.errors import InvalidSchema, MalformedRequest, TooLarge
from shared.parsing_limits import MAX_COLUMNS, MAX_JSON_DEPTH, MAX_KEY_PARTS, refuse_hard_json, refuse_hard_toml
from shared.schema.features import BUILT_IN_PATH, MAX_FEATURES, Schema, load_schema, parse_schema, schema_from_dict
from shared.schema.toml import schema_toml
from tests.fuzz.examples import examples

ROOT = Path(__file__).parents[2]
LARGE = 490_000
#: Text by what it does to a parser without limits.
TOML_ATTACKS = {
    "a key of many parts": ".".join("a" * (LARGE // 2)) + "=1",
    "a key of many parts with blanks between": " . ".join("a" * (LARGE // 4)) + "=1",
    "a key of many quoted parts": ".".join(['"a"'] * (LARGE // 4)) + "=1",
    "a header of many parts": "[" + ".".join("a" * (LARGE // 2)) + "]",
    "a key of many parts within an inline table": "x={" + ".".join("a" * (LARGE // 2)) + "=1}",
    "a key of many parts behind a text that ends with a mark of its own": 'x=["""a"""",{'
    + "a." * (LARGE // 2)
    + "a=1}]",
    "a key of many parts behind a literal text that ends so": "x=['''a'''',{" + "a." * (LARGE // 2) + "a=1}]",
    "deep arrays": "x=" + "[" * LARGE,
    "deep arrays that end": "x=" + "[" * (LARGE // 2) + "]" * (LARGE // 2),
    "deep inline tables": "x=" + "{a=" * (LARGE // 3),
    "a number of many digits": "x=" + "1" * LARGE,
    "a number of many digits and lines": "x=" + "1_" * (LARGE // 2) + "1",
    "many numbers of 4,300 digits": "\n".join(f"k{n}=" + "9" * 4299 for n in range(LARGE // 4310)),
    "too much text": "#" * 600_000,
    "many unknown keys": "\n".join(f"k{n} = 1" for n in range(LARGE // 12)),
    "many features without a kind": "\n".join(f"[features.a{n}]" for n in range(LARGE // 20)),
    "many tables of an array": "[[a]]\n[a.b]\n" * (LARGE // 12),
    "many values in arrays": "positive=[" + '"",' * (LARGE // 3) + "]",
    "an endless text": 'x="' + "a" * LARGE,
    "many marks": '"' * LARGE,
    "many backslashes": 'x="' + "\\" * LARGE,
}


@pytest.mark.parametrize("attack", TOML_ATTACKS)
def test_a_schema_that_would_be_slow_to_read_is_refused_in_a_second(attack: str) -> None:
    began = time.process_time()
    with pytest.raises(InvalidSchema) as refused:
        parse_schema(TOML_ATTACKS[attack])
    assert time.process_time() - began < 1
    assert len(refused.value.message) < 1000


toml_pieces = st.sampled_from(
    ["a", ".", "[", "]", "{", "}", "=", ",", "\n", " ", '"', "'", '"""', "'''", "\\", "#", "1", "-", "features", "kind",
     '"number"', "9" * 5000, "a." * 3000, "[" * 3000, "{a=" * 1000, "1979-13-45", "1e400", "nan", "\r", "\x00", "é"]
)  # fmt: skip


@settings(max_examples=examples(400), deadline=None)
@given(st.one_of(st.lists(toml_pieces, max_size=40).map("".join), st.text(max_size=200)))
def test_no_text_raises_anything_but_the_one_error(text: str) -> None:
    began = time.process_time()
    with suppress(InvalidSchema):
        parse_schema(text)
    assert time.process_time() - began < 1


words = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=200).filter(str.strip)
features = st.fixed_dictionaries(
    {"kind": st.sampled_from(["number", "category"])},
    optional={"label": words, "action": words, "unit": words, "whole": st.booleans(), "step": st.floats(-1e9, 1e9)},
)


@settings(max_examples=examples(100), deadline=None)
@given(st.dictionaries(words, features, min_size=1, max_size=8), words)
def test_every_schema_that_can_be_written_can_be_read(named: dict[str, dict[str, Any]], name: str) -> None:
    given_schema = schema_from_dict({"name": name[:80], "features": named})
    assert parse_schema(tomli_w.dumps({"name": name[:80], "features": named})) == given_schema
    assert parse_schema(schema_toml(given_schema, ["a note: [[[[ . . . "], {})) == given_schema


def widest_schema() -> Schema:
    """As many features as there may be, their names as long as they may be."""
    about = {"kind": "number", "label": "A label. With [brackets]." * 4, "action": "Call them. " * 10}
    return schema_from_dict({
        "id": "who", "label": "left", "positive": ["Yes", "1"], "ignore": [f"c{n}" for n in range(1_000)],
        "features": {f"feature {n}. of [many] ".ljust(120, "x"): about for n in range(MAX_FEATURES)},
    })  # fmt: skip


def test_the_widest_schema_is_read() -> None:
    schema = widest_schema()
    assert parse_schema(schema_toml(schema, ["A note."], {})) == schema


@pytest.mark.parametrize("path", [BUILT_IN_PATH, *sorted((ROOT / "examples").glob("*.toml"))], ids=lambda p: p.name)
def test_the_schemas_that_come_with_it_are_read(path: Path) -> None:
    assert load_schema(path).features


def test_a_key_may_have_as_many_parts_as_the_limit_says() -> None:
    refuse_hard_toml(".".join("a" * MAX_KEY_PARTS) + " = 1")
    with pytest.raises(InvalidSchema, match=f"{MAX_KEY_PARTS + 1} dotted parts"):
        refuse_hard_toml(".".join("a" * (MAX_KEY_PARTS + 1)) + " = 1")


def test_a_schema_file_of_any_size_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(InvalidSchema, match="characters"):
        load_schema(path)


def nested(depth: int, sort: str) -> bytes:
    return ("[" * depth + "]" * depth if sort == "arrays" else '{"a":' * depth + "1" + "}" * depth).encode()


@pytest.mark.parametrize("sort", ["arrays", "objects"])
def test_json_may_be_as_deep_as_the_limit_says(sort: str) -> None:
    refuse_hard_json(nested(MAX_JSON_DEPTH, sort))
    with pytest.raises(MalformedRequest, match=f"{MAX_JSON_DEPTH} levels"):
        refuse_hard_json(nested(MAX_JSON_DEPTH + 1, sort))


@pytest.mark.parametrize("raw", [nested(100_000, "arrays"), nested(100_000, "objects"), b"[" * 500_000, b'{"a":1,' * 90_000,
                                 b"[" + b"{}," * 300_000, b"{" + b'"":1,' * 190_000, b'"' * 900_000 + b"[" * 100],
                         ids=["arrays", "objects", "open", "open objects", "many objects", "many names", "marks"])  # fmt: skip
def test_json_that_would_be_slow_to_read_is_refused_in_a_second(raw: bytes) -> None:
    began = time.process_time()
    with pytest.raises((MalformedRequest, TooLarge)):
        refuse_hard_json(raw)
    assert time.process_time() - began < 1


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_that_is_not_deep_passes_whatever_its_texts_hold(value: Any) -> None:
    refuse_hard_json(json.dumps({"value": value, "many": ["[[{"] * 2 * MAX_JSON_DEPTH}).encode())
    refuse_hard_json(json.dumps([[0]] * 2 * MAX_COLUMNS).encode())


def test_the_documented_limits_are_the_ones_that_hold() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    told = {name: int(value.replace(",", "")) for value, name in re.findall(r"\| ([\d,]+) \| `(MAX_\w+)` \|", text)}
    assert told == {name: value for name, value in vars(parsing_limits).items() if name.startswith("MAX_")}
