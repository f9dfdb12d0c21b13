"""The 95 % interval of a rate, once for both services; see docs/definitions.md#wilson.

Law: plain Python, because the gateway's web process loads no model libraries.
"""

from __future__ import annotations

from math import sqrt

#: 97.5 % of the normal distribution.
Z95 = 1.959964


def wilson(positives: float, n: float) -> tuple[float, float]:
    """Compute the 95 % Wilson interval of a rate.

    Parameters
    ----------
    positives : float
        Number of positive rows.
    n : float
        Number of rows; an effective number where rows are weighted.

    Returns
    -------
    low, high : float
        In [0, 1]; (0, 1) if there are no rows.

    References
    ----------
    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American Statistical
    Association 22 (1927).

    Examples
    --------
    >>> low, high = wilson(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    """
    if n == 0:
        return 0.0, 1.0
    rate, z2 = positives / n, Z95**2
    middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)
