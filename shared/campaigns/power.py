"""The size of a campaign before it starts: customers needed, power, and the share that is not contacted.

Law: figures are for a two-sided test at 5 %, by the unpooled normal approximation (docs/definitions.md#campaign-size).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

LEVEL, POWER = 0.05, 0.8
_Z = NormalDist()
Z_LEVEL, Z_POWER = _Z.inv_cdf(1 - LEVEL / 2), _Z.inv_cdf(POWER)
#: Shares without contact that are tried, the smallest first; the last is taken where none is large enough.
SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)

#: More customers than there are people: an effect that needs them is never found.
MOST = 10_000_000_000


def needed(rate: float, reduction: float, *, ratio: float = 1.0) -> int | None:
    """Return the customers needed in the smaller arm, the one without contact; None if no number is enough.

    Parameters
    ----------
    rate
        Share that leaves without contact.
    reduction
        Relative: 0.19 for 19 % fewer leavers.
    ratio
        Customers in the larger arm per customer in the smaller one.

    Examples
    --------
    >>> needed(0.03, 0.19), needed(0.05, 0.19), needed(0.08, 0.19)
    (12758, 7511, 4560)
    """
    treated = rate * (1 - reduction)
    difference = abs(rate - treated)
    if difference**2 == 0 or not 0 <= treated <= 1:
        return None
    variance = treated * (1 - treated) / ratio + rate * (1 - rate)
    wanted = (Z_LEVEL + Z_POWER) ** 2 * variance / difference**2
    return ceil(wanted) if wanted <= MOST else None


def power(rate: float, reduction: float, contact: float, control: float) -> float:
    """Return the probability that a campaign of arms of these sizes finds the reduction.

    Examples
    --------
    >>> round(power(0.05, 0.19, 7511, 7511), 3)
    0.8
    """
    treated = rate * (1 - reduction)
    if min(contact, control) <= 0 or not 0 <= treated <= 1:
        return 0.0
    error = sqrt(treated * (1 - treated) / contact + rate * (1 - rate) / control)
    if error == 0:
        return 0.0
    return _Z.cdf(abs(rate - treated) / error - Z_LEVEL)


@dataclass(frozen=True)
class Size:
    """The arms of a campaign, and the probability that it finds the assumed reduction.

    Attributes
    ----------
    control_share
        Share that is not contacted.
    contact, control
        Customers expected in each arm.
    needed
        Customers needed in the arm without contact at this share, for a power of 80 %; None if no number is enough.
    needed_in_all
        Customers needed in both arms together.
    power
        Probability that the assumed reduction is found.
    """

    customers: int
    expected_rate: float
    reduction: float
    control_share: float
    contact: int
    control: int
    needed: int | None
    needed_in_all: int | None
    power: float

    @property
    def is_large_enough(self) -> bool:
        """Return whether the power is 80 % or more."""
        return self.power >= POWER


def size(customers: int, rate: float, reduction: float, control_share: float | None = None) -> Size:
    """Choose the share without contact, unless it is given, and tell what the campaign can find.

    The share is the smallest of `SHARES` whose power is 80 %; half, if no share is enough.

    Parameters
    ----------
    rate, reduction
        As `needed` has them.
    control_share
        Above 0, at most half.

    Examples
    --------
    >>> [size(customers, 0.05, 0.19).control_share for customers in (100, 15_022, 200_000)]
    [0.5, 0.5, 0.1]
    """
    if control_share is None:
        enough = (share for share in SHARES if _power(customers, rate, reduction, share) >= POWER)
        control_share = next(enough, SHARES[-1])
    wanted = needed(rate, reduction, ratio=(1 - control_share) / control_share)
    control = round(customers * control_share)
    return Size(
        customers=customers,
        expected_rate=rate,
        reduction=reduction,
        control_share=control_share,
        contact=customers - control,
        control=control,
        needed=wanted,
        needed_in_all=None if wanted is None else ceil(wanted / control_share),
        power=_power(customers, rate, reduction, control_share),
    )


def _power(customers: int, rate: float, reduction: float, share: float) -> float:
    return power(rate, reduction, customers * (1 - share), customers * share)
