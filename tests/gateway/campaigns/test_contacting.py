"""Customers who are held out, or must not be contacted, are on no list that is exported."""

from __future__ import annotations

from typing import Any

import pytest

from database.customers import contacting
from database.engine import kept_figures
from database.exporting import exports
from database.tables import tables
from gateway.services.campaigns import measuring
from gateway.services.models import training
from shared.campaigns.draw import Draw
from tests.gateway.campaigns.campaign_base import Base
from tests.gateway.conftest import Run
from tests.world import World

MARKED = ("row_key", "drawn_to_be_contacted")
LISTS = ("/api/customers/export?", "/api/customers/export?content=risk&", "/api/predictions/export?")


@pytest.fixture
def base(world: World) -> Base:
    return Base(world)


def names(base: Base, path: str) -> set[str]:
    answer = base.world.ask("GET", path)
    assert answer.status_code == 200, answer.get_json()
    return {word for line in answer.get_data(as_text=True).splitlines() for word in line.split(",") if word[:1] == "u"}


def hold_out(base: Base, share: float) -> dict[str, Any]:
    answer = base.world.ask("PUT", "/api/holdout", role="admin", json={"share": share})
    assert answer.status_code == 200, answer.get_json()
    data: dict[str, Any] = answer.get_json()["data"]
    return data


def test_sql_and_python_hold_out_the_same_customers_and_a_larger_share_only_adds(base: Base) -> None:
    seed = hold_out(base, 0.2)["seed"]
    found = []
    for share in (0.2, 0.4):
        assert hold_out(base, share)["seed"] == seed
        with base.world.database.read() as connection:
            query = tables.customers.select().where(~contacting.is_allowed(connection, tables.customers.c.id)[0])
            found.append({row.id for row in connection.execute(query)})
        assert found[-1] == {key for key in base.ids if Draw(seed).has(key, share)}
    assert 0 < len(found[0]) < len(found[1])
    assert found[0] < found[1]


def test_every_list_leaves_them_out_unless_asked_and_then_marks_them(base: Base, run: Run) -> None:
    campaign = base.draw(control_share=0.3, top=60)
    seed = hold_out(base, 0.2)["seed"]
    base.world.ask("POST", "/api/do-not-contact", json={"customers": ["u0100", "u0101"], "reason": "no consent"})
    control = {key for key, is_control in base.arms(campaign).items() if is_control}
    blocked = {
        f"u{at:04}" for at, key in enumerate(base.ids) if key in control or Draw(seed).has(key, 0.2) or at in (100, 101)
    }
    everybody = {f"u{at:04}" for at in range(200)}
    for path in LISTS:
        assert names(base, path) & everybody == everybody - blocked, path
        assert names(base, f"{path}contact=any") & everybody == everybody, path
    marked = base.world.ask("GET", f"{LISTS[1]}contact=any").get_data(as_text=True)
    assert marked.count("do not contact") == 2
    assert marked.count(",control") == len({key for key in control if not Draw(seed).has(key, 0.2)})


def test_a_list_is_another_one_once_others_may_be_contacted(base: Base) -> None:
    def state() -> tuple[Any, ...]:
        with base.world.database.read() as connection:
            return exports.state(connection)

    seen = [state()]
    hold_out(base, 0.1)
    seen.append(state())
    base.world.ask("POST", "/api/do-not-contact", json={"customers": ["u0001"], "reason": "objected"})
    seen.append(state())
    base.draw()
    seen.append(state())
    assert len(set(seen)) == 4


def test_a_campaign_never_holds_them(base: Base) -> None:
    seed = hold_out(base, 0.2)["seed"]
    base.world.ask("POST", "/api/do-not-contact", json={"customers": ["u0000"], "reason": "objected"})
    campaign = base.draw()
    assert not any(Draw(seed).has(key, 0.2) for key in base.arms(campaign))
    assert base.ids[0] not in base.arms(campaign)
    assert sum(campaign.left_out.values()) + campaign.contact + campaign.control == 200


def test_the_list_of_those_who_must_not_be_contacted_is_kept_by_name(base: Base) -> None:
    wrong = base.world.ask("POST", "/api/do-not-contact", json={"customers": ["u0001", "who"], "reason": "objected"})
    assert wrong.status_code == 422
    assert base.world.ask("GET", "/api/do-not-contact").get_json()["data"]["total"] == 0
    for _ in range(2):
        added = base.world.ask("POST", "/api/do-not-contact", json={"customers": ["u0001"], "reason": "objected"})
    assert added.get_json()["data"] == {"new": 0, "total": 1}
    assert base.world.ask("DELETE", "/api/do-not-contact/u0001").status_code == 200
    assert base.world.ask("DELETE", "/api/do-not-contact/u0001").status_code == 404


def test_the_programme_is_measured_beside_those_held_out(base: Base) -> None:
    seed = hold_out(base, 0.3)["seed"]
    assert base.world.ask("GET", "/api/holdout").get_json()["data"]["programme"]["effect"] is None
    for at in range(200):
        base.facts.snapshot(f"u{at:04}", "2026-06-30", (None,) * 7)
    held = [key for key in base.ids if Draw(seed).has(key, 0.3)]
    base.leave(held[:20])
    base.mature(base.draw())
    found = base.world.ask("GET", "/api/holdout").get_json()["data"]["programme"]
    assert (found["held_out"]["left"], found["others"]["left"], found["day"]) == (20, 0, "2026-06-30")
    assert (found["held_out"]["customers"], found["others"]["customers"]) == (len(held), len(base.ids) - len(held))
    assert found["is_shown"]


def test_the_programme_is_measured_once_until_it_can_be_another(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    measured, measure = [], measuring.effect_of_holdout

    def noted(*asked: Any) -> Any:
        measured.append(asked)
        return measure(*asked)

    monkeypatch.setattr(measuring, "effect_of_holdout", noted)

    def held_out() -> int:
        return int(base.world.ask("GET", "/api/holdout").get_json()["data"]["customers"])

    seed = hold_out(base, 0.3)["seed"]
    few = held_out()
    measured.clear()
    assert (held_out(), len(measured)) == (few, 0)
    hold_out(base, 0.5)
    assert held_out() > few
    hold_out(base, 0.3)
    gone = next(key for key in base.ids if Draw(seed).has(key, 0.3))
    c = tables.customers
    with base.world.database.write() as connection:
        connection.execute(c.update().where(c.c.id == gone).values(churn=1))
        kept_figures.changed(connection)
    assert held_out() == few - 1


def test_training_rows_say_whom_a_campaign_drew_to_be_contacted_and_no_feature_does(base: Base) -> None:
    campaign = base.draw(control_share=0.5, top=50)
    for at in range(200):
        for day in ("2026-04-30", "2026-06-30"):
            base.facts.snapshot(f"u{at:04}", day, (None,) * 7)
    base.mature(campaign)
    batches = {}
    for batch in training._snapshot(base.world.database, base.facts.schema, campaign.matures_on):
        batches[str(batch.column("as_of")[0])] = batch
    marked = {
        key for key, mark in zip(*(batches["2026-06-30"].column(n).to_pylist() for n in MARKED), strict=True) if mark
    }
    assert marked == {key for key, is_control in base.arms(campaign).items() if not is_control}
    assert sum(batches["2026-04-30"].column("drawn_to_be_contacted").to_pylist()) == 0
    assert "drawn_to_be_contacted" not in base.facts.schema.feature_names


def test_false_is_no_share(base: Base) -> None:
    assert base.world.ask("PUT", "/api/holdout", role="admin", json={"share": False}).status_code == 422


def test_as_many_contacts_as_the_document_allows_are_read(base: Base) -> None:
    campaign = base.draw(control_share=0.3, top=60)
    for number, status in ((3_000, 422), (3_001, 422)):
        contacts = [{"customer": f"nobody{k}", "contacted_at": "2026-01-01"} for k in range(number)]
        answer = base.world.ask("POST", f"/api/campaigns/{campaign.id}/contacts", json={"contacts": contacts})
        assert answer.status_code == status
        assert ("no customer" in answer.get_json()["message"]) is (number == 3_000), answer.get_json()["message"]
