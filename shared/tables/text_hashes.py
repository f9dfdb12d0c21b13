"""Hashes of many texts at once: a compact way to find equal ones in a file of any length.

Law: equal texts have equal hashes; equal hashes are checked against the texts before anything is said.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)


def text_hashes(texts: pa.Array) -> np.ndarray:
    """A 64-bit hash of each text (null counts as empty): a polynomial in its bytes modulo 2**64, then mixed.

    Returns
    -------
    ndarray of uint64, shape (len(texts),)
    """
    filled = pc.fill_null(texts, "") if texts.null_count else texts
    _, offsets_buffer, data_buffer = filled.buffers()
    count = len(filled)
    if count == 0 or data_buffer is None:
        return np.zeros(count, dtype=np.uint64)
    offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[filled.offset : filled.offset + count + 1]
    data = np.frombuffer(data_buffer, dtype=np.uint8)[offsets[0] : offsets[-1]]
    starts = offsets - offsets[0]
    lengths = np.diff(starts)
    powers = np.full(int(lengths.max(initial=0)) + 1, _STEP)
    powers[0] = 1
    powers = np.multiply.accumulate(powers)
    position = np.arange(len(data)) - np.repeat(starts[:-1], lengths)
    terms = (data.astype(np.uint64) + np.uint64(1)) * powers[position]
    sums = np.concatenate(([np.uint64(0)], np.add.accumulate(terms, dtype=np.uint64)))
    found: np.ndarray = sums[starts[1:]] - sums[starts[:-1]]
    found ^= found >> np.uint64(32)
    found *= _MIX
    found ^= found >> np.uint64(29)
    return found


def repeated(hashes: np.ndarray) -> np.ndarray:
    """Positions whose hash occurs more than once, ascending."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    same = ordered[1:] == ordered[:-1]
    found = np.zeros(len(hashes), dtype=bool)
    found[order[1:][same]] = True
    found[order[:-1][same]] = True
    return np.flatnonzero(found)
