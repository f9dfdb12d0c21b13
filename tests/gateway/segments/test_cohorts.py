"""The retention triangle, and mix against rate."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from database.segments import cohorts, group_churn
from database.segments.group_churn import Group, GroupPeriod
from gateway.routes.segments.cohorts import NO_COHORTS, NO_PERIODS
from gateway.services.importing.publish_import import refresh_figures
from gateway.services.segments.cohorts import rate_change
from shared.wilson import wilson
from tests.world import World


def period(*groups: tuple[str | None, int, int]) -> GroupPeriod:
    return GroupPeriod("2026-05-31", "2026-06-30", [Group(*each) for each in groups])


def test_mix_and_rate_add_up_to_the_change_by_group_too() -> None:
    rng = random.Random(1)
    for _ in range(50):
        sides = []
        for _ in range(2):
            names = rng.sample(["A", "B", "C", None], rng.randrange(1, 5))
            sides.append(period(*((name, n := rng.randrange(1, 500), rng.randrange(0, n + 1)) for name in names)))
        found = rate_change(*sides)
        assert found is not None
        rates = [sum(g.left for g in s.groups) / sum(g.customers for g in s.groups) for s in sides]
        assert (found.after, found.before) == tuple(pytest.approx(rate) for rate in rates)
        assert found.mix + found.rate == pytest.approx(found.after - found.before, abs=1e-12)
        assert sum(each.mix + each.rate for each in found.groups) == pytest.approx(rates[0] - rates[1], abs=1e-12)


@pytest.mark.parametrize(
    ("now", "then", "mix", "rate"),
    [
        ([("A", 100, 10), ("B", 100, 2)], [("A", 100, 10), ("B", 100, 2)], 0.0, 0.0),
        ([("A", 150, 15), ("B", 50, 1)], [("A", 100, 10), ("B", 100, 2)], 0.02, 0.0),  # only the shares
        ([("A", 100, 20), ("B", 100, 2)], [("A", 100, 10), ("B", 100, 2)], 0.0, 0.05),  # only a rate
        ([("A", 100, 10), ("N", 100, 30)], [("A", 100, 10)], 0.1, 0.0),  # a new group
    ],
)
def test_what_changed_alone_is_the_whole_change(now: Any, then: Any, mix: float, rate: float) -> None:
    found = rate_change(period(*now), period(*then))
    assert found is not None
    assert (found.mix, found.rate) == (pytest.approx(mix, abs=1e-12), pytest.approx(rate, abs=1e-12))


def test_a_period_of_nobody_has_no_rate() -> None:
    assert rate_change(period(), period(("A", 1, 0))) is None


def test_cells_whose_month_is_not_over_are_null(world: World) -> None:
    with world.database.write() as connection:
        rows = [("2026-01", "2026-01", 9, 8), ("2026-01", "2026-02", 9, 6), ("2026-02", "2026-02", 4, 4)]
        cohorts.store(connection, rows)
    found = world.ask("GET", "/api/dashboard/cohorts").get_json()["data"]
    assert [(each["month"], each["customers"], len(each["cells"])) for each in found["cohorts"]] == [
        ("2026-01", 9, 2), ("2026-02", 4, 2),
    ]  # fmt: skip
    assert found["cohorts"][1]["cells"][1] is None
    assert found["cohorts"][0]["cells"][1] == {
        "age": 1, "month": "2026-02", "active": 6, "rate": 6 / 9, "interval": pytest.approx(wilson(6, 9)),
    }  # fmt: skip
    newest = world.ask("GET", "/api/dashboard/cohorts?limit=1").get_json()["data"]["cohorts"]
    assert [each["month"] for each in newest] == ["2026-02"]


def test_without_data_the_reasons_are_told(world: World) -> None:
    found = world.ask("GET", "/api/dashboard/cohorts").get_json()["data"]
    assert found == {"cohorts": [], "reason": NO_COHORTS}
    change = world.ask("GET", "/api/dashboard/churn-change").get_json()["data"]
    assert (change["reason"], change["change"], change["groups"]) == (NO_PERIODS, None, [])


def test_the_change_is_of_the_two_newest_periods(world: World) -> None:
    with world.database.write() as connection:
        rows = [
            ("2026-05-31", "2026-06-30", "plan", 0, "A", 100, 10), ("2026-05-01", "2026-05-31", "plan", 0, "A", 100, 5),
        ]  # fmt: skip
        group_churn.store(connection, rows)
    found = world.ask("GET", "/api/dashboard/churn-change?by=plan").get_json()["data"]
    assert found["before"] == {"start": "2026-05-01", "end": "2026-05-31", "customers": 100, "left": 5, "rate": 0.05}
    assert found["after"]["rate"] == 0.1
    assert (found["mix"], found["rate"]) == (0.0, pytest.approx(0.05))


def test_the_demo_has_a_triangle_and_a_change(
    make_world: Callable[..., World], demo_file: Any, demo_clock: Any
) -> None:
    world = make_world(demo_file, at=demo_clock)
    refresh_figures(world.work("score"))
    found = world.ask("GET", "/api/dashboard/cohorts").get_json()["data"]["cohorts"]
    assert len(found) >= 10
    for each in found:
        rates = [cell["rate"] for cell in each["cells"] if cell]
        assert rates[0] > 0.8
        assert min(rates) == pytest.approx(rates[-1], abs=0.1), "most of those who left stay away"
    change = world.ask("GET", "/api/dashboard/churn-change?by=plan").get_json()["data"]
    metrics = world.ask("GET", "/api/dashboard/metrics").get_json()["data"]["churnRate"]
    assert round(change["after"]["rate"] * 100, 2) == metrics["current"]
    assert change["mix"] + change["rate"] == pytest.approx(change["change"])
