"""Hides random cells in training, so that the trees learn to handle missing values in complete features too.

Law: cells are hidden only in rows that trees learn from, never in held-out, calibration or test rows.
"""

from __future__ import annotations

import numpy as np

from ml_service.arrays import Floats
from shared.schema.features import Schema

#: Share of all cells, chosen by measurement (docs/model-card.md).
SHARE = 0.005
#: Where several cells of a row are hidden, each is hidden with a probability drawn from this range.
SEVERAL = (0.3, 1.0)
#: A feature counts as complete in training if at most this share of the rows lacks it.
ALMOST = 0.001


def hide(values: Floats, seed: int) -> Floats:
    """Hide `SHARE` of the cells: half of them one at a time, half in rows that lack several.

    When a data feed fails, all its columns are missing together. Trees trained only on single missing cells would just
    add up the effects of each.

    Parameters
    ----------
    values : ndarray of float64, shape (n_rows, n_features)
        The model's matrix.
    seed : int
        The same cells are hidden for the same shape and seed.

    Returns
    -------
    values : ndarray of float64, shape (n_rows, n_features)
        A copy with NaN in the hidden cells.
    """
    rng = np.random.default_rng((seed, 0x41DE))
    rows, features = values.shape
    hidden = rng.random((rows, features), dtype=np.float32) < SHARE / 2
    several = np.flatnonzero(rng.random(rows) < SHARE / 2 / np.mean(SEVERAL))
    odds = rng.uniform(*SEVERAL, len(several))
    hidden[several] |= rng.random((len(several), features)) < odds[:, None]
    return np.where(hidden, np.nan, values)


def blank(values: Floats, feature: int) -> Floats:
    """A copy in which the feature at this position is missing in every row."""
    lacking = values.copy()
    lacking[:, feature] = np.nan
    return lacking


def complete_features(schema: Schema, values: Floats) -> list[str]:
    """List the features that are complete in training: missing in at most one row of a thousand.

    Parameters
    ----------
    schema : Schema
    values : ndarray of float64, shape (n_rows, n_features)
        Matrix of the training rows, without hidden cells.

    Returns
    -------
    names : list of str
    """
    missing = np.isnan(values).mean(axis=0)
    return [name for name, share in zip(schema.feature_names, missing, strict=True) if share <= ALMOST]
