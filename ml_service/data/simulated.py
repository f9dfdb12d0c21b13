"""The simulated subscribers as a snapshot: the default data of the commands and of an empty training request.

Law: the true probability never becomes a feature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml_service import metrics
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import typed_columns
from shared.errors import InvalidInput
from shared.schema.features import built_in_schema
from shared.simulation.simulate import PLANS, PRESETS, SimulatedMonths, training_records

CUSTOMERS = 13_334
#: Date of the first month of the simulation; the last month is then in December.
FIRST_DAY = np.datetime64("2025-01-15", "D")
STEP_DAYS = 30


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
    """Simulate a year: months 0 to 8 are for training, months 9 to 11 for the test.

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
    training, test = training_records(preset, customers=customers, seed=seed)
    schema = built_in_schema()
    columns = {name: pa.concat_arrays([_column(part, name) for part in (training, test)]) for name in schema.features}
    months = np.concatenate([training.month, test.month]).astype(np.int64)
    snapshot = Snapshot(
        schema=schema,
        features=typed_columns(schema, pa.table(columns)),
        label=np.concatenate([training.churned, test.churned]),
        as_of=FIRST_DAY + months * STEP_DAYS,
        row_keys=pa.array(np.concatenate([training.customer, test.customer]), pa.int64()),
        true_probability=np.concatenate([training.p_true, test.p_true]).astype(np.float64),
        # Nobody returns within a simulated month, so each label is known when its window ends.
        grace_days=0,
    )
    return Simulated(snapshot, metrics.auc(test.churned, test.p_true))


def _column(months: SimulatedMonths, name: str) -> pa.Array:
    values: npt.NDArray[np.generic] = getattr(months, name)
    if name == "plan":
        return pa.array([plan.name for plan in PLANS]).take(pa.array(values))
    return pa.array(values)
