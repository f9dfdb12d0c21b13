"""The demo's finished campaigns: an effect that was planted is shown, and none where none was."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import select

from database.campaigns import campaigns
from database.campaigns.arms import drawn_around
from database.customers import contacting
from database.tables import tables
from gateway.services import demo
from gateway.services.campaigns import measuring
from gateway.services.demo_campaigns import CAMPAIGNS, PastCampaign, customer_id
from shared.campaigns.effect import Arm, measure
from shared.clock import Clock
from shared.simulation.simulate import Simulation, simulate
from tests.world import World

pytestmark = pytest.mark.xdist_group("real ml service")
_, PICKS = CAMPAIGNS


def simulated(customers: int, last_calendar_month: int, *, planted: bool = True) -> Simulation:
    return simulate(
        demo.PRESET, customers=customers, months=demo.MONTHS, seed=demo.SEED, last_calendar_month=last_calendar_month,
        campaigns=[each.simulated for each in CAMPAIGNS] if planted else (),
    )  # fmt: skip


def arms(simulation: Simulation, campaign: PastCampaign) -> tuple[Arm, Arm]:
    """The arms without contact and with, as simulated."""
    rows = simulation.months.rows(simulation.months.month == campaign.month)
    left: tuple[list[int], list[int]] = ([], [])
    of_list = getattr(rows, campaign.feature) <= campaign.at_most
    for number, churned in zip(rows.customer[of_list].tolist(), rows.churned[of_list].tolist(), strict=True):
        left[campaign.is_control(customer_id(number))].append(churned)
    contact, control = (Arm(len(each), sum(each)) for each in left)
    return control, contact


@pytest.mark.parametrize("month", [2, 7, 12])
def test_the_planted_effect_is_shown_and_none_where_none_was_planted(month: int) -> None:
    business = simulated(13_334, month)
    without, picks = (measure(*arms(business, each)) for each in CAMPAIGNS)
    assert without is not None and picks is not None
    assert not without.is_shown
    assert picks.interval[0] > 0


def test_a_campaign_without_an_effect_leaves_every_row_as_it_was() -> None:
    as_if, never = (simulated(500, 6, planted=planted).months for planted in (True, False))
    before = as_if.month < PICKS.month
    for each in fields(as_if):
        assert np.array_equal(getattr(as_if, each.name)[before], getattr(never, each.name)[before])
    contacted = as_if.p_true[: len(never)] != never.p_true
    assert (as_if.month[contacted] == PICKS.month).sum() > 20, "the other campaign's shift was simulated"


def test_the_demo_measures_the_arms_that_were_simulated(demo_world: World, demo_clock: Clock) -> None:
    today = demo_clock().date()
    business = simulated(600, today.month)
    with demo_world.database.read() as connection:
        for planted in CAMPAIGNS:
            campaign = campaigns.get(connection, campaigns.id_by_name(connection)[planted.name])
            assert campaign is not None
            found = measuring.effect_of(connection, campaign, today.isoformat())
            control, contact = arms(business, planted)
            assert found.arms is not None and found.effect == measure(control, contact)
            assert (found.arms.control, found.arms.contact) == (control, contact)
            assert campaigns.contacted(connection, campaign.id) == (contact.customers, 0)
            saving = measuring.saving(connection, campaign, found)
            assert saving is not None and saving.contacts == contact.customers
            assert measuring.saving(connection, campaign, replace(found, effect=None)) is None
        assert contacting.running(connection) == []


def test_training_marks_whom_the_demos_campaigns_contacted(demo_world: World, demo_clock: Clock) -> None:
    day = (demo_clock() - timedelta(days=demo.MONTH_DAYS * (demo.MONTHS - 1 - PICKS.month))).date().isoformat()
    with demo_world.database.read() as connection:
        marked = drawn_around(connection, day)
        m = tables.campaign_members
        query = select(m.c.customer_id).join(tables.campaigns, tables.campaigns.c.id == m.c.campaign_id)
        contacted = set(
            connection.execute(query.where(tables.campaigns.c.name == PICKS.name, m.c.is_control == 0)).scalars()
        )
    assert contacted and marked == contacted
