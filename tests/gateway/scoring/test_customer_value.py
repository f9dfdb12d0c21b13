"""The outlook of one customer: horizons, causes and value, with what they assume or the reason why they are missing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from database.models import models
from database.tables import tables
from gateway.services.scoring.customer_value import NO_MONTH, NO_PRICE, value_of
from gateway.services.scoring.value import Lifetimes, Terms
from shared.campaigns.costs import CampaignCosts
from shared.contracts.api import HORIZON_DAYS
from shared.contracts.outlook import LATER_HORIZONS, ByCause, Outlook, WithinDays
from tests.world import World

DAYS = (HORIZON_DAYS, *LATER_HORIZONS)
TERMS = Terms(margin=0.5, discount=0.0, months=8)


def outlook(*probabilities: float | None) -> Outlook:
    within = [
        WithinDays(days=days, probability=p, reason=None if p is not None else "unknown")
        for days, p in zip(DAYS, probabilities, strict=True)
    ]
    return Outlook(within=within, causes=ByCause(voluntary=None, involuntary=None, reason="unknown"))


def test_value_follows_the_survival_of_the_horizons_and_then_the_bases_hazard() -> None:
    found = value_of(outlook(0.2, 0.36, 0.488, 0.744), 10.0, Lifetimes(None, 0.5), TERMS, offer=1.0, contact=0.5)
    half_year = [0.8, 0.64, 0.512, *(0.512 * 0.5 ** (step / 3) for step in (1, 2, 3))]
    assert found.survival == pytest.approx(half_year)
    payments = sum(half_year) + half_year[-1] * (0.5 + 0.25)
    assert found.lifetime_value == pytest.approx(0.5 * 10 * payments)
    assert found.value_if_stays == pytest.approx(0.5 * 10 * payments / 0.8)
    assert found.revenue_at_risk == pytest.approx(2.0)
    assert found.value_at_risk == pytest.approx(0.2 * 0.5 * 10 * payments / 0.8)
    costs = CampaignCosts(found.value_if_stays or 0, 1.0, 0.5)
    assert found.contact_profit == pytest.approx(costs.expected_profit(1, 0.2))


def test_beyond_the_last_known_horizon_the_base_tells_how_it_goes_on() -> None:
    found = value_of(outlook(0.2, 0.36, None, None), 10.0, Lifetimes(None, 0.5), TERMS, offer=0, contact=0)
    assert found.survival == pytest.approx((0.8, 0.64))
    assert found.lifetime_value == pytest.approx(5 * (0.8 + 0.64 * sum(0.5**step for step in range(7))))


def test_who_leaves_for_sure_is_worth_nothing_more() -> None:
    found = value_of(outlook(1.0, 1.0, 1.0, 1.0), 10.0, Lifetimes(None, 0.5), TERMS, offer=0, contact=0)
    assert found.survival == (0,) * 6 and found.lifetime_value == 0 and found.value_at_risk == found.value_if_stays


@pytest.mark.parametrize(
    ("p", "price", "reason"), [((0.1,) * 4, None, NO_PRICE), ((None, 0.2, 0.3, 0.4), 9.0, NO_MONTH)]
)
def test_what_is_missing_is_named(p: tuple[float | None, ...], price: float | None, reason: str) -> None:
    found = value_of(outlook(*p), price, Lifetimes(None, 0.5), TERMS, offer=0, contact=0)
    assert found.reason == reason and set(found.amounts().values()) == {None}


def customer(world: World, *, churn: int = 0) -> str:
    with world.database.read() as connection:
        return connection.execute(
            select(tables.customers.c.user_id).where(tables.customers.c.churn == churn).limit(1)
        ).scalar_one()


@pytest.mark.xdist_group("real ml service")
def test_the_demo_shows_horizons_causes_and_value_on_the_first_day(demo_world: World) -> None:
    someone = customer(demo_world)
    path = f"/api/customers/{someone}"
    assert "outlook" not in demo_world.ask("GET", path).get_json()["data"]
    data = demo_world.ask("GET", f"{path}?outlook=true&months=24&offer=5").get_json()["data"]
    found, value = data["outlook"], data["outlook"]["value"]
    said = {each["days"]: each["probability"] for each in found["within"]}
    assert said[30] == found["churn_probability"] == pytest.approx(data["churn_probability"], abs=1e-12)
    assert said[30] <= said[60] <= said[90] <= said[180]
    assert {each["reason"] for each in found["within"]} == {None}
    causes = found["causes"]
    assert causes["voluntary"] + causes["involuntary"] == pytest.approx(said[30], abs=1e-12)
    assert value["reason"] is None and value["later_months"] == "shifted-beta-geometric"
    assert (value["months"], value["offer"], value["contact"], value["margin"]) == (24, 5.0, 1.0, 1.0)
    assert value["revenue_at_risk"] == pytest.approx(said[30] * value["monthly_price"], abs=0.006)
    stays = [value["survival"][month - 1] for month in (1, 2, 3, 6)]
    assert stays == pytest.approx([1 - said[days] for days in DAYS])
    scored = demo_world.ask("POST", "/api/predictions/score", json={"customer_id": someone, "outlook": True})
    assert scored.get_json()["data"]["outlook"] == {"within": found["within"], "causes": causes}
    body: dict[str, Any] = {"customer_id": someone, "changes": {"payment_failures": 5}, "outlook": True}
    changed = demo_world.ask("POST", "/api/predictions/what-if", json=body).get_json()["data"]
    assert changed["before"]["outlook"]["within"] == found["within"]
    assert changed["after"]["outlook"]["causes"]["involuntary"] > causes["involuntary"]


@pytest.mark.xdist_group("real ml service")
def test_who_has_left_has_no_outlook_and_bad_costs_are_named(demo_world: World) -> None:
    gone = demo_world.ask("GET", f"/api/customers/{customer(demo_world, churn=1)}?outlook=true")
    assert gone.get_json()["data"]["outlook"] is None
    refused = demo_world.ask("GET", f"/api/customers/{customer(demo_world)}?outlook=true&margin=2")
    assert refused.status_code == 422 and refused.get_json()["error"]["details"][0]["field"] == "margin"


@pytest.mark.xdist_group("real ml service")
def test_the_live_models_report_judges_the_outlook(demo_world: World) -> None:
    with demo_world.database.read() as connection:
        live = models.live(connection)
    assert live is not None
    report = live.figures["outlook"]
    assert [each["days"] for each in report["horizons"]] == list(LATER_HORIZONS)
    assert {each["cause"] for each in report["causes"]} == {"voluntary", "involuntary"}
    with demo_world.database.write() as connection:
        connection.execute(update(tables.customers).values(monthly_price=None))
    someone = customer(demo_world)
    value = demo_world.ask("GET", f"/api/customers/{someone}?outlook=true").get_json()["data"]["outlook"]["value"]
    assert value["reason"] == NO_PRICE and value["value_at_risk"] is None
