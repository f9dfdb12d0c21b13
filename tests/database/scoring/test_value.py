"""Money at risk by plan, against plain sums over customers."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from sqlalchemy import update

from database.importing import apply_import
from database.scoring import ranks, value
from database.scoring.value import GroupTotals
from database.tables import tables
from shared.horizon_curve import Beta, HorizonCurve, staying
from shared.lifetime import payment_weights
from tests.database.facts import Facts, full_run

Make = Callable[..., Facts]
LATER = [0.04, 0.03, 0.02]
#: Calibrations of a demo's model.
CURVE = HorizonCurve(
    Beta(1.08, 0.73, 0.27),
    ((60, Beta(0.9, 0.81, 0.81)), (90, Beta(0.76, 1.0, 0.9)), (180, Beta(0.52, 1.55, 0.76))),
    0.1,
)
WEIGHTS = payment_weights(LATER, 0.01, CURVE.months)


def give(here: Facts, customer_id: int, **values: str | int | None) -> None:
    with here.database.write() as connection:
        connection.execute(update(tables.customers).where(tables.customers.c.id == customer_id).values(**values))


def totals(here: Facts, run_id: int) -> list[GroupTotals]:
    with here.database.read() as connection:
        return value.totals(value.sum_by_plan(connection, run_id, CURVE), WEIGHTS)


def test_each_plan_is_the_plain_sum_over_its_customers(facts_of: Make) -> None:
    here, rng = facts_of(), random.Random(5)
    ids, model = here.people(60), here.model()
    edges = (0.0, 1e-5, 0.00123, 0.01, 0.0999999, 0.1, 0.999)
    scores = {each: rng.choice((*edges, rng.random(), 0.02 * rng.random())) for each in ids}
    prices = {each: rng.choice((7.99, 15.49, 22.99)) for each in ids}
    plans = {each: rng.choices(("Basic", "Premium", None), (3, 2, 1))[0] for each in ids}
    for each in ids:
        give(here, each, plan=plans[each], currency="USD")
    full_run(here.database, model, dict.fromkeys(ids, 0.9), prices=prices, kind="past", as_of="2026-05-30")
    found = totals(here, full_run(here.database, model, scores, prices=prices))
    assert [plan.customers for plan in found] == sorted((plan.customers for plan in found), reverse=True)
    assert {plan.group for plan in found} == {"Basic", "Premium", None}
    for plan in found:
        of_plan = [each for each in ids if plans[each] == plan.group]
        assert (plan.customers, plan.unpriced, plan.currencies) == (len(of_plan), 0, {"USD"})
        assert plan.expected == pytest.approx(sum(scores[each] for each in of_plan))
        assert plan.variance == pytest.approx(sum(scores[each] * (1 - scores[each]) for each in of_plan))
        assert plan.revenue == pytest.approx(sum(scores[each] * prices[each] for each in of_plan))
        stays = {e: sum(w * s for w, s in zip(WEIGHTS, staying(CURVE, scores[e]), strict=True)) for e in of_plan}
        expected = sum(scores[each] * prices[each] * stays[each] for each in of_plan)
        assert plan.value == pytest.approx(expected, rel=3e-6), "survival is straight within a bin of the score"


def test_the_scores_are_those_that_are_shown(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(3), here.model()
    full = full_run(here.database, model, dict.fromkeys(ids, 0.2), prices=dict.fromkeys(ids, 10.0))
    sample = full_run(here.database, model, {ids[1]: 0.5}, prices={ids[1]: 20.0}, kind="sample")
    give(here, ids[2], churn=1)
    with here.database.write() as connection:
        ranks.refresh(connection, full, sample, after_id=0, limit=10)
        apply_import.hide_gone(connection, full, 0, 10**9)
    (plan,) = totals(here, full)
    assert (plan.customers, plan.expected) == (2, pytest.approx(0.7))
    assert plan.revenue == pytest.approx(0.2 * 10 + 0.5 * 20)


def test_what_is_not_known_of_a_price_or_currency_is_told(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(3), here.model()
    give(here, ids[0], currency="USD")
    give(here, ids[1], currency="EUR")
    run_id = full_run(here.database, model, dict.fromkeys(ids, 0.5), prices={ids[0]: 9.0, ids[1]: 8.0, ids[2]: None})
    (plan,) = totals(here, run_id)
    assert (plan.unpriced, plan.currencies) == (1, {"USD", "EUR", None})


def test_a_run_of_nobody_has_no_plans(facts_of: Make) -> None:
    here = facts_of()
    assert totals(here, full_run(here.database, here.model(), {})) == []
