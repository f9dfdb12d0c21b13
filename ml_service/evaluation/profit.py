"""Profit of a retention campaign that contacts the customers with the highest scores.

Law: it depends on the order of the scores alone; what is assumed about money stands beside the result.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import betainc

from ml_service.arrays import Floats, Ints, Labels
from ml_service.evaluation.bootstrap import bootstrap_weights, interval
from ml_service.evaluation.evaluation import Evaluation
from shared.campaigns.costs import DEFAULT_COSTS, GAMMA_ALPHA, GAMMA_BETA, GAMMA_MEAN, CampaignCosts
from shared.contracts.api import Profit

#: Draws for the intervals: enough for two digits of a share.
DRAWS = 100


class Empc(NamedTuple):
    """The expected maximum profit of a campaign.

    Attributes
    ----------
    profit : float
        Per customer of the base, contacted or not.
    share : float
        Share of the customers to contact, from the highest score down; in [0, 1].
    """

    profit: float
    share: float


def empc(label: Labels, score: Floats, costs: CampaignCosts = DEFAULT_COSTS, *, weights: Floats | None = None) -> Empc:
    """Compute the expected maximum profit measure for customer churn, and the share of customers to contact.

    Parameters
    ----------
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    score : ndarray of float64, shape (n_rows,)
        Anything that ranks the rows: a probability or a margin.
    costs : CampaignCosts, optional
    weights : ndarray of float64, shape (n_rows,), optional
        Weights of the rows; at least one is above 0.

    Returns
    -------
    empc : Empc

    Notes
    -----
    Among customers of whom a share q leaves, a contact pays from the acceptance rate
    ``gamma = (offer + contact - q offer) / (q (clv - offer))`` on. The segments of the convex hull of the ROC curve,
    which isotonic regression finds, are groups with falling q: the best campaign at a gamma contacts the groups that
    pay. Each group's profit is integrated over the gammas at which it is contacted.

    References
    ----------
    Verbraken, Verbeke, Baesens, "A Novel Profit Maximizing Metric for Measuring Classification Performance of
    Customer Churn Prediction Models", IEEE Transactions on Knowledge and Data Engineering 25 (2013).

    Examples
    --------
    >>> found = empc(np.array([0, 1, 0, 1, 0, 1, 0, 1], np.int8), np.array([1, 2, 3, 4, 5, 7, 8, 9]) / 10)
    >>> round(found.profit, 7), round(found.share, 7)
    (23.8755934, 0.8743701)
    """
    return _empc(label, _groups(score), costs, np.ones(len(label)) if weights is None else weights)


def _groups(score: Floats) -> Ints:
    """The number of each row's group of equal scores, from the highest down."""
    return np.asarray(np.unique(-score, return_inverse=True)[1], dtype=np.int64)


def _empc(label: Labels, group: Ints, costs: CampaignCosts, weights: Floats) -> Empc:
    mass = np.bincount(group, weights)
    present = mass > 0
    mass = mass[present]
    fitted = isotonic_regression(np.bincount(group, weights * label)[present] / mass, weights=mass, increasing=False)
    starts = fitted.blocks[:-1]
    rate, mass = fitted.x[starts], np.add.reduceat(mass, starts)
    gain = costs.clv - costs.offer
    with np.errstate(divide="ignore", invalid="ignore"):
        pays_from = (costs.offer + costs.contact - rate * costs.offer) / (rate * gain)
    # Where nobody leaves, or a leaver is not worth the offer, no acceptance rate makes a contact pay.
    pays_from = np.clip(np.where((rate > 0) & (gain > 0), pays_from, 1.0), 0.0, 1.0)
    contacted = 1 - betainc(GAMMA_ALPHA, GAMMA_BETA, pays_from)
    accepted = GAMMA_MEAN * (1 - betainc(GAMMA_ALPHA + 1, GAMMA_BETA, pays_from))
    profit = rate * gain * accepted - (costs.offer * (1 - rate) + costs.contact) * contacted
    # Rounding alone leads out of the bounds.
    return Empc(max(0.0, float(mass @ profit / mass.sum())), min(1.0, float(mass @ contacted / mass.sum())))


def report_profit(evaluation: Evaluation, costs: CampaignCosts = DEFAULT_COSTS) -> Profit:
    """Compute the report's part on profit from the test rows.

    Parameters
    ----------
    evaluation : Evaluation
    costs : CampaignCosts, optional

    Returns
    -------
    profit : Profit
        At the natural churn rate where the table's own is another.
    """
    label, score = evaluation.label, evaluation.probability
    rate, natural = float(label.mean()), evaluation.snapshot.natural_rate
    at_rate = np.ones(len(label))
    if natural is not None:
        at_rate = np.where(label == 1, natural / rate, (1 - natural) / (1 - rate))
    group = _groups(score)
    found = _empc(label, group, costs, at_rate)
    draws = [
        _empc(label, group, costs, drawn * at_rate)
        for drawn in islice(bootstrap_weights(evaluation.groups, evaluation.model.seed), DRAWS)
    ]
    return Profit(
        share=found.share,
        share_interval=interval([draw.share for draw in draws]),
        empc=found.profit,
        empc_interval=interval([draw.profit for draw in draws]),
        n=len(label),
        prevalence=rate if natural is None else natural,
        clv=costs.clv,
        offer=costs.offer,
        contact=costs.contact,
        gamma_alpha=GAMMA_ALPHA,
        gamma_beta=GAMMA_BETA,
    )
