"""Cells that are hidden from the trees, so that they learn what a missing value means where training has none.

Law: only rows that trees learn from are hidden from; whatever judges (held-out, calibration and test rows) is whole.
"""

from __future__ import annotations

import numpy as np

from ml_service.arrays import Floats
from shared.schema.features import Schema

#: Share of all cells, chosen by measurement (docs/model-card.md).
SHARE = 0.005
#: In a row of which several cells are hidden, each is with a probability drawn from here.
SEVERAL = (0.3, 1.0)
#: Share of training rows that may lack a feature which training "had complete".
ALMOST = 0.001


def hide(values: Floats, seed: int) -> Floats:
    """A copy with `SHARE` of its cells missing: half of them one by one, half in rows that lack several at once.

    A feed that fails takes all its columns with it, and of a new customer only the plan is known: trees that had only
    seen one cell missing at a time would add up what each gap alone is worth.

    Parameters
    ----------
    values
        The model's matrix, shape (rows, features).
    seed
        The same matrix shape and seed hide the same cells.
    """
    rng = np.random.default_rng((seed, 0x41DE))
    rows, features = values.shape
    hidden = rng.random((rows, features), dtype=np.float32) < SHARE / 2
    several = np.flatnonzero(rng.random(rows) < SHARE / 2 / np.mean(SEVERAL))
    odds = rng.uniform(*SEVERAL, len(several))
    hidden[several] |= rng.random((len(several), features)) < odds[:, None]
    return np.where(hidden, np.nan, values)


def complete_features(schema: Schema, values: Floats) -> list[str]:
    """Features that training had complete: missing in at most one row of a thousand.

    Parameters
    ----------
    values
        The training rows' matrix, nothing hidden.
    """
    missing = np.isnan(values).mean(axis=0)
    return [name for name, share in zip(schema.feature_names, missing, strict=True) if share <= ALMOST]
