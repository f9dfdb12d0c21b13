"""Limits on the size, depth and width of a caller's text, checked before a parser sees it.

Law: each limit is defined here once, with its unit; text beyond a limit is refused before it is parsed, and the message
states the limit. Parsers can be quadratic, recursive, or expand their input; these checks are one pass over the text.
"""

from __future__ import annotations

import re

from shared.errors import InvalidSchema, MalformedRequest, TooLarge

#: Characters of a TOML schema: 500 features with labels, actions and comments take less than half of it.
MAX_SCHEMA_CHARACTERS = 500_000
#: Parts of a dotted key; `features."a.b".kind` has three.
MAX_KEY_PARTS = 8
#: The largest whole number, and so the largest id, of the database and Arrow.
MAX_INT64 = 2**63 - 1
#: Nesting depth of arrays and inline tables.
MAX_SCHEMA_DEPTH = 8
#: Characters of a bare key, date or number; a column's name has at most 200.
MAX_WORD_CHARACTERS = 250
#: Values of the label that mean churned.
MAX_POSITIVE = 1_000

#: Bytes of a JSON body, which is meant for a few rows.
MAX_JSON_BYTES = 1024 * 1024
#: Nesting depth of arrays and objects.
MAX_JSON_DEPTH = 64
#: Names in a JSON text; also its arrays and objects.
MAX_JSON_PARTS = 10_000
#: Faults listed in one answer.
MAX_DETAILS = 1_000

#: Columns of a file, whichever way it is sent.
MAX_COLUMNS = 2_000
#: Characters of a preview, cells and headers together.
MAX_PREVIEW_CHARACTERS = 500_000
#: Bytes of a job's stored result, and of its stored error details.
MAX_RESULT_BYTES, MAX_ERROR_BYTES = 8 * 1024 * 1024, 512 * 1024
#: Bytes of a Parquet file's footer metadata.
MAX_FOOTER_BYTES = 16 * 1024 * 1024

#: Columns (features and others), batches and rows of an Arrow stream.
MAX_ARROW_COLUMNS, MAX_ARROW_MESSAGES, MAX_ARROW_ROWS = 2_100, 10_000, 100_000_000
#: Bytes of an Arrow stream's schema with its metadata, and of the metadata alone.
MAX_ARROW_SCHEMA_BYTES, MAX_METADATA_BYTES = 8 * 1024 * 1024, 2 * 1024 * 1024
#: Bytes of an Arrow stream's numbers as 64 bits each: allowed up to this many, or this many times the stream's size.
MAX_UNPACKED_BYTES, MAX_UNPACKED_TIMES = 256 * 1024 * 1024, 16
#: Bytes of a column's expanded texts, if each text can be stored once and referenced many times.
MAX_REPEATED_BYTES = 256 * 1024 * 1024

#: Texts and comments of TOML, whose dots and brackets don't count. A text can end with up to two quotes of its own.
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
    """Raise InvalidSchema if parsing a text as TOML could take long or exhaust memory.

    `tomllib` is quadratic in the parts of a dotted key, and recurses into nested values.
    """
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise _unreadable(f"it has {len(text):,} characters; at most {MAX_SCHEMA_CHARACTERS:,} are allowed")
    bare = ".".join(part.strip(" \t") for part in _TEXTS.sub("_", text).split("."))
    for word in _WORD_ENDS.split(bare):
        if word.count(".") >= MAX_KEY_PARTS:
            raise _unreadable(f"a key has {word.count('.') + 1:,} dotted parts; at most {MAX_KEY_PARTS} are allowed")
        if len(word) > MAX_WORD_CHARACTERS:
            raise _unreadable(
                f"a key or number has {len(word):,} characters; at most {MAX_WORD_CHARACTERS} are allowed"
            )
    if _is_deeper(_TOML_BRACKETS.findall(bare), MAX_SCHEMA_DEPTH):
        raise _unreadable(f"brackets are nested more than {MAX_SCHEMA_DEPTH} levels deep")


def _unreadable(why: str) -> InvalidSchema:
    return InvalidSchema(f"The schema can't be read: {why}.", details=[{"field": "schema", "message": why}])


def refuse_hard_json(raw: bytes) -> None:
    """Check JSON before it is parsed and validated, which reports each invalid name or value separately.

    Raises
    ------
    MalformedRequest
        Arrays and objects are nested too deep.
    TooLarge
        There are too many names, or too many arrays and objects.
    """
    if raw.count(b"[") + raw.count(b"{") <= MAX_JSON_DEPTH and raw.count(b":") <= MAX_JSON_PARTS:
        return
    bare = _JSON_TEXTS.sub(b"", raw)
    if _is_deeper(_JSON_BRACKETS.findall(bare), MAX_JSON_DEPTH):
        raise MalformedRequest(f"The JSON is nested more than {MAX_JSON_DEPTH} levels deep.")
    if max(bare.count(b":"), bare.count(b"[") + bare.count(b"{")) > MAX_JSON_PARTS:
        raise TooLarge(f"The JSON has more than {MAX_JSON_PARTS:,} names, or arrays and objects: send fewer rows.")


def _is_deeper(brackets: list[str] | list[bytes], most: int) -> bool:
    depth = 0
    for bracket in brackets:
        depth = depth + 1 if bracket in ("[", "{", b"[", b"{") else max(depth - 1, 0)
        if depth > most:
            return True
    return False
