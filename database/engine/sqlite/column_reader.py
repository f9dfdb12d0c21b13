"""The image of a SQLite database with one table, taken as columns: what `database.engine.sqlite.columns` brings out.

Law: every number as the float64 next to it, every text as it is, NULL as NaN or unknown; a value of another kind than
its column's is an error.

The driver makes a Python value of every cell, which would take more of a scoring run than all the rest. This is the
mirror image of `database.engine.sqlite.column_image`, for pages that SQLite has written (sqlite.org/fileformat2.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from database.engine.sqlite.column_image import LEAF, PAGE

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
#: What says of a value what it is: NULL, a whole number of so many bytes, a float, nought, one. Odd ones from 13 on
#: are texts, even ones from 12 on bytes, their length twice in it.
_NULL, _WHOLE, _FLOAT, _NOUGHT, _ONE, _TEXT = 0, {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}, 7, 8, 9, 13
_SIZES = np.array([0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0])
#: A row that is larger goes on in other pages.
_LARGEST = PAGE - 35
#: Bytes of text that are gathered at once, each by a number of eight bytes.
_AT_ONCE = 500_000
OTHER_KIND = "Column {name} holds something else than {wanted}."


@dataclass(frozen=True)
class Texts:
    """A column of text.

    Attributes
    ----------
    utf8
        All of it, one behind the other.
    ends
        Where each one ends; shape (rows,).
    known
        False where there is none, which is not the same as an empty one; shape (rows,).
    """

    utf8: Bytes
    ends: Ints
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Taken:
    """Rows in columns.

    Attributes
    ----------
    keys
        The rows' numbers, ascending; shape (rows,).
    columns
        `Floats` (NaN for NULL) or `Texts` each.
    """

    keys: Ints
    columns: list[Any]


def taken(image: bytes, kinds: Sequence[tuple[str, type]]) -> Taken:
    """The rows of the one table that is in an image.

    Parameters
    ----------
    image
        A database of pages of `PAGE` bytes, of which nothing was ever deleted.
    kinds
        Of each column the name and `float` or `str`.

    Raises
    ------
    ValueError
        A column holds something else, or a row has more or fewer columns.
    """
    raw = np.frombuffer(image, dtype=np.uint8)
    sizes, at = _varints(raw, _cells(raw))
    keys, at = _varints(raw, at)
    raw, at = _put_together(raw, sizes, at)
    order = np.argsort(keys, kind="stable")
    at = at[order]
    header, kind_at = _varints(raw, at)
    value_at = at + header
    columns = []
    for name, wanted in kinds:
        kind, kind_at = _varints(raw, kind_at)
        columns.append((_texts if wanted is str else _numbers)(raw, name, kind, value_at))
        value_at = value_at + _size(kind)
    if (kind_at != at + header).any():
        raise ValueError(f"Rows of {len(kinds)} columns were expected.")
    return Taken(keys[order], columns)


def _cells(raw: Bytes) -> Ints:
    """Where each row begins."""
    pages = raw.reshape(-1, PAGE)
    # The first page holds the table's definition.
    leaves = 1 + np.flatnonzero(pages[1:, 0] == LEAF)
    rows = pages[leaves, 3:5].view(">u2").astype(np.int64)
    listed = pages[leaves, 8 : 8 + 2 * int(rows.max(initial=0))].view(">u2")
    return (listed + leaves[:, None] * PAGE)[np.arange(listed.shape[1]) < rows]


def _varints(raw: Bytes, at: Ints) -> tuple[Ints, Ints]:
    """Whole numbers of seven bits a byte, the last byte below 128 or the ninth; and where each number ends."""
    byte = raw[at].astype(np.int64)
    value, end = byte & 0x7F, at + 1
    more = np.flatnonzero(byte > 0x7F)
    while len(more):
        byte, is_ninth = raw[end[more]].astype(np.int64), end[more] - at[more] == 8
        value[more] = np.where(is_ninth, value[more] << 8 | byte, value[more] << 7 | byte & 0x7F)
        end[more] += 1
        more = more[(byte > 0x7F) & ~is_ninth]
    return value, end


def _put_together(raw: Bytes, sizes: Ints, at: Ints) -> tuple[Bytes, Ints]:
    """The rows that go on in other pages, in one piece each behind all pages; and where each row is now."""
    pieces, length, at = [raw], len(raw), at.copy()
    for row in np.flatnonzero(sizes > _LARGEST).tolist():
        pieces += _pieces(raw, int(sizes[row]), int(at[row]))
        at[row] = length
        length += int(sizes[row])
    return (np.concatenate(pieces) if len(pieces) > 1 else raw), at


def _pieces(raw: Bytes, size: int, at: int) -> list[Bytes]:
    least = (PAGE - 12) * 32 // 255 - 23
    here = least + (size - least) % (PAGE - 4)
    here = here if here <= _LARGEST else least
    found, size, link = [raw[at : at + here]], size - here, at + here
    while size:
        page = (int.from_bytes(raw[link : link + 4].tobytes(), "big") - 1) * PAGE
        found.append(raw[page + 4 : page + 4 + min(size, PAGE - 4)])
        size, link = size - len(found[-1]), page
    return found


def _size(kind: Ints) -> Ints:
    return np.where(kind < len(_SIZES), _SIZES[np.minimum(kind, len(_SIZES) - 1)], (kind - len(_SIZES)) >> 1)


def _numbers(raw: Bytes, name: str, kind: Ints, at: Ints) -> Floats:
    found = np.full(len(kind), np.nan)
    for each in np.flatnonzero(np.bincount(kind)).tolist():
        here = kind == each
        if each == _FLOAT:
            found[here] = _read(raw, ">f8", at[here])
        elif each in _WHOLE:
            others = 64 - 8 * _WHOLE[each]  # bits that belong to what stands before it
            found[here] = _read(raw, ">i8", at[here] + _WHOLE[each] - 8).astype(np.int64) << others >> others
        elif each in (_NOUGHT, _ONE):
            found[here] = each - _NOUGHT
        elif each != _NULL:
            raise ValueError(OTHER_KIND.format(name=name, wanted="numbers"))
    return found


def _texts(raw: Bytes, name: str, kind: Ints, at: Ints) -> Texts:
    known = kind != _NULL
    if not ((kind >= _TEXT) & (kind % 2 == 1))[known].all():
        raise ValueError(OTHER_KIND.format(name=name, wanted="text"))
    sizes = _size(kind)
    step = _AT_ONCE // int(sizes.max(initial=1)) + 1
    parts = [_joined(raw, at[first : first + step], sizes[first : first + step]) for first in range(0, len(at), step)]
    return Texts(np.concatenate([raw[:0], *parts]), np.cumsum(sizes), known)


def _joined(raw: Bytes, at: Ints, sizes: Ints) -> Bytes:
    return raw[np.repeat(at + sizes - np.cumsum(sizes), sizes) + np.arange(sizes.sum())]


def _read(raw: Bytes, form: str, at: Ints) -> Any:
    """Numbers of eight bytes, which begin anywhere."""
    everywhere: Any = np.ndarray(len(raw) - 7, form, raw.data, strides=(1,))
    return everywhere[at]
