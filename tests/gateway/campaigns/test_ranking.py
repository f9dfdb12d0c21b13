"""Actions for one customer by expected value, and what the catalogue refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.query_cache import QueryCache
from gateway.services.campaigns import measuring, ranking
from gateway.services.campaigns.ranking import Ranked
from gateway.services.importing import import_outcomes
from shared.campaigns.catalogue import BUILT_IN_PATH, built_in_catalogue, parse_catalogue
from shared.errors import InvalidInput
from shared.schema.features import built_in_schema, schema_from_dict
from tests.gateway.campaigns.campaign_base import START, Base
from tests.world import World

FACTS = {
    "payment_failures": 2,
    "last_login_days": 3,
    "device_count": 1,
    "tenure_months": 12,
    "plan": "Standard",
    "watch_time_hours": 5.0,
}


@pytest.fixture
def base(world: World) -> Base:
    return Base(world)


def rank(base: Base, probability: float, at: int = 0, **facts: float) -> dict[str, Ranked]:
    today = base.world.clock().date().isoformat()
    measured = measuring.measured_actions(base.world.database, QueryCache(base.world.database), today)
    with base.world.database.read() as connection:
        found = ranking.rank(
            connection, built_in_catalogue(), built_in_schema(), measured, customer_id=base.ids[at],
            facts={**FACTS, **facts}, probability=probability, today=today,
        )  # fmt: skip
    return {each.action: each for each in found}


def test_nothing_is_the_best_for_a_customer_who_is_not_likely_to_leave(base: Base) -> None:
    calm, likely = rank(base, 0.001), rank(base, 0.6)
    assert next(iter(calm)) == "nothing"
    assert next(iter(likely)) != "nothing"
    possible = [each.expected_value for each in likely.values() if each.is_possible]
    assert possible == sorted(possible, reverse=True)  # type: ignore[type-var]
    card = built_in_catalogue().actions["update_card"]
    assert likely["update_card"].expected_value == pytest.approx(0.6 * card.assumed_effect * 200 - card.contact)


def test_an_action_that_is_not_possible_comes_last_with_the_reason(base: Base) -> None:
    found = rank(base, 0.6, payment_failures=0)
    assert "Payment Failures" in (found["update_card"].reason or "")
    assert found["update_card"].expected_value is None
    states = [each.is_possible for each in found.values()]
    assert states == sorted(states, reverse=True)


def test_an_action_is_used_no_more_often_than_its_limit(base: Base) -> None:
    drawn = [base.draw(f"c{k}", action="personal_picks", reduction=0.2, control_share=0.01) for k in range(2)]
    assert drawn[0].contact > 190
    third = base.world.ask("POST", "/api/campaigns/plan", json={"action": "personal_picks"})
    assert third.status_code == 422  # everybody was contacted twice: nobody is left to draw
    both = next(key for key, is_control in base.arms(drawn[1]).items() if not is_control)
    assert "2 at most" in (rank(base, 0.6, base.ids.index(both))["personal_picks"].reason or "")


def test_an_effect_is_assumed_until_a_campaign_has_measured_it(base: Base) -> None:
    assert rank(base, 0.6)["personal_picks"].effect_source == "assumed"
    campaign = base.draw(action="personal_picks", control_share=0.5)
    control = [key for key, is_control in base.arms(campaign).items() if is_control]
    base.leave(control[:40])
    assert rank(base, 0.6)["personal_picks"].effect_source == "assumed"
    base.mature(campaign)
    found = rank(base, 0.6)["personal_picks"]
    assert (found.effect_source, found.effect) == ("measured", 1.0)
    assert (
        START in (found.effect_text or "") and found.effect_is_shown and "includes 0" not in (found.effect_text or "")
    )
    listed = base.world.ask("GET", "/api/actions").get_json()["data"]["actions"]
    assert {each["name"] for each in listed if each["measured"]} == {"personal_picks"}


def test_a_measured_effect_whose_interval_includes_0_is_ranked_by_and_told_apart(base: Base) -> None:
    assert rank(base, 0.6)["personal_picks"].effect_is_shown is None
    campaign = base.draw(action="personal_picks", control_share=0.5)
    arms = base.arms(campaign)
    control, contact = ([key for key, is_control in arms.items() if bool(is_control) is arm] for arm in (True, False))
    base.leave(control[:22] + contact[:20])
    base.mature(campaign)
    found = rank(base, 0.6)["personal_picks"]
    assert found.effect_interval is not None and found.effect_interval[0] < 0 < found.effect_interval[1]
    assert (found.effect_source, found.effect_is_shown) == ("measured", False)
    assert "interval includes 0" in (found.effect_text or "")
    action, listed = built_in_catalogue().actions["personal_picks"], base.world.ask("GET", "/api/actions").get_json()
    (measured,) = [each["measured"] for each in listed["data"]["actions"] if each["measured"]]
    assert found.effect == measured["relative_effect"] != action.assumed_effect
    expected = 0.6 * (found.effect * (200 - action.offer) + action.offer) - action.offer - action.contact
    assert found.expected_value == pytest.approx(expected, abs=1e-4)


def test_customers_who_are_held_out_have_nothing_to_be_done(base: Base) -> None:
    base.world.ask("POST", "/api/do-not-contact", json={"customers": ["u0000"], "reason": "objected"})
    found = rank(base, 0.9)
    assert [each.action for each in found.values() if each.is_possible] == ["nothing"]


@pytest.mark.parametrize("feature", ["age", "customer_age", "Gender", "sex", "birth_year"])
def test_no_action_looks_at_age_or_gender(feature: str) -> None:
    text = BUILT_IN_PATH.read_text("utf-8") + f'\n[actions.annual_offer.eligible."{feature}"]\nmin = 1\n'
    with pytest.raises(InvalidInput, match="age or gender"):
        parse_catalogue(text)
    assert not {"age", "gender"} & {
        name for action in built_in_catalogue().actions.values() for name in action.features
    }


@pytest.mark.parametrize("wrong", ["not toml", "[defaults]\nclv = 0", "[actions.a]\nlabel = 'a'", "[actions.nothing]"])
def test_a_catalogue_that_can_not_be_used_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="catalogue"):
        parse_catalogue(wrong)


def test_an_action_whose_features_a_base_lacks_is_named(base: Base) -> None:
    other = schema_from_dict({"features": {"x": {"kind": "number"}}})
    assert built_in_catalogue().actions["update_card"].lacking(other) == ["payment_failures"]
    assert built_in_catalogue().actions["annual_offer"].lacking(other) == ["tenure_months"]


def test_an_end_that_comes_late_corrects_the_effect_at_once(base: Base, tmp_path: Path) -> None:
    campaign = base.draw(action="personal_picks", control_share=0.5)
    arms = base.arms(campaign)
    base.leave([key for key, is_control in arms.items() if is_control][:40])
    base.mature(campaign)

    def effect() -> float:
        listed = base.world.ask("GET", "/api/actions").get_json()["data"]["actions"]
        found: float = next(each for each in listed if each["measured"])["measured"]["relative_effect"]
        return found

    assert [effect(), effect()] == [1.0, 1.0]
    contacted = next(at for at, key in enumerate(base.ids) if arms.get(key) == 0)
    file = tmp_path / "ends.csv"
    file.write_text(f"user_id,started_at,ended_at\nu{contacted:04},2026-01-01,2026-07-12\n", encoding="utf-8")
    told = base.world.do("import-outcomes", import_outcomes.run, {"path": str(file), "file_name": file.name})
    assert told["accepted"] == 1
    assert effect() < 1.0
