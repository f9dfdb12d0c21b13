"""Simulated campaigns: how often an effect is claimed, found and covered, by the product's own draw and interval.

python -m tests.evaluate.campaigns.simulation          takes about 10 minutes
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from shared.campaigns.draw import PRIME, Draw, limit
from shared.campaigns.effect import IMPROBABLE, Arm, measure, srm_probability


@dataclass(frozen=True)
class Simulated:
    """So many campaigns of so many customers, who leave at a rate without contact, and at a reduced one with it."""

    customers: int
    campaigns: int
    rate: float
    reduction: float
    control_share: float


@dataclass(frozen=True)
class Found:
    """Shares of the campaigns: an effect was claimed, the interval held the truth, the arms' sizes blocked it."""

    claimed: float
    covered: float
    blocked: float


def simulate(plan: Simulated, *, seed: int) -> Found:
    """Draw and measure the campaigns; a blocked one claims nothing."""
    chance, below = random.Random(seed), limit(plan.control_share)
    truth, treated = plan.rate * plan.reduction, plan.rate * (1 - plan.reduction)
    claimed = covered = blocked = 0
    for number in range(plan.campaigns):
        a, b, c, d = Draw(f"{seed}-{number}").coefficients  # `Draw.value`, written out: a call each takes twice as long
        customers, left = [0, 0], [0, 0]
        for key in range(1, plan.customers + 1):
            is_control = (((a * key + b) % PRIME * key + c) % PRIME * key + d) % PRIME < below
            customers[is_control] += 1
            left[is_control] += chance.random() < (plan.rate if is_control else treated)
        found = measure(Arm(customers[1], left[1]), Arm(customers[0], left[0]))
        probability = srm_probability(customers[1], customers[0], plan.control_share)
        assert found is not None
        assert probability is not None
        is_blocked = probability < IMPROBABLE
        blocked += is_blocked
        claimed += found.is_shown and not is_blocked
        covered += found.interval[0] <= truth <= found.interval[1]
    return Found(claimed / plan.campaigns, covered / plan.campaigns, blocked / plan.campaigns)


PLANS = (
    Simulated(2_000, 10_000, 0.05, 0.0, 0.5),
    Simulated(3_000, 10_000, 0.05, 0.0, 0.1),
    Simulated(15_022, 1_000, 0.05, 0.19, 0.5),
    Simulated(4_000, 2_000, 0.2, 0.2, 0.2),
)


if __name__ == "__main__":
    for at, plan in enumerate(PLANS):
        print(plan, simulate(plan, seed=at))
