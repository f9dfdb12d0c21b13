"""Movement of monthly recurring revenue (MRR): new, returned, expansion, contraction and churned, by calendar month.

Law: MRR is of those active at a month's end, at the price known of that day; each customer is in one part of a month,
and the parts add up to the change. A month counts once all ends up to its last day are known. See
docs/definitions.md#mrr-movement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Select, delete, func, or_, select

from database.customers import facts, maturity
from database.customers.lifetimes import month_name, month_of
from database.engine import kept_figures
from database.engine.bulk_insert import insert_rows
from database.tables import tables
from shared.clock import days_later
from shared.plural import plural

s, c, past, t = tables.subscriptions, tables.customers, tables.past_prices, tables.mrr_months
#: The newest months that are kept.
MONTHS = 36
_NEVER = 12 * 10_000
#: Month of the start, and of the end (not active at its end), counted from year 0.
Span = tuple[int, int]
#: Month from which on a price is known to hold, ascending; the first holds before, too.
Prices = Sequence[tuple[int, float]]


@dataclass
class Month:
    """A month's movement: customers, and what they pay a month.

    Attributes
    ----------
    customers, revenue
        Active at its end.
    new_customers, returned_customers, churned_customers : int
    new, returned, churned, expansion, contraction : float
        At least 0.
    """

    customers: int = 0
    revenue: float = 0.0
    new_customers: int = 0
    new: float = 0.0
    returned_customers: int = 0
    returned: float = 0.0
    churned_customers: int = 0
    churned: float = 0.0
    expanded_customers: int = 0
    expansion: float = 0.0
    contracted_customers: int = 0
    contraction: float = 0.0


COLUMNS = tuple(field.name for field in fields(Month))


def measure(connection: Connection, today: str) -> list[tuple[object, ...]]:
    """Measure the months after that of the first snapshot.

    Returns
    -------
    rows of (month, *COLUMNS)
        Ascending; empty without subscriptions or before such a month is over.
    """
    dates, known = facts.snapshot_dates(connection), maturity.complete_to(connection)
    if not dates or known is None:
        return []
    end = month_of(days_later(min(known, today), 1))
    begin = max(month_of(dates[0]) + 1, end - MONTHS)
    months: dict[int, Month] = defaultdict(Month)
    for spans, prices, count in _customers(connection):
        _add(months, spans, prices, count, begin, end)
    return [(month_name(month), *astuple(months[month])) for month in range(begin, end)]


def _add(months: Mapping[int, Month], spans: Sequence[Span], prices: Prices, count: int, begin: int, end: int) -> None:
    """Add customers who have these spans and prices to the months from `begin` up to `end`, which is not included."""
    first = min(start for start, _ in spans)
    was_active = any(start < begin <= stop for start, stop in spans)
    paid = _price(prices, begin - 1)
    for month in range(max(begin, first), min(end, max(stop for _, stop in spans) + 1)):
        here = months[month]
        is_active = any(start <= month < stop for start, stop in spans)
        pays = _price(prices, month)
        if is_active:
            here.customers += count
            here.revenue += pays * count
        if is_active and not was_active:
            _enter(here, count, pays, is_new=month == first)
        elif was_active and not is_active:
            here.churned_customers += count
            here.churned += paid * count
        elif is_active and pays != paid:
            _change(here, count, pays - paid)
        was_active, paid = is_active, pays


def _enter(here: Month, count: int, pays: float, *, is_new: bool) -> None:
    if is_new:
        here.new_customers += count
        here.new += pays * count
    else:
        here.returned_customers += count
        here.returned += pays * count


def _change(here: Month, count: int, more: float) -> None:
    if more > 0:
        here.expanded_customers += count
        here.expansion += more * count
    else:
        here.contracted_customers += count
        here.contraction -= more * count


def _price(prices: Prices, month: int) -> float:
    return next((price for since, price in reversed(prices) if since <= month), prices[0][1])


def _customers(connection: Connection) -> Iterator[tuple[Sequence[Span], Prices, int]]:
    """Yield the spans and prices of customers, and how many have them; those with one of each are grouped."""
    special = _special()
    start, stop = func.substr(s.c.started_at, 1, 7).label("start"), func.substr(s.c.ended_at, 1, 7).label("stop")
    price = func.coalesce(c.c.monthly_price, 0.0).label("price")
    joined = select(start, stop, price).join_from(s, c, c.c.id == s.c.customer_id)
    alone = joined.add_columns(func.count()).where(s.c.customer_id.not_in(special)).group_by("start", "stop", "price")
    for row in connection.execute(alone):
        yield [_span(row[0], row[1])], [(0, row[2])], row[3]
    changed = _changes(connection)
    again = joined.add_columns(s.c.customer_id).where(s.c.customer_id.in_(special)).order_by(s.c.customer_id)
    for customer_id, rows in groupby(connection.execute(again), key=itemgetter(3)):
        theirs = list(rows)
        yield [_span(row[0], row[1]) for row in theirs], _prices(changed.get(customer_id, ()), theirs[0][2]), 1


def _special() -> Select[tuple[int]]:
    several = select(s.c.customer_id).group_by(s.c.customer_id).having(func.count() > 1)
    return select(c.c.id).where(or_(c.c.id.in_(several), c.c.id.in_(select(past.c.customer_id))))


def _changes(connection: Connection) -> dict[int, list[tuple[int, float]]]:
    """Return earlier prices of customers, and the month whose end they no longer held at."""
    found: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for row in connection.execute(select(past).order_by(past.c.customer_id, past.c.until, past.c.id)):
        found[row.customer_id].append((month_of(row.until), row.monthly_price or 0.0))
    return found


def _prices(changes: Iterable[tuple[int, float]], present: float) -> Prices:
    since, prices = 0, []
    for until, price in changes:
        prices.append((since, price))
        since = until
    return [*prices, (since, present)]


def _span(start: str, stop: str | None) -> Span:
    return month_of(start), _NEVER if stop is None else month_of(stop)


def store(connection: Connection, measured: Sequence[Sequence[object]]) -> None:
    """Replace the roll-up."""
    connection.execute(delete(t))
    insert_rows(connection, t, ("month", *COLUMNS), measured)


def read(connection: Connection) -> list[tuple[str, Month]]:
    """Return the months, oldest first."""
    rows = connection.execute(select(t).order_by(t.c.month))
    return [(row.month, Month(*row[1:])) for row in rows]


#: The name under which the answer of `unsummable` is kept, in a list: None is an answer.
UNSUMMABLE = "why prices can't be added up"


def unsummable(connection: Connection) -> str | None:
    """Return why prices can't be added up; None if they can."""
    (reason,) = kept_figures.get_or_measure(connection, UNSUMMABLE, lambda: [_unsummable(connection)], is_exact=True)
    return reason


def to_keep(connection: Connection) -> Iterator[tuple[str, Any]]:
    """Yield what `unsummable` answers, with the name under which it is kept."""
    yield UNSUMMABLE, [_unsummable(connection)]


def _unsummable(connection: Connection) -> str | None:
    theirs = select(s.c.customer_id)
    query = select(
        func.count() - func.count(c.c.monthly_price),
        func.count(func.distinct(func.coalesce(c.c.currency, ""))),
        func.count(),
    ).where(c.c.id.in_(theirs))
    unpriced, currencies, customers = connection.execute(query).one()
    if unpriced:
        return f"The monthly price of {unpriced:,} of {plural(customers, 'customer')} is not known."
    return "Prices are in several currencies: they can't be added up." if currencies > 1 else None
