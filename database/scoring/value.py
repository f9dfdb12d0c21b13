"""Money at risk by plan or another group, summed over the present scores in the database.

Law: one row per group and bin of the score leaves the database, however many customers there are; the worth of a
payment is put in afterwards, so that one pass serves any terms.

How long somebody stays follows from the score by no formula that SQL has. So each bin is summed, and survival taken to
be straight within it: bins are so narrow where it bends that a sum differs by less than a millionth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, and_, case, func, select

from database.engine.expressions import floor
from database.tables import tables
from shared.horizon_curve import HorizonCurve, staying

ledger, c = tables.ledger, tables.customers
#: Scores below each have so many bins to 1; the bins are numbered by their place here times `STRIDE`.
FINENESS = ((0.01, 100_000), (0.1, 10_000), (1.0, 1_000))
STRIDE = 10_000
#: Nobody who leaves for sure can stay: survival is not defined at 1.
_HIGHEST = 1 - 1e-9


@dataclass(frozen=True)
class GroupTotals:
    """Totals of the customers of one group.

    Attributes
    ----------
    group : str or None
        None for customers without one.
    members, members_unpriced : int
        All customers, scored or not, and those without a known price.
    monthly_revenue : float
        Sum of the monthly prices of all of them; an unknown price counts as 0.
    customers, unpriced : int
        Those with a score, and those of them without a known price.
    expected, variance : float
        Sum of p, and of p (1 - p).
    revenue : float
        Sum of p x monthly price; an unknown price counts as 0.
    value : float
        Sum of p x monthly price x value of staying, in payments.
    currencies : frozenset of (str or None)
        At most two of those that occur, and None where a customer has none.
    """

    group: str | None
    members: int
    members_unpriced: int
    monthly_revenue: float
    customers: int
    unpriced: int
    expected: float
    variance: float
    revenue: float
    value: float
    currencies: frozenset[str | None]


#: A row of sums: the group, COUNTS, the sums of price x p x the share of those who stay and are there after 1, 2 ..
#: months; of the currencies the first, the last, and how many customers have one.
Sums = Sequence[Any]
COUNTS = ("members", "members_unpriced", "monthly_revenue", "customers", "unpriced", "expected", "variance")


def sum_by_plan(connection: Connection, run_id: int, curve: HorizonCurve) -> list[Sums]:
    """Sum the scores displayed while a run is the published one, by plan, the most customers first."""
    # Not `IS NOT NULL`: SQLite would make an inner join of it, and read the ledger of every run.
    is_scored = func.coalesce(ledger.c.customer_id, 0) > 0
    return sum_by_group(connection, c.c.plan, tables.with_scores(c, c.c.id, run_id), [is_scored], curve)


def sum_by_group(
    connection: Connection,
    group: ColumnElement[Any],
    source: FromClause,
    where: Sequence[ColumnElement[bool]],
    curve: HorizonCurve,
    customers: FromClause = c,
) -> list[Sums]:
    """Sum the displayed scores of the customers that meet conditions, by a value of theirs, the largest group first.

    Parameters
    ----------
    source
        `customers` joined to their displayed scores.
    curve
        Survival by the score.
    """
    p, price, paid = ledger.c.churn_probability, ledger.c.monthly_price, customers.c.monthly_price
    query = (
        select(
            group.label("group"),
            _bin(p).label("bin"),
            func.count(),
            func.sum(case((paid.is_(None), 1), else_=0)),
            func.coalesce(func.sum(paid), 0.0),
            func.count(ledger.c.customer_id),
            func.sum(case((and_(price.is_(None), p.is_not(None)), 1), else_=0)),
            func.coalesce(func.sum(p), 0.0),
            func.coalesce(func.sum(p * (1 - p)), 0.0),
            func.coalesce(func.sum(price * p), 0.0),
            func.coalesce(func.sum(price * p * p), 0.0),
            func.min(customers.c.currency),
            func.max(customers.c.currency),
            func.count(customers.c.currency),
        )
        .select_from(source)
        .where(*where)
        .group_by("group", "bin")
    )
    lines = _lines(curve)
    found: dict[str | None, _Adding] = defaultdict(lambda: _Adding(lines))
    for name, *row in connection.execute(query):
        found[name].add(*row)
    rows = [each.row(name) for name, each in found.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0] is not None, row[0] or ""))


def _bin(p: ColumnElement[float]) -> ColumnElement[Any]:
    *finer, (_, last) = FINENESS
    parts = [(p < below, STRIDE * at + floor(p * bins)) for at, (below, bins) in enumerate(finer)]
    return case((p.is_(None), None), *parts, else_=STRIDE * len(finer) + floor(p * last))


class _Lines:
    """Each month's share of those who stay, as a straight line of the score within each bin."""

    def __init__(self, curve: HorizonCurve) -> None:
        self.curve = curve
        self._known: dict[int, list[tuple[float, float]]] = {}

    def of(self, number: int) -> list[tuple[float, float]]:
        """Return each month's value at a score of 0, were the line as long as that, and its slope."""
        if number not in self._known:
            at, step = divmod(number, STRIDE)
            bins = FINENESS[at][1]
            # A score of 1, and one that was rounded up to the border, belong to the bin below.
            low = min(step / bins, 1 - 1 / bins)
            high = min(low + 1 / bins, _HIGHEST)
            ends = zip(staying(self.curve, low), staying(self.curve, high), strict=True)
            slopes = [(begin, (end - begin) / (high - low)) for begin, end in ends]
            self._known[number] = [(begin - slope * low, slope) for begin, slope in slopes]
        return self._known[number]


_lines = lru_cache(maxsize=8)(_Lines)


class _Adding:
    """The sums of one group so far, bin by bin."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self._counts: list[Any] = [0, 0, 0.0, 0, 0, 0.0, 0.0]
        self._shares = [0.0] * lines.curve.months
        self._named, self._currencies = 0, set[str]()

    def add(self, number: int | None, *sums: Any) -> None:
        """Add a bin, None for those without a score."""
        *counts, revenue, revenue_by_p, first, last, named = sums
        self._counts = [before + each for before, each in zip(self._counts, counts, strict=True)]
        self._named, self._currencies = self._named + named, self._currencies | ({first, last} - {None})
        if number is not None:
            for month, (begin, slope) in enumerate(self._lines.of(number)):
                self._shares[month] += begin * revenue + slope * revenue_by_p

    def row(self, name: str | None) -> Sums:
        """Return the row of the group."""
        currencies = (min(self._currencies, default=None), max(self._currencies, default=None))
        return [name, *self._counts, *self._shares, *currencies, self._named]


def totals(sums: Sequence[Sums], weights: Sequence[float]) -> list[GroupTotals]:
    """Return the totals of each group.

    Parameters
    ----------
    weights
        Weights of the shares who stay, month by month (`shared.lifetime.payment_weights`).
    """
    return [_totals(row, weights) for row in sums]


def _totals(row: Sums, weights: Sequence[float]) -> GroupTotals:
    counts: dict[str, Any] = dict(zip(COUNTS, row[1:], strict=False))
    shares, (first, last, named) = row[1 + len(COUNTS) : -3], row[-3:]
    return GroupTotals(
        group=row[0],
        **counts,
        revenue=shares[0],
        value=sum(weight * share for weight, share in zip(weights, shares, strict=True)),
        currencies=frozenset({first, last} if named == counts["members"] else {first, last, None}),
    )
