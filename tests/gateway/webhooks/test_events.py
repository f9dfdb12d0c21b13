"""Events of scoring runs and trainings: in their own transaction, with counts and a cursor, without a customer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from database.models import models
from database.tables import tables
from database.webhooks import endpoints
from gateway.services.models import training
from gateway.services.scoring import changes, scoring_run
from shared.clock import iso
from shared.contracts.api import TrainReport
from tests.world import World

pytestmark = pytest.mark.xdist_group("real ml service")
EVERYTHING = ("prediction.completed", "churn.alert", "model.trained", "campaign.exported")


@pytest.fixture
def told(demo_world: World) -> World:
    """The demo with a webhook for every event."""
    with demo_world.database.write() as connection:
        now = iso(demo_world.clock())
        endpoints.add(connection, url="https://example.com/", events=EVERYTHING, secret="whsec_AAAA", now=now)
    return demo_world


def events_of(world: World) -> list[dict[str, Any]]:
    with world.database.read() as connection:
        bodies = connection.execute(select(tables.webhook_events.c.body).order_by(tables.webhook_events.c.id)).scalars()
        return [json.loads(body) for body in bodies]


def test_a_run_tells_that_it_is_complete_and_once_how_many_came_above_the_cut(told: World) -> None:
    with told.database.read() as connection:
        before = changes.cursor_at(connection, told.settings.signing_secret)
    result = told.do("score", scoring_run.run)
    completed, alert = events_of(told)
    assert (completed["type"], alert["type"]) == ("prediction.completed", "churn.alert")
    assert completed["data"]["customers"] == result["predictions_generated"]
    assert completed["data"]["model_version"] == result["model_version"]
    assert completed["data"]["kind"] == "full"
    counted = alert["data"]
    card = told.ask("GET", "/api/dashboard/metrics").get_json()["data"]["predictedChurners"]
    assert counted["above_cut"] == card["count"] == counted["above_cut_before"]
    assert (counted["newly_above_cut"], counted["no_longer_above_cut"]) == (0, 0), "the same model, the same facts"
    assert counted["changes_since"] == before
    page = told.ask("GET", f"/api/predictions/changes?since={before}").get_json()["data"]
    assert (page["changes"], page["begins_anew"]) == ([], False)


def test_a_sample_is_complete_and_alerts_nobody(told: World) -> None:
    told.do("score", scoring_run.run, {"sample_size": 20})
    (completed,) = events_of(told)
    assert (completed["data"]["kind"], completed["data"]["customers"]) == ("sample", 20)


def test_a_run_that_breaks_tells_nothing(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: Any) -> None:
        raise RuntimeError("at the last moment")

    monkeypatch.setattr(scoring_run.events, "record", breaks)
    assert told.run("score", scoring_run.run).state == "failed"
    monkeypatch.undo()
    assert events_of(told) == []


@pytest.mark.parametrize("promote", [True, False])
def test_a_training_tells_its_version_and_what_was_decided(
    told: World, monkeypatch: pytest.MonkeyPatch, promote: bool
) -> None:
    """The report is an earlier one, so that nobody has to wait for a training."""
    with told.database.read() as connection:
        live = models.live(connection)
    assert live is not None

    def report(work: Any, schema: Any, params: Any, today: str) -> TrainReport:
        return TrainReport(**{**live.figures, "model_version": params.model_version})

    monkeypatch.setattr(training, "_send", report)
    result = told.do("train", training.run, {"again": True, "promote": promote})
    (event,) = events_of(told)
    version = result["metrics"]["model_version"]
    assert event["type"] == "model.trained"
    assert event["data"]["model_version"] == version != live.version
    assert (event["data"]["promoted"], event["data"]["decision"]) == (result["promoted"], result["decision"])
    with told.database.read() as connection:
        now_live = models.live(connection)
    assert now_live is not None
    assert now_live.version == (version if promote else live.version)
    assert result["decision"].startswith("Promoted" if promote else "Proposed")
