"""Sentences on whom to contact: the share of customers, the profit, and what both assume.

Law: no amount of money is told without the amounts that were assumed for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts.api import Profit


def profit_sentences(profit: Profit) -> Iterator[str]:
    """Write whom to contact and what it brings.

    Parameters
    ----------
    profit : Profit

    Yields
    ------
    sentence : str
    """
    share = f"{100 * profit.share:.1f} %"
    if profit.share_interval is not None:
        low, high = profit.share_interval
        share += f" (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
    gain = f"{profit.empc:.3f}"
    if profit.empc_interval is not None:
        gain += f" ({profit.empc_interval[0]:.3f} to {profit.empc_interval[1]:.3f})"
    yield (
        f"Contact the top {share} by score: the expected maximum profit (EMPC) is {gain} per customer of the base, on "
        f"{profit.n:,} test rows at a churn rate of {100 * profit.prevalence:.2f} %."
    )
    mean = profit.gamma_alpha / (profit.gamma_alpha + profit.gamma_beta)
    gamma = f"Beta({profit.gamma_alpha:g}, {profit.gamma_beta:g}), {100 * mean:.0f} % on average"
    yield (
        f"Assumed: a kept customer is worth {profit.clv:g}, an accepted offer costs {profit.offer:g}, a contact "
        f"{profit.contact:g}; stayers accept the offer, and the share of leavers who do is {gamma}. Nothing of this "
        "was measured on these customers."
    )
