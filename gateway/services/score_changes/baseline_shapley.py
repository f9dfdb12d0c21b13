"""Shares of changed facts in the change of a value: Shapley values from one set of facts to another.

Law: the shares add up to the change, a fact that did not change has none, and no order of facts is preferred.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

from shared.contracts.api import Cell

Facts = Mapping[str, Cell]
#: Up to this many changed facts, every combination is asked for; above, orders are drawn.
EXACT = 7
#: Orders that are drawn, each with its reverse.
ORDERS = 16
SEED = 0


@dataclass(frozen=True)
class Path:
    """The rows to be evaluated between two sets of facts; the first has no fact changed, the last all of them."""

    rows: list[dict[str, Cell]]
    shares: Callable[[Sequence[float]], dict[str, float]]


def path(before: Facts, after: Facts) -> Path:
    """Return the rows whose values tell the shares, and the function that computes shares from them.

    References
    ----------
    Sundararajan and Najmi, "The many Shapley values for model explanation", ICML 2020 (baseline Shapley).
    """
    changed = [name for name in before if before[name] != after[name]]
    orders = None if len(changed) <= EXACT else _orders(changed)
    wanted: list[frozenset[str]] = [frozenset()]
    if orders is None:
        wanted += [_subset(changed, bits) for bits in range(1, 2 ** len(changed))]
    else:
        wanted += dict.fromkeys(frozenset(order[:at]) for order in orders for at in range(1, len(order) + 1))
        wanted.remove(frozenset(changed))
        wanted.append(frozenset(changed))
    place = {each: at for at, each in enumerate(wanted)}
    rows = [{name: (after if name in each else before)[name] for name in before} for each in wanted]

    def shares(values: Sequence[float]) -> dict[str, float]:
        known = {each: values[at] for each, at in place.items()}
        return _exact(changed, known) if orders is None else _drawn(orders, known)

    return Path(rows, shares)


def _subset(changed: Sequence[str], bits: int) -> frozenset[str]:
    return frozenset(name for at, name in enumerate(changed) if bits >> at & 1)


def _orders(changed: Sequence[str]) -> list[list[str]]:
    orders: list[list[str]] = []
    rng = random.Random(SEED)  # noqa: S311 - the same shares whenever they are asked for
    for _ in range(ORDERS):
        order = rng.sample(changed, len(changed))
        orders += [order, order[::-1]]
    return orders


def _exact(changed: Sequence[str], value: Mapping[frozenset[str], float]) -> dict[str, float]:
    n = len(changed)
    shares = dict.fromkeys(changed, 0.0)
    for without, known in value.items():
        for name in set(changed) - without:
            weight = 1 / (n * comb(n - 1, len(without)))
            shares[name] += weight * (value[without | {name}] - known)
    return shares


def _drawn(orders: Sequence[Sequence[str]], value: Mapping[frozenset[str], float]) -> dict[str, float]:
    shares = dict.fromkeys(orders[0], 0.0)
    for order in orders:
        for at, name in enumerate(order):
            step = value[frozenset(order[: at + 1])] - value[frozenset(order[:at])]
            shares[name] += step / len(orders)
    return shares
