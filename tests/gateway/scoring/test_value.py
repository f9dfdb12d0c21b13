"""Money at risk: figures by hand, each with its assumptions or with the reason why it is missing."""

from __future__ import annotations

import json
from datetime import timedelta
from math import exp, log, log1p
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from database.customers import maturity
from database.engine import kept_figures
from database.models import models
from database.tables import tables
from gateway.services.importing import import_outcomes
from gateway.services.models import cohort
from gateway.services.scoring.customer_value import value_of
from gateway.services.scoring.value import Lifetimes, Terms
from shared.clock import days_later
from shared.contracts.api import Cohort, LevelSpread
from shared.contracts.outlook import ByCause, Judged, Outlook, WithinDays
from shared.expected_leavers import interval
from shared.lifetime import ShiftedBetaGeometric, mixed_hazards, value_given_staying
from tests.database.facts import Facts, full_run, plain_schema
from tests.world import World

PATH = "/api/dashboard/value"
COHORT = {"alpha": 0.7, "beta": 4.0, "ages": [2.0, 14.0], "at_risk": 900, "left": 100, "months": ["2025-07", "2026-06"]}
JUDGED = Judged(
    n=1000, period=("2026-01-31", "2026-03-31"), left=60, ratio=1.0, ratio_interval=(0.8, 1.2), ece=0.01, auc=0.9
)
SCORES, PRICES, PLANS = [0.05, 0.15, 0.3, 0.8], [10.0, 10.0, 20.0, 30.0], ["Basic", "Basic", "Basic", "Premium"]


def base(world: World, **report: Any) -> list[int]:
    """Four scored customers and a model with this in its report; their keys."""
    here = Facts(world.database, plain_schema())
    ids, model = here.people(len(SCORES)), here.model()
    with world.database.write() as connection:
        for each, plan in zip(ids, PLANS, strict=True):
            change = update(tables.customers).where(tables.customers.c.id == each)
            connection.execute(change.values(plan=plan, currency="USD"))
    tell(world, **{"horizon_days": 30, "training_period": ["2026-01-31", "2026-04-30"], **report})
    prices: dict[int, float | None] = dict(zip(ids, PRICES, strict=True))
    full_run(world.database, model, dict(zip(ids, SCORES, strict=True)), prices=prices)
    return ids


def tell(world: World, **report: Any) -> None:
    with world.database.write() as connection:
        connection.execute(update(tables.models).values(report_json=json.dumps(report)))
        kept_figures.changed(connection)  # as if another model had scored them


def asked(world: World, query: str = "") -> Any:
    answer = world.ask("GET", PATH + query, "viewer")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["data"]


def test_a_sample_counts_nobody_until_its_schema_gives_the_rate_of_all_customers(world: World) -> None:
    base(world, training_period=None)

    def counted() -> Any:
        return world.ask("GET", "/api/dashboard/threshold?cut=0", "viewer").get_json()["data"]

    assert (counted()["expected_leavers"], counted()["expected_interval"]) == (None, None)
    assert "natural_rate" in counted()["expected_note"]
    assert asked(world)["total"]["expected_leavers"] is None and "natural_rate" in asked(world)["total"]["reason"]
    tell(world, horizon_days=30, training_period=None, natural_rate=0.05)
    assert counted()["expected_leavers"] == pytest.approx(1.3) and counted()["expected_interval"][1] > 1.3
    assert "chance alone" in counted()["expected_note"]


def by_hand(later: list[float], *, margin: float = 1.0, discount: float = 0.1) -> list[float]:
    """Each customer's part of the value at risk, where the score is the only horizon."""
    monthly = (1 + discount) ** (1 / 12) - 1
    stays = value_given_staying(later, monthly)
    return [p * price * margin * stays for p, price in zip(SCORES, PRICES, strict=True)]


def test_value_at_risk_is_survival_by_the_horizons_and_then_by_the_lifetimes_of_the_base(world: World) -> None:
    own, later = {"a": 1.0, "b": 1.0, "c": 0.0}, {"a": 0.6, "b": 1.1, "c": 0.7}
    judged = JUDGED.model_dump(mode="json")
    horizons = [
        {"days": 60, "judged": judged, "reason": None, "calibration": later},
        {"days": 90, "judged": None, "reason": "Follow-up is too short.", "calibration": None},
    ]
    outlook = {"horizons": horizons, "causes": [], "causes_reason": "none", "reasons_known": None, "score": own}
    year = {"form": "slow_level", "constant": 0.2, "cosine": 0.0, "sine": 0.0}
    base(world, cohort=COHORT, outlook=outlook, time_of_year=year)
    found, lifetimes = asked(world), Lifetimes(Cohort.model_validate(COHORT), None)
    parts = []
    for p, price in zip(SCORES, PRICES, strict=True):
        margin = log(p / (1 - p)) - 0.2
        within = 1 / (1 + exp(-0.6 * min(margin, 0) - 1.1 * max(margin, 0) - 0.5 * log1p(exp(-abs(margin))) - 0.7))
        said = [(30, p), (60, within), (90, None), (180, None)]
        one = Outlook(
            within=[WithinDays(days=days, probability=each, reason=None) for days, each in said],
            causes=ByCause(voluntary=None, involuntary=None, reason="none"),
        )
        amount = value_of(one, price, lifetimes, Terms(), offer=10, contact=1).value_at_risk
        assert amount is not None
        parts.append(amount)
    assert found["total"]["value_at_risk"] == pytest.approx(sum(parts), rel=1e-5)
    assert [plan["value_at_risk"] for plan in found["by_plan"]] == pytest.approx([sum(parts[:3]), parts[3]], rel=1e-5)
    assert found["assumptions"]["own_hazard_months"] == 2
    tell(world, horizon_days=30, training_period=["a", "b"], outlook={**outlook, "score": None})
    assert (asked(world)["total"]["value_at_risk"], asked(world)["total"]["revenue_at_risk"]) == (None, 32.0)
    assert "train again" in asked(world)["total"]["reason"]


def test_value_at_risk_is_the_bases_hazard_from_the_second_month_where_the_model_has_no_horizon(world: World) -> None:
    base(world, cohort=COHORT)
    parts = by_hand(later := mixed_hazards(ShiftedBetaGeometric(0.7, 4.0), [2.0, 14.0], 36)[1:])
    found = asked(world)
    assert (found["as_of"], found["model_version"]) == ("2026-06-30", "1.0.0")
    total = found["total"]
    assert (total["customers"], total["currency"], total["reason"]) == (4, "USD", None)
    assert total["expected_leavers"] == pytest.approx(1.3)
    assert total["revenue_at_risk"] == pytest.approx(0.5 + 1.5 + 6 + 24)
    assert total["value_at_risk"] == pytest.approx(sum(parts), abs=0.01)
    basic, premium = found["by_plan"]
    assert (basic["plan"], basic["customers"], basic["revenue_at_risk"]) == ("Basic", 3, 8.0)
    assert basic["value_at_risk"] == pytest.approx(sum(parts[:3]), abs=0.01)
    assert (premium["plan"], premium["value_at_risk"]) == ("Premium", pytest.approx(parts[3], abs=0.01))
    assert found["assumptions"]["later_months"] == {
        "kind": "shifted-beta-geometric", "alpha": 0.7, "beta": 4.0, "mean_age_months": 8.0,
        "hazard": pytest.approx(later[0]),
    }  # fmt: skip


def test_expected_leavers_have_their_interval_everywhere(world: World) -> None:
    spread = {"sigma": 0.2, "periods": 6, "quantile": 2.57}
    base(world, level=spread)
    found = asked(world)
    variances = [p * (1 - p) for p in SCORES]
    level = LevelSpread.model_validate(spread)
    for part, of in (
        (found["total"], slice(None)),
        (found["by_plan"][1], slice(3, 4)),
        (found["contact"], slice(2, 4)),
    ):
        expected = interval(sum(SCORES[of]), sum(variances[of]), level)
        assert part["expected_interval"] == pytest.approx(expected, abs=0.051)


def test_without_dated_subscriptions_the_later_hazard_is_constant_and_said(world: World) -> None:
    base(world)
    mean = sum(SCORES) / 4
    found = asked(world, "?margin=0.6&discount=0&months=12")
    assert found["assumptions"]["later_months"]["kind"] == "constant"
    assert found["assumptions"]["later_months"]["hazard"] == pytest.approx(mean)
    parts = by_hand([mean] * 11, margin=0.6, discount=0.0)
    assert found["total"]["value_at_risk"] == pytest.approx(sum(parts), abs=0.01)


def test_who_is_contacted_is_everybody_above_the_break_even(world: World) -> None:
    base(world)
    found = asked(world)
    contact = found["contact"]
    assert contact["break_even"] == pytest.approx(11 / 67)
    assert (contact["top"], contact["share"], contact["cut"]) == (2, 0.5, 0.164)
    assert contact["expected_profit"] == pytest.approx(1.1 * 67 - 2 * 11)
    assert {name: found["assumptions"][name] for name in ("clv", "offer", "contact", "margin", "discount", "months")} == {
        "clv": 200, "offer": 10, "contact": 1, "margin": 1, "discount": 0.1, "months": 36
    }  # fmt: skip
    assert [found["assumptions"][name] for name in ("gamma_alpha", "gamma_beta", "gamma_mean")] == [6, 14, 0.3]
    assert asked(world, "?offer=0&contact=0")["contact"]["top"] == 4
    dear = asked(world, "?clv=10&offer=10&contact=1")["contact"]
    assert (dear["top"], dear["expected_profit"], dear["cut"]) == (0, 0, 1) and dear["break_even"] > 1
    assert asked(world, "?clv=1000&offer=20&contact=0")["contact"]["top"] == 3


def test_before_a_run_everything_is_null_with_the_reason(world: World) -> None:
    found = asked(world)
    assert found["total"] == {
        "customers": None, "expected_leavers": None, "expected_interval": None, "revenue_at_risk": None,
        "value_at_risk": None, "currency": None,
        "reason": "No scores are published yet: train a model and score the customers.",
    }  # fmt: skip
    assert (found["by_plan"], found["contact"]["top"], found["assumptions"]["later_months"]["kind"]) == ([], None, None)


def test_where_a_price_is_missing_the_plan_and_the_total_are_null_and_the_other_plans_stand(world: World) -> None:
    ids = base(world)
    with world.database.write() as connection:
        ledger = tables.ledger
        connection.execute(update(ledger).where(ledger.c.customer_id == ids[0]).values(monthly_price=None))
    found = asked(world)
    for part, of in ((found["total"], "4"), (found["by_plan"][0], "3")):
        assert (part["revenue_at_risk"], part["value_at_risk"]) == (None, None)
        assert part["reason"] == f"The monthly price of 1 of {of} customers is not known."
    assert found["by_plan"][1]["revenue_at_risk"] == 24.0


def test_prices_in_several_currencies_are_not_added_up(world: World) -> None:
    ids = base(world)
    with world.database.write() as connection:
        connection.execute(update(tables.customers).where(tables.customers.c.id == ids[3]).values(currency="EUR"))
    found = asked(world)
    assert found["total"]["reason"] == "Prices are in several currencies (EUR, USD): they can't be added up."
    assert (found["total"]["value_at_risk"], found["total"]["currency"]) == (None, None)
    assert [plan["currency"] for plan in found["by_plan"]] == ["USD", "EUR"]
    assert all(plan["value_at_risk"] for plan in found["by_plan"])


@pytest.mark.parametrize("horizon", [90, None])
def test_scores_that_do_not_cover_thirty_days_give_no_value_at_risk(world: World, horizon: int | None) -> None:
    base(world, horizon_days=horizon)
    total = asked(world)["total"]
    assert (total["revenue_at_risk"], total["value_at_risk"]) == (32.0, None)
    assert "don't cover 30 days" in total["reason"]


@pytest.mark.parametrize(
    "query",
    ["clv=0", "clv=nan", "offer=-1", "contact=inf", "margin=1.5", "discount=2", "months=6", "months=121", "x=1"],
)
def test_odd_costs_and_terms_are_422(world: World, query: str) -> None:
    assert world.ask("GET", f"{PATH}?{query}", "viewer").status_code == 422


def test_the_figures_of_the_demo_are_those_of_the_cards_and_add_up(demo_world: World) -> None:
    found, card = asked(demo_world), demo_world.ask("GET", "/api/dashboard/metrics").get_json()["data"]
    total, plans = found["total"], found["by_plan"]
    shown = card["predictedChurners"]
    assert total["customers"] == shown["customers"] == sum(plan["customers"] for plan in plans)
    assert total["revenue_at_risk"] == shown["revenue_at_risk"]
    assert total["value_at_risk"] == pytest.approx(sum(plan["value_at_risk"] for plan in plans), abs=0.05)
    cut = demo_world.ask("GET", f"/api/dashboard/threshold?cut={found['contact']['cut']}").get_json()["data"]
    assert found["contact"]["top"] == cut["customers"]


def test_the_demos_value_at_risk_is_the_sum_over_what_each_customer_has(demo_world: World, tmp_path: Path) -> None:
    with demo_world.database.read() as connection:
        c = tables.customers.c
        names = connection.execute(select(c.user_id).where(c.churn == 0).order_by(c.id)).scalars().all()
    before = asked(demo_world)["total"]["customers"]
    # Each customer costs a question to the ML service: most of them leave first.
    file, day = tmp_path / "outcomes.csv", demo_world.clock().date() - timedelta(days=2)
    gone, stay = names[: -len(names) // 5], names[-len(names) // 5 :]
    file.write_text("\n".join(["user_id,ended_at", *(f"{name},{day}" for name in gone)]) + "\n")
    demo_world.do("import-outcomes", import_outcomes.run, {"path": str(file), "file_name": file.name})
    found = asked(demo_world)
    parts = []
    for name in stay:
        data = demo_world.ask("GET", f"/api/customers/{name}?outlook=true").get_json()["data"]
        if data["churn_probability"] is not None:
            parts.append(data["outlook"]["value"]["value_at_risk"])
    assert before > 400 > 150 > len(parts) == found["total"]["customers"] > 80
    assert found["assumptions"]["own_hazard_months"] == 6
    # Each part is rounded to a cent.
    assert found["total"]["value_at_risk"] == pytest.approx(sum(parts), abs=0.005 * len(parts) ** 0.5 * 3)


def test_other_costs_and_a_new_run_change_the_answer(world: World) -> None:
    ids = base(world)
    assert asked(world)["contact"]["top"] == 2
    assert asked(world, "?offer=0")["contact"]["top"] == 4
    with world.database.read() as connection:
        live = models.live(connection)
    assert live is not None
    full_run(world.database, live.id, dict.fromkeys(ids, 0.9), prices=dict.fromkeys(ids, 1.0), as_of="2026-07-30")
    found = asked(world)
    assert (found["as_of"], found["contact"]["top"]) == ("2026-07-30", 4)
    assert found["total"]["revenue_at_risk"] == pytest.approx(3.6)


# --- the lifetimes that a training stores ---------------------------------------------------------------------------


def subscriptions(world: World, hazard: float, fall: float, *, size: int = 400) -> None:
    """Cohorts of a size who came a month apart, and of whom the share that leaves in a month falls with age."""
    here = Facts(world.database, plain_schema())
    here.snapshot("first", "2025-01-01")
    customer = here.customer("first")
    rows = []
    for number in range(24):
        begun, present = days_later("2024-01-10", 30 * number), size
        for month in range(24):
            gone = round(present * hazard / (1 + fall * month))
            ended = days_later(begun, 30 * month + 15)
            rows += [(begun, ended)] * gone
            present -= gone
        rows += [(begun, None)] * present
    values = [
        {"customer_id": customer + at, "started_at": begun, "ended_at": ended, "known_at": "x"}
        for at, (begun, ended) in enumerate(rows)
    ]
    here.people(len(rows))
    with world.database.write() as connection:
        connection.execute(insert(tables.subscriptions), values)
        maturity.tell(connection, "2026-03-31", "told", "x")


def test_falling_hazards_of_dated_subscriptions_are_fitted(world: World) -> None:
    subscriptions(world, 0.2, 0.3)
    with world.database.read() as connection:
        found = cohort.fit(connection, "2026-03-31")
        early = cohort.fit(connection, "2025-01-15")
    assert found is not None and found.months == ("2025-04", "2026-03") and found.left > 100
    assert found.alpha / (found.alpha + found.beta + 10) == pytest.approx(0.2 / (1 + 0.3 * 10), rel=0.1)
    assert early is None, "no month was over"
    with world.database.read() as connection:
        assert cohort.fit(connection, "2026-06-30") == found, "ends after the day up to which all are known don't count"


def test_a_few_ends_are_not_fitted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subscriptions(world, 0.2, 0.3, size=8)
    with world.database.read() as connection:
        assert cohort.fit(connection, "2026-03-31") is None
        monkeypatch.setattr(cohort, "MIN_ENDS", 20)
        assert cohort.fit(connection, "2026-03-31") is not None


def test_hazards_that_do_not_fall_are_not_fitted(world: World) -> None:
    subscriptions(world, 0.05, -0.02)
    with world.database.read() as connection:
        assert cohort.fit(connection, "2026-03-31") is None


def test_a_training_stores_the_lifetimes_with_its_report(demo_world: World) -> None:
    with demo_world.database.read() as connection:
        live = models.live(connection)
        assert live is not None
        stored = live.figures["cohort"]
    assert stored["at_risk"] > 1000 and stored["left"] >= cohort.MIN_ENDS
    assert asked(demo_world)["assumptions"]["later_months"]["alpha"] == stored["alpha"]
