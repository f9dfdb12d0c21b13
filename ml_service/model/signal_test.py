"""Whether the features tell anything at all about who leaves.

Law: what chance alone would reach is no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from ml_service.arrays import Floats, Folds, Labels
from ml_service.data.splitting import FOLDS
from shared.errors import NoSignal

#: Standard errors above one half. Three, not two: the trees' number was chosen on the same folds.
LEAST_Z = 3.0


@dataclass(frozen=True)
class Signal:
    """How far the out-of-fold ranking is from chance.

    Attributes
    ----------
    auc
        Mean over the folds.
    z
        Its distance from 1/2 in standard deviations of its permutation distribution.
    """

    auc: float
    z: float


def out_of_fold_signal(margin: Floats, label: Labels, folds: Folds, *, alike: float = 1.0) -> Signal:
    """Rank within each fold, against all ways of dealing the fold's labels out (its exact mean and variance).

    Parameters
    ----------
    margin
        Shape (rows,): each row's score by a model that has not seen it.
    alike
        Rows per independent observation: above 1 where rows are copies of each other.
    """
    areas, variances = [], []
    for number in range(int(folds.max(initial=FOLDS - 1)) + 1):
        inside = folds == number
        leavers = int(label[inside].sum())
        stayers = int(inside.sum()) - leavers
        if not leavers or not stayers:
            continue
        ranks = rankdata(margin[inside])
        area = (ranks[label[inside] == 1].sum() - leavers * (leavers + 1) / 2) / (leavers * stayers)
        areas.append(area)
        # Of a sum of ranks drawn without replacement; ties shrink it by themselves.
        rows = leavers + stayers
        variances.append(ranks.var() / ((rows - 1) * leavers * stayers))
    error = float(np.sqrt(np.sum(variances)) / len(areas)) * np.sqrt(alike)
    mean = float(np.mean(areas))
    return Signal(mean, float((mean - 0.5) / error) if error > 0 else 0.0)


def demand_signal(found: Signal, *, rows: int, leavers: int) -> None:
    """Refuse to make a model of noise.

    Raises
    ------
    NoSignal
    """
    if found.z < LEAST_Z:
        raise NoSignal(
            f"No signal found: on {rows:,} rows with {leavers:,} leavers the features rank leavers out of fold with an "
            f"AUC of {found.auc:.3f}, {max(found.z, 0):.1f} standard errors above chance; {LEAST_Z:g} are needed. No "
            "model was made. Check that the label belongs to these rows, or bring more rows or other features."
        )
