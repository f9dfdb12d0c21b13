"""A campaign from its plan to its effect, over the routes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from database.campaigns import campaigns
from database.engine.batch_sizing import AdaptiveBatchSize
from database.tables import tables
from gateway.services import kinds
from gateway.services.campaigns import drawing
from gateway.services.jobs import running
from gateway.web_environment import MAX_EXPORTS, environment
from shared.campaigns.draw import Draw
from shared.campaigns.effect import Arm, newcombe
from shared.schema.features import built_in_schema
from tests.gateway.campaigns.campaign_base import START, Base
from tests.world import World


@pytest.fixture
def base(world: World) -> Base:
    return Base(world)


def ask(base: Base, method: str, path: str, **how: Any) -> Any:
    answer = base.world.ask(method, path, **how)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()["data"]


def refused(base: Base, method: str, path: str, status: int, **how: Any) -> str:
    answer = base.world.ask(method, path, **how)
    assert answer.status_code == status, answer.get_json()
    return str(answer.get_json()["message"])


def test_the_arms_follow_from_the_stored_seed_and_each_campaign_has_its_own(base: Base) -> None:
    first, second = base.draw(control_share=0.5), base.draw("summer", control_share=0.5)
    for campaign in (first, second):
        draw, arms = Draw(campaign.seed), base.arms(campaign)
        assert arms == {key: int(draw.has(key, 0.5)) for key in arms}
    assert first.seed != second.seed
    assert first.contact + first.control == 200
    # Those of the first that are not contacted stay alone while it runs.
    assert second.left_out == {"control": first.control}
    assert not {key for key, is_control in base.arms(first).items() if is_control} & set(base.arms(second))


def test_the_seed_is_logged_before_anything_is_exported(base: Base) -> None:
    campaign = base.draw()
    subjects = [row["subject"] for row in ask(base, "GET", "/api/audit?action=campaign", role="admin")["entries"]]
    assert any(campaign.seed in subject for subject in subjects)
    assert ask(base, "GET", f"/api/campaigns/{campaign.id}")["exported_at"] is None


def test_the_list_is_frozen_and_a_name_is_used_once(base: Base) -> None:
    campaign = base.draw(filters=[("min_probability", "0.5")], top=20)
    before = base.arms(campaign)
    assert set(before) == set(base.ids[:20])
    base.leave(base.ids[:3])
    assert base.arms(campaign) == before
    assert "this name already" in refused(
        base, "POST", "/api/campaigns", 409, json={"name": "spring", "reduction": 0.1}
    )


@pytest.mark.parametrize("values", [["x"] * 40_000, [""] * 40_000, ["x" * 5_000]])
def test_filters_are_no_longer_than_those_of_a_segment(base: Base, values: list[str]) -> None:
    """A statement takes 32,766 values, and everybody who lists campaigns would be sent them."""
    feature = next(name for name, each in built_in_schema().features.items() if each.kind == "number")
    for path, more in (("/api/campaigns/plan", {}), ("/api/campaigns", {"name": "long"})):
        body = {"reduction": 0.2, "filters": {f"feature.{feature}": values, "plan": values[:1]}, **more}
        refused(base, "POST", path, 422, json=body)


def test_one_person_has_so_many_campaigns_running_and_no_more(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each list looks at all that run: enough of them, and none can be read any more."""
    monkeypatch.setattr(drawing, "MOST_RUNNING", 2)
    made = [base.draw(name, top=2) for name in ("a", "b")]
    owner, other = base.world.person(email="bee@example.com").id, base.world.person(email="dee@example.com").id
    t = tables.campaigns
    with base.world.database.write() as connection:
        connection.execute(t.update().values(user_id=owner))
    asked = partial(base.world.work, "campaign", {"name": "c", "reduction": 0.2, "top": 2})
    for user, state in ((owner, "failed"), (other, "done")):
        work = asked()
        ended = running.run(replace(work, job=replace(work.job, user_id=user)), kinds.CAMPAIGN)
        assert ended.state == state, user
    base.mature(made[0])
    assert base.draw("d", top=2).user_id is None, "the command line has no bound"


@pytest.mark.parametrize("name", ["spr\u200bing", "\u202egnirps", "spring\n", "a\x00b", "\u3164"])
def test_a_name_has_no_character_that_nobody_sees(base: Base, name: str) -> None:
    body = {"name": f"the {name} one", "reduction": 0.2}
    refused(base, "POST", "/api/campaigns", 422, json=body)
    refused(base, "POST", "/api/segments", 422, json={"name": f"the {name} one", "query": "plan=Standard"})


def test_a_campaign_is_cancelled_between_the_parts_of_its_list_and_leaves_nothing(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "AdaptiveBatchSize", partial(AdaptiveBatchSize, first=50, fewest=50, most=50))
    begun = base.world.work("campaign", {"name": "summer", "reduction": 0.2})
    append, parts = campaigns.append, []

    def appended(*args: Any) -> bool:
        parts.append(args)
        begun.stops.set()
        return append(*args)

    monkeypatch.setattr(campaigns, "append", appended)
    ended = running.run(begun, kinds.CAMPAIGN)
    assert (ended.state, len(parts)) == ("cancelled", 1)
    with base.world.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.campaign_members)).scalar_one() == 0
        assert connection.execute(select(func.count()).select_from(tables.campaigns)).scalar_one() == 0


def test_a_list_whose_campaign_was_drawn_anew_meanwhile_gets_no_further_rows(base: Base) -> None:
    values = {**base.draw("spring").model_dump(exclude={"id"}), "name": "summer"}
    with base.world.database.write() as connection:
        first = campaigns.begin(connection, {**values, "seed": "first"})
        campaigns.drop_unfinished(connection, "summer", 10)
        assert campaigns.begin(connection, {**values, "seed": "second"}) == first
        assert not campaigns.append(connection, first, "first", [(first, base.ids[0], 0, 0.5)])
        assert not campaigns.finish(connection, first, "first")
        assert campaigns.append(connection, first, "second", [(first, base.ids[0], 0, 0.5)])


@pytest.mark.parametrize("reduction", [1e-9, 1e-300])
def test_an_effect_that_nobody_could_ever_find_needs_no_number_of_customers(base: Base, reduction: float) -> None:
    answer = base.world.ask("POST", "/api/campaigns/plan", json={"reduction": reduction})
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["data"]["size"]["needed"] is None


def test_the_plan_tells_the_size_needed_and_takes_half_where_a_tenth_shows_nothing(base: Base) -> None:
    plan = ask(base, "POST", "/api/campaigns/plan", json={"reduction": 0.1})
    assert plan["size"]["control_share"] == 0.5
    assert not plan["size"]["is_large_enough"]
    assert plan["size"]["needed"] > plan["size"]["customers"] == 200
    assert "will probably show nothing" in plan["size"]["text"]
    sure = ask(base, "POST", "/api/campaigns/plan", json={"reduction": 1.0})
    assert sure["size"]["control_share"] == 0.1
    assert "relative reduction" in refused(base, "POST", "/api/campaigns/plan", 422, json={})


def test_only_the_contacted_arm_is_exported_and_nobody_who_objected_since(base: Base) -> None:
    campaign = base.draw(control_share=0.5)
    contact = [key for key, is_control in base.arms(campaign).items() if not is_control]
    names = {key: f"u{at:04}" for at, key in enumerate(base.ids)}
    ask(base, "POST", "/api/do-not-contact", json={"customers": [names[contact[0]]], "reason": "objected"})
    path = f"/api/campaigns/{campaign.id}/export"
    listed = [line.split(",") for line in base.world.ask("GET", path).get_data(as_text=True).splitlines()]
    assert {row[2] for row in listed[1:]} == {names[key] for key in contact[1:]}
    everybody = base.world.ask("GET", f"{path}?contact=any").get_data(as_text=True).splitlines()
    assert len(everybody) == 201
    assert sum(",control,control" in line for line in everybody) == campaign.control
    assert sum("do not contact" in line for line in everybody) == 1
    assert ask(base, "GET", f"/api/campaigns/{campaign.id}")["exported_at"] is not None
    assert refused(base, "GET", path, 403, role="viewer")


def test_a_list_that_can_not_leave_now_is_not_told_to_have_left(base: Base) -> None:
    campaign = base.draw(control_share=0.5)
    path = f"/api/campaigns/{campaign.id}"
    with base.world.app.app_context():
        slots = environment().export_slots
    others = range(101, 101 + MAX_EXPORTS)
    for each in others:
        slots.take(each)
    refused(base, "GET", f"{path}/export", 503)
    assert ask(base, "GET", path)["exported_at"] is None
    slots.give_back(others[0])
    assert base.world.ask("GET", f"{path}/export").status_code == 200
    assert ask(base, "GET", path)["exported_at"] is not None


@pytest.mark.parametrize("path", ["/api/campaigns/1/export", "/api/customers/export?content=risk&format=ndjson",
                                  "/api/predictions/export",
                                  "/api/predictions/changes", "/api/customers/export?format=parquet"])  # fmt: skip
def test_whoever_asks_for_the_headers_alone_is_sent_no_list_and_nothing_is_recorded(base: Base, path: str) -> None:
    base.draw(control_share=0.5)
    base.world.signed_in("analyst")
    before = recorded(base)
    for _ in range(MAX_EXPORTS + 1):  # no place stays taken
        answer = base.world.ask("HEAD", path)
        assert (answer.status_code, answer.get_data()) == (202 if "parquet" in path else 200, b"")
    assert recorded(base) == before
    assert ask(base, "GET", "/api/campaigns/1")["exported_at"] is None


def recorded(base: Base) -> tuple[int, ...]:
    """How many rows the audit log and the queue have."""
    with base.world.database.read() as connection:
        return tuple(len(connection.execute(select(t.c.id)).all()) for t in (tables.audit_log, tables.jobs))


def test_no_effect_and_no_saving_before_both_arms_have_matured(base: Base) -> None:
    campaign = base.draw()
    base.leave(base.ids[:5])
    found = ask(base, "GET", f"/api/campaigns/{campaign.id}/effect", role="viewer")
    assert (found["effect"], found["interval"], found["saving"], found["control"]["left"]) == (None, None, None, None)
    assert campaign.matures_on in found["text"]


def test_the_effect_is_by_the_arm_that_was_drawn_with_newcombes_interval(base: Base) -> None:
    campaign = base.draw(control_share=0.5, clv=100)
    arms = base.arms(campaign)
    control, contact = ([key for key, is_control in arms.items() if is_control == which] for which in (1, 0))
    base.leave([*control[:30], *contact[:6]])
    base.mature(campaign)
    found = ask(base, "GET", f"/api/campaigns/{campaign.id}/effect")
    expected = newcombe(Arm(len(control), 30), Arm(len(contact), 6))
    assert found["interval"] == pytest.approx(expected)
    assert found["effect"] == pytest.approx(30 / len(control) - 6 / len(contact))
    assert found["is_shown"]
    saving = found["saving"]
    assert saving["kept"] == pytest.approx(found["effect"] * len(contact), abs=0.1)
    assert saving["net_interval"][0] < saving["net"] < saving["net_interval"][1]
    assert saving["value"] - saving["cost"] == pytest.approx(saving["net"], abs=0.02)


def test_arms_whose_sizes_the_draw_does_not_explain_have_no_effect(base: Base) -> None:
    campaign = base.draw(control_share=0.5)
    control = [key for key, is_control in base.arms(campaign).items() if is_control]
    base.leave(control[20:], on="2026-06-01")  # before the first day: only this arm's were lost
    base.leave(control[:10])
    base.mature(campaign)
    found = ask(base, "GET", f"/api/campaigns/{campaign.id}/effect")
    assert found["srm_probability"] < 0.001
    assert (found["effect"], found["saving"]) == (None, None)
    assert "no effect is stated" in found["text"]


def test_contacts_come_back_whole_and_change_no_arm(base: Base) -> None:
    campaign = base.draw(control_share=0.5, top=40)
    arms = base.arms(campaign)
    names = {key: f"u{at:04}" for at, key in enumerate(base.ids)}
    control = next(key for key, is_control in arms.items() if is_control)
    contact = next(key for key, is_control in arms.items() if not is_control)
    path = f"/api/campaigns/{campaign.id}/contacts"
    made = [{"customer": names[key], "contacted_at": START} for key in (control, contact)]
    wrong = [
        *made,
        {"customer": names[base.ids[150]], "contacted_at": START},
        {"customer": "nobody", "contacted_at": START},
    ]
    message = refused(base, "POST", path, 422, json={"contacts": wrong})
    assert "not on the campaign's list" in message
    assert ask(base, "POST", path, json={"contacts": made}) == {"new": 2, "known": 0, "in_control": 1}
    assert ask(base, "POST", path, json={"contacts": made}) == {"new": 0, "known": 2, "in_control": 1}
    assert base.arms(campaign) == arms
    effect = ask(base, "GET", f"/api/campaigns/{campaign.id}/effect")
    assert (effect["control"]["contacted"], effect["contact"]["contacted"]) == (1, 1)
    early = [{"customer": names[contact], "contacted_at": "2026-06-01"}]
    assert "before the day" in refused(base, "POST", path, 422, json={"contacts": early})


def test_viewers_read_campaigns_and_do_not_draw_them(base: Base) -> None:
    campaign = base.draw()
    assert [each["id"] for each in ask(base, "GET", "/api/campaigns", role="viewer")["campaigns"]] == [campaign.id]
    refused(base, "POST", "/api/campaigns", 403, role="viewer", json={"name": "x", "reduction": 0.1})
    refused(base, "PUT", "/api/holdout", 403, json={"share": 0.1})
    refused(base, "GET", "/api/campaigns/99", 404)
