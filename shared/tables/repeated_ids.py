"""Ids that stand in a file twice are found by their hashes, in memory of a few bytes for each row.

Equal texts have equal hashes; equal hashes are checked against the texts before a row is rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import InvalidTable
from shared.tables import file_notes, messages

#: More are not looked at one by one: the column is no id.
MAX_REPEATED = 100_000
MAX_CASE_EXAMPLES = 2_000
_DAY_STEP = np.uint64(0x9E3779B97F4A7C55)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)


Identities = Callable[[Sequence[int]], Mapping[int, tuple[str, str | None]]]
"""Record numbers to the id and the date of each of them that was accepted."""


class IdHashes:
    """Hashes of the id and the date of each accepted row."""

    def __init__(self) -> None:
        self._records: list[np.ndarray] = []
        self._ids: list[np.ndarray] = []
        self._folded: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []

    def add(self, records: np.ndarray, ids: pa.Array, as_of: pa.Array | None) -> None:
        """Add a batch of rows that were accepted."""
        hashes = text_hashes(ids)
        folded = pc.utf8_lower(ids)
        self._records.append(records)
        self._ids.append(hashes)
        self._folded.append(hashes if folded.equals(ids) else text_hashes(folded))
        if as_of is not None:
            days = np.asarray(as_of.cast(pa.int32()), dtype=np.int64).astype(np.uint64)
            hashes = hashes + (days + np.uint64(1)) * _DAY_STEP
        self._rows.append(hashes)

    @property
    def several(self) -> bool:
        """Return whether an id occurs in several rows."""
        ids = _joined(self._ids)
        return len(np.unique(ids)) < len(ids)

    def repeated(self, identities: Identities, column: str | None) -> Iterator[tuple[int, int, str]]:
        """Record, earlier record and id of each row whose id and date stand in an earlier row.

        Raises
        ------
        InvalidTable
            Where they are so many that `column` is no id.
        """
        suspects = _joined(self._records)[repeated(_joined(self._rows))].tolist()
        if len(suspects) > MAX_REPEATED:
            raise InvalidTable(messages.too_many_repeated(len(suspects), column))
        first: dict[tuple[str, str | None], int] = {}
        for record, row in sorted(identities(suspects).items()):
            if first.setdefault(row, record) != record:
                yield record, first[row], row[0]

    def case_note(self, identities: Identities) -> Iterator[str]:
        """A note on ids that are the same but for case: they are different customers, and may be one person."""
        folded = _joined(self._folded)
        different = len(np.unique(_joined(self._ids))) - len(np.unique(folded))
        if different <= 0:
            return
        suspects = _joined(self._records)[repeated(folded)].tolist()[:MAX_CASE_EXAMPLES]
        names: dict[str, set[str]] = {}
        for name, _ in identities(suspects).values():
            names.setdefault(name.lower(), set()).add(name)
        example = next((sorted(group)[:2] for group in names.values() if len(group) > 1), [])
        yield file_notes.ids_differ_by_case(different, example)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


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
