"""The effect of a campaign: intention to treat, with Newcombe's interval, and a check of the arms' sizes.

Law: no effect is stated where the arms' sizes are improbable under the draw, or an arm is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt

from shared.wilson import wilson

#: Arms whose sizes are less probable than this under the draw block the effect.
IMPROBABLE = 0.001


@dataclass(frozen=True)
class Arm:
    """The customers of an arm whose outcome is known, and those of them who left."""

    customers: int
    left: int

    @property
    def rate(self) -> float | None:
        """Share that left; None if there is nobody."""
        return self.left / self.customers if self.customers else None


@dataclass(frozen=True)
class Effect:
    """The difference of two rates of leaving: without contact minus contacted, so that above 0 fewer left.

    Attributes
    ----------
    difference, interval
        In shares, with Newcombe's 95 % interval.
    relative
        difference / the rate without contact; None where nobody left.
    relative_interval
        The interval over the rate without contact, whose own chance it leaves out.
    """

    difference: float
    interval: tuple[float, float]
    relative: float | None
    relative_interval: tuple[float, float] | None

    @property
    def is_shown(self) -> bool:
        """Return whether the interval leaves out 0."""
        return self.interval[0] > 0 or self.interval[1] < 0


def newcombe(first: Arm, second: Arm) -> tuple[float, float]:
    """Return Newcombe's 95 % interval of the first rate minus the second (1998, method 10).

    Examples
    --------
    >>> tuple(round(end, 4) for end in newcombe(Arm(70, 56), Arm(80, 48)))
    (0.0524, 0.3339)
    """
    a, b = first.left / first.customers, second.left / second.customers
    (low_a, high_a), (low_b, high_b) = wilson(first.left, first.customers), wilson(second.left, second.customers)
    down, up = sqrt((a - low_a) ** 2 + (high_b - b) ** 2), sqrt((high_a - a) ** 2 + (b - low_b) ** 2)
    return a - b - down, a - b + up


def measure(control: Arm, contact: Arm) -> Effect | None:
    """Return the effect of having been drawn into the contacted arm; None if an arm is empty."""
    without, treated = control.rate, contact.rate
    if without is None or treated is None:
        return None
    low, high = newcombe(control, contact)
    difference = without - treated
    return Effect(
        difference=difference,
        interval=(low, high),
        relative=difference / without if without else None,
        relative_interval=(low / without, high / without) if without else None,
    )


def srm_probability(control: int, contact: int, control_share: float) -> float | None:
    """Return the probability of arms at least as far from the drawn share, by a chi-square test; None if empty.

    Examples
    --------
    >>> round(srm_probability(500, 500, 0.5), 3), srm_probability(600, 400, 0.5) < IMPROBABLE
    (1.0, True)
    """
    total = control + contact
    wanted = total * control_share
    if not total or not 0 < control_share < 1:
        return None
    square = (control - wanted) ** 2 / wanted + (contact - (total - wanted)) ** 2 / (total - wanted)
    return erfc(sqrt(square / 2))
