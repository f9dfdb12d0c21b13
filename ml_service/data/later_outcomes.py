"""Outcomes of rows after the 30 days of their label: whether they left within longer horizons, and why.

Law: what is not known yet is `UNKNOWN`, and such a row is neither a leaver nor a stayer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ml_service.arrays import Dates, Flags, Indices, Ints, Labels
from shared.contracts import arrow
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS
from shared.contracts.outlook import LATER_HORIZONS
from shared.errors import invalid
from shared.tables.read import CustomerTable

UNKNOWN = -1
#: The share of leavers whose end a file must have, and more days than any horizon has.
ACCOUNTED, FAR = 0.9, 10 * max(LATER_HORIZONS)


@dataclass(frozen=True)
class LaterOutcomes:
    """Outcomes of the rows of a snapshot; see docs/definitions.md#horizons.

    Attributes
    ----------
    left_within : dict of int to ndarray of int8, shape (n_rows,)
        By days: 1 for rows that left within them, 0 for rows that did not, UNKNOWN where that is not known yet.
    left_involuntarily : ndarray of int8, shape (n_rows,)
        For rows with label 1: 1 where the end was involuntary, 0 where it was wished, UNKNOWN where nobody says.
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


def later_outcomes_of_ends(
    customers: Ints, as_of: Dates, label: Labels, ends: Dates, involuntary: Labels
) -> LaterOutcomes | None:
    """Derive the outcomes of the rows of a file from the ends that it has.

    An end after which the customer has a row again within the grace gap does not count. The label of the newest rows
    speaks of their own days, so nothing is known after these.

    Parameters
    ----------
    customers : ndarray of int64, shape (n_rows,)
        The same number for the rows of one customer.
    as_of : ndarray of datetime64[D], shape (n_rows,)
    label : ndarray of int8, shape (n_rows,)
    ends : ndarray of datetime64[D], shape (n_rows,)
        NaT where a row has none.
    involuntary : ndarray of int8, shape (n_rows,)
        Cause of the end: 1 or 0, UNKNOWN where no reason is given.

    Returns
    -------
    outcomes : LaterOutcomes or None
        None where the ends don't account for nine of ten leavers.
    """
    _, number = np.unique(customers, return_inverse=True)
    first, span = as_of.min().astype(np.int64), int(np.ptp(as_of.astype(np.int64))) + 2 * FAR
    rows = number * span + (as_of.astype(np.int64) - first)
    at = np.flatnonzero(~np.isnat(ends) & (ends >= as_of.min()) & (ends <= as_of.max() + np.timedelta64(FAR)))
    moments, which = np.unique(number[at] * span + (ends[at].astype(np.int64) - first), return_index=True)
    dated = np.sort(rows)
    back = np.searchsorted(dated, moments + GRACE_DAYS, side="right") > np.searchsorted(dated, moments)
    moments, reason = moments[~back], involuntary[at][which][~back]
    following = np.searchsorted(moments, rows, side="right")
    place = np.minimum(following, max(len(moments) - 1, 0))
    if not len(moments):
        return None
    ahead = moments[place] - rows
    days = np.where((following < len(moments)) & (moments[place] // span == number), ahead, FAR)
    left = label == 1
    if (days[left] <= HORIZON_DAYS).mean() < ACCOUNTED:
        return None
    known = as_of.max() + np.timedelta64(HORIZON_DAYS)
    within = {
        horizon: np.where(as_of + np.timedelta64(horizon) <= known, left | (days <= horizon), UNKNOWN).astype(np.int8)
        for horizon in LATER_HORIZONS
    }
    cause = np.where(left & (days <= HORIZON_DAYS), reason[place], UNKNOWN).astype(np.int8)
    return LaterOutcomes(within, cause)


def later_outcomes_of_file(
    table: CustomerTable, customers: Ints, as_of: Dates | None, label: Labels
) -> LaterOutcomes | None:
    """Derive the outcomes of a file's rows; None where it has no dates, ids or ends."""
    end, reason = table.subscription.get("end"), table.subscription.get("end_reason")
    if as_of is None or end is None or table.schema.id is None:
        return None
    ends = end.to_numpy(zero_copy_only=False).astype("datetime64[D]")
    involuntary = np.full(len(label), UNKNOWN, np.int8)
    if reason is not None:
        told = [UNKNOWN if each is None else int(table.schema.is_involuntary(each)) for each in reason.to_pylist()]
        involuntary = np.array(told, dtype=np.int8)
    return later_outcomes_of_ends(customers, as_of, label, ends, involuntary)
