"""The signal test: training stops unless the features rank leavers better than chance.

Law: a model is made only if its out-of-fold AUC is at least 3 standard errors above 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from ml_service.arrays import Floats, Folds, Labels
from ml_service.data.splitting import FOLDS
from shared.errors import NoSignal

#: Standard errors above 1/2. Three rather than two, because the number of trees was chosen on the same folds. Dated
#: tables need more: rows of a customer share what does not change. On noise, z has a mean of 0.5 and a spread of 1.2.
MIN_Z, MIN_Z_OF_DATES = 3.0, 3.5


@dataclass(frozen=True)
class Signal:
    """Distance of the out-of-fold ranking from chance.

    Attributes
    ----------
    auc : float
        Mean over the folds.
    z : float
        (auc - 1/2) / the standard deviation of its permutation distribution.
    """

    auc: float
    z: float


def out_of_fold_signal(margin: Floats, label: Labels, folds: Folds, *, copies: float = 1.0) -> Signal:
    """Compare the AUC within each fold with its exact permutation distribution.

    Parameters
    ----------
    margin : ndarray of float64, shape (n_rows,)
        Out-of-fold log-odds.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    folds : ndarray of int8, shape (n_rows,)
        The fold that held out each row.
    copies : float, default=1.0
        Rows per independent observation; above 1 if rows repeat.

    Returns
    -------
    signal : Signal

    References
    ----------
    Mann, Whitney, "On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other", Annals
    of Mathematical Statistics 18 (1947).
    """
    aucs, variances = [], []
    for number in range(int(folds.max(initial=FOLDS - 1)) + 1):
        inside = folds == number
        leavers = int(label[inside].sum())
        stayers = int(inside.sum()) - leavers
        if not leavers or not stayers:
            continue
        ranks = rankdata(margin[inside])
        auc = (ranks[label[inside] == 1].sum() - leavers * (leavers + 1) / 2) / (leavers * stayers)
        aucs.append(auc)
        # Variance of a sum of ranks drawn without replacement; ties are accounted for.
        rows = leavers + stayers
        variances.append(ranks.var() / ((rows - 1) * leavers * stayers))
    error = float(np.sqrt(np.sum(variances)) / len(aucs)) * np.sqrt(copies)
    mean = float(np.mean(aucs))
    return Signal(mean, float((mean - 0.5) / error) if error > 0 else 0.0)


def require_signal(signal: Signal, *, rows: int, leavers: int, dated: bool) -> None:
    """Raise NoSignal unless the signal is strong enough to be more than chance.

    Parameters
    ----------
    signal : Signal
        As `out_of_fold_signal` measured it.
    rows, leavers : int
        Size of the training data, for the message.
    dated : bool
        Whether the rows have dates.

    Raises
    ------
    NoSignal
        If z is below 3, or 3.5 with dates.
    """
    least = MIN_Z_OF_DATES if dated else MIN_Z
    if signal.z < least:
        raise NoSignal(
            f"No signal found: on {rows:,} rows with {leavers:,} leavers, the features rank leavers out of fold with "
            f"an AUC of {signal.auc:.3f}, which is {max(signal.z, 0):.1f} standard errors above chance; at least "
            f"{least:g} are needed. No model was made. Check that the labels belong to these rows, or add rows or "
            "other features."
        )
