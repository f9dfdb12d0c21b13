"""Training as a job: what goes in, what comes back, and the gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update

from database.accounts import audit
from database.customers import customer_base, facts, maturity
from database.models import models
from database.tables import tables
from gateway.services import kinds
from gateway.services.jobs.work import Work
from gateway.services.models import training
from shared.contracts import arrow
from shared.contracts.api import TrainParams
from shared.errors import Cancelled, InsufficientData, ServiceError
from shared.schema.features import built_in_schema, schema_from_dict
from tests.gateway.importing.test_import_file import DATED, bring, write
from tests.world import World, clock

pytestmark = pytest.mark.xdist_group("real ml service")


def test_a_training_records_its_figures_and_goes_through_the_gate(demo_world: World) -> None:
    vouched = built_in_schema().as_dict()
    vouched["features"]["plan"]["known_at_scoring"] = True
    with demo_world.database.write() as connection:
        connection.execute(update(tables.base).values(schema_json=json.dumps(vouched)))
    result = demo_world.do("train", training.run, {"again": True})
    metrics = result["metrics"]
    with demo_world.database.read() as connection:
        model = models.get(connection, metrics["model_version"])
        live = models.live(connection)
    assert model is not None
    assert (model.state, model.decision) == ("ready", result["decision"])
    assert result["promoted"] is (live is not None and live.version == model.version)
    assert {"auc", "precision", "recall", "f1_score", "training_samples", "threshold", "prevalence", "n"} <= set(
        metrics
    )
    assert model.figures["champion"] is not None, "judged beside the live model on the same rows"
    assert abs(sum(row.shap_value for row in importance(demo_world, model.version)) - 1) < 1e-6
    assert "The schema vouches that these are known when customers are scored: plan." in result["notes"]
    with demo_world.database.read() as connection:
        [row] = audit.page(connection, limit=9, action="model.trained.vouched")
    assert (row.actor, row.subject) == ("worker", f"model:{model.version} features: plan")


def test_unchanged_data_make_no_new_version_and_the_answer_is_about_the_live_one(demo_world: World) -> None:
    with demo_world.database.read() as connection:
        live, before = models.live(connection), len(models.versions(connection))
    assert live is not None
    result = demo_world.do("train", training.run)
    with demo_world.database.read() as connection:
        assert len(models.versions(connection)) == before
    assert result["unchanged"] and not result["promoted"]
    assert (
        result["message"]
        == result["decision"]
        == (f"There is nothing new to learn: rows, features and parameters are those of model {live.version}.")
    )
    assert result["metrics"]["model_version"] == live.version and result["metrics"]["auc"] == live.figures["auc"]
    other = demo_world.do("train", training.run, {"without": ["device_count"]})
    assert not other["unchanged"] and other["metrics"]["model_version"] != live.version
    with demo_world.database.write() as connection:  # one that the gate refused is not made once more either
        models.promote(connection, live.id, reason="By hand", live_from="2026-12-31T00:00:00Z", user_id=None)
    same = demo_world.do("train", training.run, {"without": ["device_count"]})
    assert (same["unchanged"], same["metrics"]["model_version"]) == (True, other["metrics"]["model_version"])
    assert same["message"].endswith(f"those of model {other['metrics']['model_version']}, which is not live.")


def test_a_misspelt_option_of_a_training_is_refused_and_an_old_client_s_own_names_are_ignored(world: World) -> None:
    for body in ({"witout": ["plan"]}, {"without": [], "sampleSize": 1}, {"allowLeaks": []}):
        refused = world.ask("POST", "/api/model/train", json=body)
        assert refused.status_code == 422, body
        assert "a training takes allow_leaks, without, again" in refused.get_json()["message"]
    ignored = world.ask("POST", "/api/model/train", json={"sampleSize": 100}, headers={"Prefer": "respond-async"})
    assert ignored.status_code != 422


def importance(world: World, version: str) -> Any:
    with world.database.read() as connection:
        return models.importance(connection, version)


def test_only_matured_rows_are_sent_with_the_labels_of_their_day(demo_world: World, monkeypatch: Any) -> None:
    sent: list[bytes] = []

    def keep(snapshot: Any, **_: Any) -> Iterator[dict[str, Any]]:
        sent.append(b"".join(snapshot))
        raise ServiceError("enough")
        yield

    monkeypatch.setattr(demo_world.ml, "train", keep)
    monkeypatch.setattr(training, "_notes", lambda *_: ["Something about the facts."])
    assert demo_world.run("train", training.run).error["message"] == "enough"  # type: ignore[index]
    table = arrow.decode(sent[0])
    with demo_world.database.read() as connection:
        last = facts.last_date(connection)
        assert last is not None
        days = maturity.matured_dates(connection, last)
        expected = [
            (day, row[0], row[1]) for day in days for row in facts.training_rows(connection, built_in_schema(), day)
        ]
        left = connection.execute(select(tables.models.c.version).where(tables.models.c.state == "training")).all()
    found = zip(*(table.column(name).to_pylist() for name in (arrow.AS_OF, arrow.ROW_KEY, arrow.LABEL)), strict=True)
    assert [(day.isoformat(), key, label) for day, key, label in found] == expected
    assert arrow.metadata(table)["champion_version"] == "2.4.3"
    assert arrow.metadata(table)["notes"] == ["Something about the facts."]
    assert left == [], "the number of a training that came to nothing is free again"


def test_a_training_that_is_cancelled_once_its_model_has_come_frees_its_number(
    demo_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled(*_: Any) -> Any:
        raise Cancelled("by somebody")

    monkeypatch.setattr(training, "_send", lambda *_: SimpleNamespace())
    monkeypatch.setattr(training.labels, "add_to", lambda report, _: report)
    monkeypatch.setattr(training.cohort, "fit", cancelled)
    assert demo_world.run("train", training.run).state == "cancelled"
    with demo_world.database.read() as connection:
        assert (
            connection.execute(select(tables.models.c.version).where(tables.models.c.state == "training")).all() == []
        )


def test_facts_that_were_imported_long_after_their_date_are_counted(world: World, tmp_path: Path) -> None:
    rows = [f"{who},{day},1,Gold,2025-01-01,,9" for who, day in (("a", "2026-03-01"), ("b", "2026-06-29"))]
    bring(world, write(tmp_path, "late.csv", rows), DATED, ends_complete_to="2026-06-30")
    with world.database.read() as connection:
        assert facts.imported_late(connection, ["2026-03-01", "2026-06-29"], days=7) == (1, 2)
    [note] = training._notes(world.database, "2026-12-31")
    # The newer date has not matured.
    assert note.startswith("100.0 % of the dated facts (1 of 1) were imported more than 7 days after their date")


def test_what_is_trained_on_in_the_past_uses_nothing_after_it(demo_world: World) -> None:
    with demo_world.database.read() as connection:
        days = facts.snapshot_dates(connection)
    batches = list(training._snapshot(demo_world.database, built_in_schema(), days[5]))
    assert [batch.column(1)[0].as_py().isoformat() for batch in batches] == days[:4]


def test_before_anything_has_matured_the_sentence_says_what_is_missing(world: World) -> None:
    with pytest.raises(ServiceError, match="import a table first"):
        world.do("train", training.run)
    with world.database.write() as connection:
        customer_base.adopt(connection, built_in_schema(), is_demo=False, clock=clock)
    with pytest.raises(InsufficientData, match="'churn' is blank in every row, and no subscription has an end"):
        list(training._snapshot(world.database, built_in_schema(), "2026-06-30"))
    with_ends = schema_from_dict({**built_in_schema().as_dict(), "subscription": {"end": "left_on"}})
    with pytest.raises(InsufficientData, match="60 days"):
        list(training._snapshot(world.database, with_ends, "2026-06-30"))


def test_cancelling_stops_the_training_at_the_other_end_and_gives_the_version_back(
    demo_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Work] = []

    def report(progress: float, stage: str) -> None:
        if progress > 0:
            given[0].stops.set()

    given.append(demo_world.work("train", {"again": True}, report=report))
    from gateway.services.jobs import running

    assert running.run(given[0], kinds.TRAIN).state == "cancelled"
    with demo_world.database.read() as connection:
        assert [model.version for model in models.versions(connection)] == ["2.4.3", "2.4.2", "2.4.1"]


def test_the_request_of_a_training_begins_when_all_its_rows_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A client that waits for an import, or for the rows of the next date, sends no body, and is taken for a slow one.
    schema, order = built_in_schema(), []

    def rows(*_: Any) -> Iterator[Any]:
        order.append("first rows")
        yield from ()
        order.append("last rows")

    class Asked:
        def train(self, snapshot: Any, *, request_id: str | None) -> Iterator[dict[str, Any]]:
            order.append("request")
            yield {"report": len(b"".join(snapshot))}

    monkeypatch.setattr(training, "_locked_snapshot", rows)
    settings = SimpleNamespace(data_folder=tmp_path)
    work = SimpleNamespace(ml=Asked(), job=SimpleNamespace(request_id=None), settings=settings)
    lines = training._lines(
        work, schema, TrainParams(model_version="1.0.0", table_schema=schema.as_dict()), "2026-06-30"
    )  # type: ignore[arg-type]
    assert next(lines)["report"] > 0
    assert order == ["first rows", "last rows", "request"]
    assert not list((tmp_path / "spool").iterdir())
