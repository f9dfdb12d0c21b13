"""What became of rows after the 30 days of their label: whether they left within longer horizons, and why.

Law: what is not known yet is `UNKNOWN`, and such a row is neither a leaver nor a stayer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml_service.arrays import Flags, Indices, Labels
from shared.contracts import arrow
from shared.errors import invalid

UNKNOWN = -1


@dataclass(frozen=True)
class LaterOutcomes:
    """Outcomes of the rows of a snapshot; see docs/definitions.md#horizons.

    Attributes
    ----------
    left_within : dict of int to ndarray of int8, shape (n_rows,)
        By days: 1 for who left within them, 0 for who did not, UNKNOWN where that is not known yet.
    left_involuntarily : ndarray of int8, shape (n_rows,)
        Of rows with label 1: 1 where the end was involuntary, 0 where it was wished, UNKNOWN where nobody says.
    """

    left_within: Mapping[int, Labels]
    left_involuntarily: Labels

    def take(self, rows: Indices) -> LaterOutcomes:
        """The outcomes of the rows at these positions."""
        within = {days: label[rows] for days, label in self.left_within.items()}
        return LaterOutcomes(within, self.left_involuntarily[rows])

    def is_known(self, days: int) -> Flags:
        """Mark the rows whose outcome within so many days is known."""
        return np.asarray(self.left_within[days] != UNKNOWN)

    def as_bytes(self) -> bytes:
        """All outcomes, for a checksum."""
        return b"".join(label.tobytes() for label in (*self.left_within.values(), self.left_involuntarily))


def read_later_outcomes(column: Callable[[str], pa.Array | None], label: Labels) -> LaterOutcomes | None:
    """Read the outcomes of a training stream.

    Parameters
    ----------
    column : callable
        Returns the column of a name as int8, None where the stream does not have it.
    label : ndarray of int8, shape (n_rows,)

    Returns
    -------
    outcomes : LaterOutcomes or None
        None where no row has any, as in a table without dated ends.

    Raises
    ------
    InvalidInput
        If a value is neither 0 nor 1, or a customer with label 1 is said to have stayed longer.
    """
    within = {days: _outcomes(column, name, len(label)) for days, name in arrow.LEFT_WITHIN.items()}
    for days, name in arrow.LEFT_WITHIN.items():
        if ((within[days] == 0) & (label == 1)).any():
            raise invalid(name, "A customer with label 1 has left within a longer horizon too.")
    found = LaterOutcomes(within, _outcomes(column, arrow.LEFT_INVOLUNTARILY, len(label)))
    nothing = all((each == UNKNOWN).all() for each in (*within.values(), found.left_involuntarily))
    return None if nothing else found


def _outcomes(column: Callable[[str], pa.Array | None], name: str, rows: int) -> Labels:
    found = column(name)
    if found is None:
        return np.full(rows, UNKNOWN, np.int8)
    values = np.asarray(found.fill_null(UNKNOWN), dtype=np.int8)
    if not np.isin(values, (UNKNOWN, 0, 1)).all() or (values == UNKNOWN).sum() != found.null_count:
        raise invalid(name, "0, 1 or null is needed on every row.")
    return values
