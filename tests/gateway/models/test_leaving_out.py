"""`train --without NAME` and `POST /api/model/train` with `without`, over the real ML service."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from database.models import models
from database.tables import tables
from gateway.cli import high_risk
from gateway.services.models import training
from tests.gateway.conftest import Run
from tests.shapes import is_failure
from tests.world import World

pytestmark = pytest.mark.xdist_group("real ml service")
#: The feature that gives the outcome away is the first, so that every other one has another place in the model.
SCHEMA = """
id = "id"
label = "left"
positive = ["1"]
[features.refund]
kind = "number"
label = "Refund"
missing = false
actionable = true
[features.calls]
kind = "number"
actionable = true
target = 1
[features.tariff]
kind = "category"
[features.age]
kind = "number"
"""


@dataclass(frozen=True)
class Shop:
    """A base of 300 customers, and commands over it."""

    world: World
    run: Callable[..., tuple[int | None, str, str]]

    def live(self) -> models.Model | None:
        with self.world.database.read() as connection:
            return models.live(connection)


@pytest.fixture
def shop(
    make_world: Callable[..., World], ml_url: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> Shop:
    world, rng = make_world(url=ml_url), random.Random(1)
    monkeypatch.setattr(high_risk, "prepare", lambda: world.environment)
    lines = ["id,refund,calls,tariff,age,left"]
    for k in range(300):
        calls, age = rng.gauss(10, 4), rng.randint(18, 80)
        left = int(rng.random() < 1 / (1 + 2.718 ** (1 - (calls - 10) / 2)))
        refund = 5 * left + k % 3
        lines.append(f"c{k},{refund},{calls:.2f},{rng.choice(['basic', 'plus'])},{age},{left if k % 9 else ''}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "t.toml").write_text(SCHEMA, encoding="utf-8")
    status, _, told = run(world, "import", str(tmp_path / "t.csv"), "--schema", str(tmp_path / "t.toml"))
    assert status is None, told
    return Shop(world, lambda *words: run(world, *words))


def test_what_the_leak_guard_refuses_is_left_out_and_scores_runs_and_reasons_do_without_it(
    shop: Shop, tmp_path: Path
) -> None:
    status, _, told = shop.run("train")
    assert (status, "`train --without refund`" in told, "retainstream schema edit FILE" in told) == (2, True, True)
    status, out, told = shop.run("train", "--without", "refund")
    assert (status, "without refund." in out) == (None, True), told
    live = shop.live()
    assert live is not None
    assert (live.figures["left_out"], live.figures["features"], live.figures["horizon_days"]) == (["refund"], 3, None)
    assert shop.world.ask("GET", "/api/model/status").get_json()["data"]["horizon_days"] is None
    assert shop.run("score")[0] is None
    assert "Nobody is counted: the model's table has no dates" in shop.run("high-risk")[1]
    history = shop.world.ask("GET", "/api/customers/c9/history").get_json()["data"]["scores"]
    exported = shop.world.ask("GET", "/api/predictions/export?format=ndjson").text.splitlines()
    assert {row["horizon_days"] for row in (*history, *map(json.loads, exported))} == {None}
    _stored_reasons_are_those_of_a_single_score(shop)
    _given_facts_of_what_is_left_out_are_accepted_ignored_and_told(shop)
    _another_training_is_compared_with_this_one(shop, tmp_path)


def _stored_reasons_are_those_of_a_single_score(shop: Shop) -> None:
    listed = shop.world.ask("GET", "/api/customers?limit=100").get_json()["data"]["customers"]
    assert {reason["feature"] for row in listed for reason in row["reasons"]} == {"calls", "tariff", "age"}
    user_id = listed[0]["user_id"]
    score = shop.world.ask("POST", "/api/predictions/score", json={"customer_id": user_id}).get_json()["data"]
    stored = {reason["feature"]: pytest.approx(reason["points"]) for reason in listed[0]["reasons"]}
    assert {reason["feature"]: reason["points"] for reason in score["reasons"]} == stored
    assert score["churn_probability"] == pytest.approx(listed[0]["churn_probability"])
    assert score["warnings"] == []
    actions = shop.world.ask("GET", f"/api/customers/{user_id}/actions").get_json()["data"]["actions"]
    assert {action["feature"] for action in actions} <= {"calls"}


def _given_facts_of_what_is_left_out_are_accepted_ignored_and_told(shop: Shop) -> None:
    def score(**more: Any) -> dict[str, Any]:
        facts: dict[str, Any] = {"calls": 12, "tariff": "plus", "age": 40, **more}
        answer = shop.world.ask("POST", "/api/predictions/score", json={"features": facts})
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json()["data"])

    plain, given = score(), score(refund=7)
    told = "Refund was left out of this model, so its value does not count."
    assert (plain.pop("warnings"), given.pop("warnings")) == ([], [told])
    assert plain == given
    body = {"customer_id": "c9", "changes": {"refund": 9}}
    what_if = shop.world.ask("POST", "/api/predictions/what-if", json=body).get_json()["data"]
    assert what_if["difference"] == 0
    assert (what_if["before"]["warnings"], what_if["after"]["warnings"]) == ([], [told])


def _another_training_is_compared_with_this_one(shop: Shop, folder: Path) -> None:
    (folder / "t.toml").write_text(f"horizon_days = 90\nnatural_rate = 0.05\n{SCHEMA}", encoding="utf-8")
    assert "horizon_days, natural_rate" in shop.run("schema", "edit", str(folder / "t.toml"))[1]
    result = shop.world.do("train", training.run, {"without": ["refund", "age"]})
    with shop.world.database.read() as connection:
        made = models.get(connection, result["metrics"]["model_version"])
    assert made is not None
    assert made.figures["left_out"] == ["refund", "age"]
    assert (made.figures["horizon_days"], made.figures["natural_rate"]) == (90, 0.05)
    assert made.figures["champion"] is not None and "of the live model on the same" in result["decision"]


def test_scores_of_a_table_with_dates_are_said_to_be_of_30_days(
    demo_world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(high_risk, "prepare", lambda: demo_world.environment)
    told = run(demo_world, "high-risk")[1]
    assert "are expected to leave within 30 days (95 %: " in told and "without these filters" not in told
    told = run(demo_world, "high-risk", "--where", "min_probability=0.9")[1]
    assert told.startswith("All customers, without these filters: ")
    assert demo_world.ask("GET", "/api/model/status").get_json()["data"]["horizon_days"] == 30


@pytest.mark.parametrize(
    ("names", "told"), [(["nobody"], "'nobody'"), (["refund", "calls", "tariff", "age"], "every feature")]
)
def test_what_no_model_can_do_without_is_refused_by_both_doors_before_there_is_a_job(
    shop: Shop, names: list[str], told: str
) -> None:
    status, _, said = shop.run("train", *(word for name in names for word in ("--without", name)))
    assert (status, told in said) == (2, True), said
    body = is_failure(shop.world.ask("POST", "/api/model/train", json={"without": names}), 422, "validation_failed")
    assert (body["error"]["details"][0]["field"], told in body["message"]) == ("without", True)
    with shop.world.database.read() as connection:
        trainings = select(func.count()).select_from(tables.jobs).where(tables.jobs.c.kind == "train")
        assert connection.execute(trainings).scalar_one() == 0
