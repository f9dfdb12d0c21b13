"""Others like a customer: what present customers with the same plan have, or all where those are few.

Law: what is read depends on the base alone and not on the customer, so it is kept while the base stays
the same, and for a minute more if reading it was costly.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from database.customers.others import facts_of_many
from database.engine import kept_figures
from database.engine.session import Database
from gateway.query_cache import QueryCache
from shared.contracts.api import Cell
from shared.schema.features import Schema

#: About so many of a larger base are compared, evenly spaced, and at least half of that: ranks among them are within
#: 1.5 % (two standard errors) of the whole base's. Reading them takes 0.2 s of a request on a base of a million.
MOST = 10_000
#: Customers with the same plan of whom the fact is known; if fewer, all customers are compared.
FEWEST = 100
#: A dose is the value of the customer who stands this share of the others ahead ...
AHEAD = 0.25
#: ... but not of one who has more than this share of them behind, and there is none for whoever has `ENOUGH` behind.
FURTHEST = 0.9
ENOUGH = 0.75


@dataclass(frozen=True)
class Numbers:
    """A number of the others, ascending."""

    values: array[float]

    def ahead(self, value: float, *, is_up: bool) -> float | None:
        """Return the value a quarter of the others ahead of this one; None for who is far ahead already.

        Parameters
        ----------
        is_up
            Whether larger values are ahead.

        >>> login = Numbers(array("d", [0, 1, 1, 2, 3, 5, 8, 13, 20, 30]))
        >>> [login.ahead(days, is_up=False) for days in (30, 8, 2, 1)]
        [8.0, 2.0, 1.0, None]
        """
        n = len(self.values)
        behind = bisect_right(self.values, value) if is_up else n - bisect_left(self.values, value)
        if behind >= ENOUGH * n:
            return None
        at = ceil(min(behind + AHEAD * n, FURTHEST * n)) - 1
        return self.values[at] if is_up else self.values[n - 1 - at]

    def share(self, value: float, *, is_up: bool) -> float:
        """Return the share of the others who have at least this value (at most it, if smaller ones are ahead)."""
        n = len(self.values)
        return (n - bisect_left(self.values, value) if is_up else bisect_right(self.values, value)) / n


@dataclass(frozen=True)
class Alike:
    """The others with one plan, or all of them (`plan` None): their known values by feature."""

    plan: Cell
    numbers: Mapping[str, Numbers]
    categories: Mapping[str, Counter[str]]

    def share(self, feature: str, value: Cell, *, is_up: bool) -> float:
        """Return the share of those whose fact is known that have this value; of numbers, at least (at most) this."""
        found = self.numbers.get(feature)
        if found is not None:
            assert isinstance(value, int | float)
            return found.share(value, is_up=is_up)
        return self.categories[feature][str(value)] / max(self.known(feature), 1)

    def known(self, feature: str) -> int:
        """Return of how many the fact is known."""
        found = self.numbers.get(feature)
        return len(found.values) if found else self.categories[feature].total()


class Others:
    """Present customers, all together and by plan."""

    def __init__(self, schema: Schema, features: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._plan_feature = schema.plan_feature
        self._all = _alike(schema, features, rows, None)
        by_plan: dict[float | str, list[Sequence[Any]]] = {}
        if self._plan_feature is not None:
            at = features.index(self._plan_feature)
            for row in rows:
                if row[at] is not None:
                    by_plan.setdefault(row[at], []).append(row)
        self._by_plan = {
            plan: _alike(schema, features, of_plan, plan) for plan, of_plan in by_plan.items() if len(of_plan) >= FEWEST
        }

    def like(self, facts: Mapping[str, Cell], feature: str) -> Alike:
        """Return the others whose values of a feature these facts are compared with."""
        if self._plan_feature is None or self._plan_feature == feature:
            return self._all
        plan = facts[self._plan_feature]
        found = None if plan is None else self._by_plan.get(plan)
        return found if found is not None and found.known(feature) >= FEWEST else self._all


def _alike(schema: Schema, features: Sequence[str], rows: Sequence[Sequence[Any]], plan: Cell) -> Alike:
    numbers: dict[str, Numbers] = {}
    categories: dict[str, Counter[str]] = {}
    for at, feature in enumerate(features):
        known = [row[at] for row in rows if row[at] is not None]
        if schema.features[feature].kind == "number":
            numbers[feature] = Numbers(array("d", sorted(known)))
        else:
            categories[feature] = Counter(known)
    return Alike(plan, numbers, categories)


def others(database: Database, cache: QueryCache, schema: Schema) -> Others:
    """Return the customers that one is compared with; read again once customers have changed, or within a minute."""
    with database.read() as connection:
        state = kept_figures.state_of(connection, schema)
    return cache.get_or_read_in(state, "others", lambda: _read(database, schema))


def _read(database: Database, schema: Schema) -> Others:
    features = [name for name, about in schema.features.items() if about.actionable]
    if schema.plan_feature is not None and schema.plan_feature not in features:
        features.append(schema.plan_feature)
    with database.read() as connection:
        rows = facts_of_many(connection, schema, features, at_most=MOST) if features else []
    return Others(schema, features, rows)
