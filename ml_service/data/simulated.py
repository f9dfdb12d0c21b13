"""The simulated subscribers as a snapshot: the default data of the commands and of an empty training request.

Law: the true probability never becomes a feature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml_service import metrics
from ml_service.arrays import Dates, Ints, Labels
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.later_outcomes import UNKNOWN, later_outcomes_of_ends
from shared.errors import InvalidInput
from shared.schema.features import built_in_schema
from shared.simulation.simulate import (
    END_REASONS,
    PLANS,
    PRESETS,
    SimulatedMonths,
    SimulatedSubscriptions,
    simulate,
    split_year,
)

CUSTOMERS = 13_334
#: Date of the first month of the simulation; the last month is then in December.
FIRST_DAY = np.datetime64("2025-01-15", "D")
STEP_DAYS = 30
MONTHS = 12


@dataclass(frozen=True)
class Simulated:
    """Simulated training and test records.

    Attributes
    ----------
    snapshot : Snapshot
    ceiling_auc : float or None
        AUC of the true probability on the test records; None if these have only one class.
    """

    snapshot: Snapshot
    ceiling_auc: float | None


def simulated(preset: str = "documented", *, customers: int = CUSTOMERS, seed: int = 0) -> Simulated:
    """Simulate a year: months 0 to 8 are for training, months 9 to 11 for the test; all ends of the year are known.

    Parameters
    ----------
    preset : str, default="documented"
        A name in `shared.simulation.simulate.PRESETS`.
    customers : int, default=13334
    seed : int, default=0

    Returns
    -------
    simulated : Simulated

    Raises
    ------
    InvalidInput
        If the preset is unknown or there are no customers.
    """
    if preset not in PRESETS:
        raise InvalidInput(f"There is no preset {preset}; choose one of {', '.join(PRESETS)}.")
    if customers < 1:
        raise InvalidInput("At least one customer is needed.")
    made = simulate(preset, customers=customers, months=MONTHS, seed=seed)
    training, test = split_year(made.months)
    schema = built_in_schema()
    columns = {name: pa.concat_arrays([_column(part, name) for part in (training, test)]) for name in schema.features}
    months = np.concatenate([training.month, test.month]).astype(np.int64)
    customers_of = np.concatenate([training.customer, test.customer])
    label, as_of = np.concatenate([training.churned, test.churned]), FIRST_DAY + months * STEP_DAYS
    ends, involuntary = _next_ends(made.subscriptions, customers_of, months * STEP_DAYS)
    snapshot = Snapshot(
        schema=schema,
        features=typed_columns(schema, pa.table(columns)),
        label=label,
        as_of=as_of,
        row_keys=pa.array(customers_of, pa.int64()),
        true_probability=np.concatenate([training.p_true, test.p_true]).astype(np.float64),
        # Nobody returns within a simulated month, so each label is known when its window ends.
        grace_days=0,
        later=later_outcomes_of_ends(customers_of, as_of, label, ends, involuntary),
    )
    return Simulated(snapshot, metrics.auc(test.churned, test.p_true))


def _next_ends(lives: SimulatedSubscriptions, customer: Ints, day: Ints) -> tuple[Dates, Labels]:
    """Return when each customer leaves next after a day, NaT where that is not known, and whether involuntarily."""
    over = np.flatnonzero(~lives.is_open)
    # Customers and days in one number: no simulation has as many days.
    far = 1_000_000
    moments = lives.customer[over] * far + lives.ended_day[over]
    order = np.argsort(moments)
    over, moments = over[order], moments[order]
    place = np.searchsorted(moments, customer * far + day, side="right")
    at = over[np.minimum(place, max(len(over) - 1, 0))] if len(over) else np.zeros(len(day), np.int64)
    found = (place < len(over)) & (lives.customer[at] == customer)
    ends = np.where(found, FIRST_DAY + lives.ended_day[at], np.datetime64("NaT", "D"))
    involuntary = lives.end_reason[at] == END_REASONS.index("involuntary")
    return ends, np.where(found, involuntary, UNKNOWN).astype(np.int8)


def _column(months: SimulatedMonths, name: str) -> pa.Array:
    values: npt.NDArray[np.generic] = getattr(months, name)
    if name == "plan":
        return pa.array([plan.name for plan in PLANS]).take(pa.array(values))
    return pa.array(values)
