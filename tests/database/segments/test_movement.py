"""Movement of monthly revenue, against a recount of every customer in plain Python."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest
from sqlalchemy import update

from database.segments import movement
from database.segments.movement import Month
from database.tables import tables
from shared.clock import days_later
from tests.database.facts import Facts

Make = Callable[..., Facts]
FIRST, TODAY = "2025-12-10", "2026-06-30"
c = tables.customers


def measured(here: Facts, today: str = TODAY) -> dict[str, Month]:
    with here.database.write() as connection:
        movement.store(connection, movement.measure(connection, today))
        return dict(movement.read(connection))


def priced(here: Facts, name: str, price: float, day: str = FIRST) -> None:
    """Write a customer's price from facts of a day, as an import writes it."""
    with here.database.write() as connection:
        connection.execute(update(c).where(c.c.user_id == name).values(monthly_price=price, as_of=day))


def base(here: Facts, known: str = TODAY) -> None:
    here.subscribe("old", "2024-01-01")
    priced(here, "old", 100.0)
    here.snapshot("old", FIRST)
    here.known(known)


def end_of(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return days_later(f"{year + number // 12}-{number % 12 + 1:02}-01", -1)


def test_each_customer_is_in_one_part_of_a_month(facts_of: Make) -> None:
    here = facts_of()
    base(here)
    for name, start, end in (
        ("new", "2026-02-01", None),
        ("gone", "2025-01-01", "2026-02-28"),
        ("in and out", "2026-02-03", "2026-02-20"),
    ):
        here.subscribe(name, start, end)
        priced(here, name, 10.0)
    here.subscribe("back", "2025-03-01", "2026-01-15")
    here.subscribe("back", "2026-02-15")
    priced(here, "back", 7.0)
    priced(here, "old", 90.0, "2026-02-12")
    found = measured(here)
    assert found["2026-01"] == Month(2, 110.0, churned_customers=1, churned=7.0)
    assert found["2026-02"] == Month(
        3, 107.0, new_customers=1, new=10.0, returned_customers=1, returned=7.0, churned_customers=1, churned=10.0,
        contracted_customers=1, contraction=10.0,
    )  # fmt: skip
    assert found["2026-03"] == Month(3, 107.0)


Lives = dict[str, list[tuple[str, str | None]]]
Prices = dict[str, list[tuple[str, float]]]


def random_base(here: Facts, rng: random.Random) -> tuple[Lives, Prices]:
    """Customers who come, go and come back, at prices that change."""
    lives: Lives = defaultdict(list)
    prices: Prices = {}
    for number in range(70):
        name, at = f"c{number}", rng.randrange(-200, 190)
        for _ in range(rng.randrange(1, 4)):
            end = None if rng.random() < 0.3 else days_later(FIRST, at + rng.randrange(5, 120))
            lives[name].append((days_later(FIRST, at), end))
            here.subscribe(name, *lives[name][-1])
            if end is None:
                break
            at += 130
        days = sorted(rng.sample(range(1, 190), rng.choice((0, 0, 1, 3))))
        prices[name] = [("", float(rng.randrange(5, 20)))]
        priced(here, name, prices[name][0][1], "2025-11-01")
        for day in days:
            prices[name].append((days_later(FIRST, day), float(rng.randrange(5, 20))))
            priced(here, name, prices[name][-1][1], prices[name][-1][0])
    return lives, prices


def test_the_parts_add_up_and_agree_with_a_recount_of_every_customer(facts_of: Make) -> None:
    here = facts_of()
    base(here)
    lives, prices = random_base(here, random.Random(8))
    lives["old"], prices["old"] = [("2024-01-01", None)], [("", 100.0)]

    def pays(name: str, day: str) -> float | None:
        if not any(start <= day and (end is None or end > day) for start, end in lives[name]):
            return None
        return next(price for since, price in reversed(prices[name]) if since <= day)

    found = measured(here)
    assert list(found) == [f"2026-0{month}" for month in range(1, 7)]
    seen: Counter[str] = Counter()
    for month, at in found.items():
        day, before = end_of(month), days_later(f"{month}-01", -1)
        expected = Month()
        for name in lives:
            was, now = pays(name, before), pays(name, day)
            is_new = min(start for start, _ in lives[name]) > before
            what = (
                None if was == now else "churned" if now is None
                else ("new" if is_new else "returned") if was is None else "expansion" if now > was else "contraction"
            )  # fmt: skip
            if now is not None:
                expected.customers, expected.revenue = expected.customers + 1, expected.revenue + now
            if what is not None:
                seen[what] += 1
                counted = {"expansion": "expanded", "contraction": "contracted"}.get(what, what) + "_customers"
                setattr(expected, counted, getattr(expected, counted) + 1)
                amount = abs((now or 0.0) - (was or 0.0))
                setattr(expected, what, getattr(expected, what) + amount)
        assert vars(at) == pytest.approx(vars(expected)), month
    assert set(seen) == {"new", "returned", "churned", "expansion", "contraction"}


def test_an_older_price_that_comes_in_late_changes_no_history(facts_of: Make) -> None:
    here = facts_of()
    base(here)
    priced(here, "old", 90.0, FIRST)  # a correction of the same day
    assert {month.revenue for month in measured(here).values()} == {90.0}


def test_a_month_counts_once_its_last_day_is_known(facts_of: Make) -> None:
    here = facts_of()
    base(here, known="2026-03-30")
    assert list(measured(here)) == ["2026-01", "2026-02"]
    here.known("2026-03-31")
    assert list(measured(here)) == ["2026-01", "2026-02", "2026-03"]
    assert list(measured(here, today="2026-02-28")) == ["2026-01", "2026-02"]


def test_why_prices_can_not_be_added_up_is_told(facts_of: Make) -> None:
    here = facts_of()
    base(here)
    here.subscribe("free", "2026-01-01")
    with here.database.write() as connection:
        assert movement.unsummable(connection) == "The monthly price of 1 of 2 customers is not known."
        connection.execute(update(c).where(c.c.user_id == "free").values(monthly_price=1.0, currency="EUR"))
        assert "several currencies" in (movement.unsummable(connection) or "")
        connection.execute(update(c).values(currency="EUR"))
        assert movement.unsummable(connection) is None
