"""Limits on the size, depth and width of a caller's text, checked before a parser sees it.

Law: each limit stands here once, with its unit; what is beyond one is refused in a sentence that says the limit, before
anything is parsed. Parsers are quadratic, recursive, or give out more than they take in; looking for that first is one
pass over the text.
"""

from __future__ import annotations

import re

from shared.errors import InvalidSchema, MalformedRequest, TooLarge

#: Characters of a schema in TOML: five hundred features with labels, actions and comments take less than half of it.
MAX_SCHEMA_CHARACTERS = 500_000
#: Parts of a dotted key; `features."a.b".kind` has three.
MAX_KEY_PARTS = 8
#: The largest whole number, and so the largest id, that the database and Arrow hold.
MAX_INT64 = 2**63 - 1
#: Arrays and inline tables within each other.
MAX_SCHEMA_DEPTH = 8
#: Characters of a bare key, date or number; a column's name has at most 200.
MAX_WORD_CHARACTERS = 250
#: Values of the label that mean churned.
MAX_POSITIVE = 1_000

#: Bytes of a JSON body: it is for a few rows.
MAX_JSON_BYTES = 1024 * 1024
#: Arrays and objects within each other.
MAX_JSON_DEPTH = 64
#: Names in a JSON text, and its arrays and objects.
MAX_JSON_PARTS = 10_000
#: Problems that one answer lists.
MAX_DETAILS = 1_000

#: Columns of a file, by whichever door it comes in.
MAX_COLUMNS = 2_000
#: Characters of a preview, cells and headers together.
MAX_PREVIEW_CHARACTERS = 500_000
#: Bytes of what a job came to, and of the details of its error, as they are stored.
MAX_RESULT_BYTES, MAX_ERROR_BYTES = 8 * 1024 * 1024, 512 * 1024
#: Bytes of a Parquet file's metadata, which stand at its end.
MAX_FOOTER_BYTES = 16 * 1024 * 1024

#: Columns, batches and rows of an Arrow stream: features, and what stands beside them.
MAX_ARROW_COLUMNS, MAX_ARROW_MESSAGES, MAX_ARROW_ROWS = 2_100, 10_000, 100_000_000
#: Bytes of an Arrow stream's schema with what travels beside it, and of that alone.
MAX_ARROW_SCHEMA_BYTES, MAX_METADATA_BYTES = 8 * 1024 * 1024, 2 * 1024 * 1024
#: Bytes that an Arrow stream's numbers take once they are 64 bits each: so many in any case, or so many times its own.
MAX_UNPACKED_BYTES, MAX_UNPACKED_TIMES = 256 * 1024 * 1024, 16
#: Bytes of a column's text, where texts are stored once and meant many times.
MAX_REPEATED_BYTES = 256 * 1024 * 1024

#: Texts and comments of TOML: dots and brackets in them mean nothing. A text may end with up to two marks of its own.
_TEXTS = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*(?:"{3,5}|\Z)'
    r"|'''(?:[^']|'{1,2}(?!'))*(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\.)*"?'
    r"|'[^'\n]*'?"
    r"|#[^\n]*",
    re.S,
)
_WORD_ENDS = re.compile(r"[\s=,\[\]{}]+")
_TOML_BRACKETS = re.compile(r"[\[\]{}]")
_JSON_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.S)
_JSON_BRACKETS = re.compile(rb"[\[\]{}]")


def refuse_hard_toml(text: str) -> None:
    """Raise InvalidSchema where reading a text as TOML could take long, or all memory.

    `tomllib` is quadratic in the parts of a dotted key, and calls itself for what stands within something else.
    """
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise _hard(f"it has {len(text):,} characters, and a schema has at most {MAX_SCHEMA_CHARACTERS:,}")
    bare = ".".join(part.strip(" \t") for part in _TEXTS.sub("_", text).split("."))
    for word in _WORD_ENDS.split(bare):
        if word.count(".") >= MAX_KEY_PARTS:
            raise _hard(f"a key has {word.count('.') + 1:,} parts with dots between, and {MAX_KEY_PARTS} are the most")
        if len(word) > MAX_WORD_CHARACTERS:
            raise _hard(f"a key or number has {len(word):,} characters, and {MAX_WORD_CHARACTERS} are the most")
    if _deeper(_TOML_BRACKETS.findall(bare), MAX_SCHEMA_DEPTH):
        raise _hard(f"brackets stand within each other more than {MAX_SCHEMA_DEPTH} times")


def _hard(why: str) -> InvalidSchema:
    return InvalidSchema(f"The schema can't be read: {why}.", details=[{"field": "schema", "message": why}])


def refuse_hard_json(raw: bytes) -> None:
    """Look at JSON before it is parsed and checked: each name or value that is wrong would be an error of its own.

    Raises
    ------
    MalformedRequest
        Where arrays and objects stand too deep within each other.
    TooLarge
        Where there are too many names, or too many arrays and objects.
    """
    if raw.count(b"[") + raw.count(b"{") <= MAX_JSON_DEPTH and raw.count(b":") <= MAX_JSON_PARTS:
        return
    bare = _JSON_TEXTS.sub(b"", raw)
    if _deeper(_JSON_BRACKETS.findall(bare), MAX_JSON_DEPTH):
        raise MalformedRequest(f"The JSON is nested more than {MAX_JSON_DEPTH} levels deep.")
    if max(bare.count(b":"), bare.count(b"[") + bare.count(b"{")) > MAX_JSON_PARTS:
        raise TooLarge(f"The JSON has more than {MAX_JSON_PARTS:,} names, or arrays and objects: send less at once.")


def _deeper(brackets: list[str] | list[bytes], most: int) -> bool:
    depth = 0
    for bracket in brackets:
        depth = depth + 1 if bracket in ("[", "{", b"[", b"{") else max(depth - 1, 0)
        if depth > most:
            return True
    return False
