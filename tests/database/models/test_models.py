"""Model versions: how they are numbered, recorded, and which one was live when."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, select

from database.engine.session import Database
from database.jobs import jobs, lost_jobs
from database.models import models
from database.tables import tables
from tests.database.facts import NOW

REPORT = {
    "auc": 0.87, "precision": 0.4, "recall": 0.5, "f1_score": 0.44, "training_samples": 750, "model_version": "2.4.1",
    "importance": [{"name": "x", "importance": 0.25}, {"name": "y", "importance": 0.75}],
}  # fmt: skip


def job(connection: Any) -> int:
    made = jobs.create(connection, kind="train", params={}, now=NOW)
    jobs.claim_one(connection, made, worker="w", now=NOW)
    return made


def reserve(connection: Any, version: str, job_id: int | None = None) -> int:
    return models.reserve(
        connection,
        version=version,
        schema_checksum="c",
        trained_on="2026-01-01",
        job_id=job_id or job(connection),
        now=NOW,
    )


def whole(connection: Any, version: str) -> int:
    model_id = reserve(connection, version)
    models.record(connection, model_id, {**REPORT, "model_version": version}, NOW)
    return model_id


@pytest.mark.parametrize(
    ("known", "on_disk", "following"),
    [
        ([], [], "2.4.1"),
        (["2.4.1"], [], "2.4.2"),
        (["2.4.9"], [], "2.4.10"),
        (["2.4.9", "2.4.10"], [], "2.4.11"),
        ([], ["2.4.7"], "2.4.8"),
        (["2.4.1"], ["2.4.3", "2.4.2"], "2.4.4"),
        (["2.4.1"], ["3.0.0"], "3.0.1"),
    ],
)
def test_the_first_version_is_the_configured_one_and_each_further_one_adds_one_to_the_highest_known_anywhere(
    database: Database, known: list[str], on_disk: list[str], following: str
) -> None:
    with database.write() as connection:
        for version in known:
            whole(connection, version)
        assert models.next_version(connection, "2.4.1", on_disk) == following


def test_a_version_in_training_is_not_given_again_and_one_given_back_is(database: Database) -> None:
    with database.write() as connection:
        taken = reserve(connection, "2.4.1")
        assert models.next_version(connection, "2.4.1", []) == "2.4.2"
        models.release(connection, taken)
        assert models.next_version(connection, "2.4.1", []) == "2.4.1"


def test_what_a_killed_training_reserved_is_free_again_and_a_running_ones_number_is_not(database: Database) -> None:
    with database.write() as connection:
        killed, running = job(connection), job(connection)
        reserve(connection, "2.4.1", killed)
        reserve(connection, "2.4.2", running)
        lost_jobs.requeue_or_end(connection, lost_jobs.heartbeats(connection), now=NOW)
        jobs.claim_one(connection, running, worker="w", now=NOW)
        models.release_lost(connection)
        assert {model.version for model in models.versions(connection)} == {"2.4.2"}


def test_a_trained_model_is_never_given_back(database: Database) -> None:
    with database.write() as connection:
        model_id = whole(connection, "2.4.1")
        models.release(connection, model_id)
        assert models.get(connection, "2.4.1") is not None


def test_a_record_keeps_the_report_and_fills_the_documented_tables(database: Database) -> None:
    with database.write() as connection:
        model_id = reserve(connection, "2.4.1")
        models.record(connection, model_id, REPORT, NOW)
        models.decide(connection, model_id, "Promoted: because.")
        found = models.get(connection, "2.4.1")
        assert found is not None
        assert (found.state, found.figures, found.decision) == ("ready", REPORT, "Promoted: because.")
        metrics = connection.execute(select(tables.model_metrics)).one()
        assert (metrics.auc_score, metrics.precision, metrics.recall, metrics.f1_score) == (0.87, 0.4, 0.5, 0.44)
        assert metrics.training_samples == 750
        assert [tuple(row) for row in models.importance(connection, "2.4.1")] == [("y", 0.75), ("x", 0.25)]


def test_the_newest_entry_of_the_timeline_names_the_live_model_and_the_entries_before_stay(database: Database) -> None:
    with database.write() as connection:
        assert models.live(connection) is None is models.live_version(connection)
        first, second = whole(connection, "2.4.1"), whole(connection, "2.4.2")
        for model_id, moment in ((first, "t1"), (second, "t2"), (first, "t3")):
            models.promote(connection, model_id, reason="r", live_from=moment)
        assert models.live_version(connection) == (first, "2.4.1")
        assert models.live(connection).version == "2.4.1"  # type: ignore[union-attr]
        told = [(row.version, row.live_from) for row in models.timeline(connection)]
        assert told == [("2.4.1", "t3"), ("2.4.2", "t2"), ("2.4.1", "t1")]


def test_before_reads_the_timeline_as_a_stack_that_a_rollback_pops(database: Database) -> None:
    def before(connection: Any) -> str | None:
        found = models.before(connection)
        return found.version if found else None

    with database.write() as connection:
        user = connection.execute(
            insert(tables.users)
            .values(email="a@example.com", password_hash="x", name="A", role="admin", created_at=NOW, updated_at=NOW)
            .returning(tables.users.c.id)
        ).scalar_one()
        assert before(connection) is None
        first, second, third = (whole(connection, f"2.4.{k}") for k in (1, 2, 3))
        seen = []
        for model_id in (first, second, third):
            models.promote(connection, model_id, reason="r", live_from=NOW)
            seen.append(before(connection))
        for model_id in (second, first):
            models.roll_back(connection, model_id, reason="r", live_from=NOW, user_id=user)
            seen.append(before(connection))
        models.promote(connection, third, reason="r", live_from=NOW)
        seen.append(before(connection))
        assert seen == [None, "2.4.1", "2.4.2", "2.4.1", None, "2.4.1"]
        assert [row.version[-1] for row in models.timeline(connection)] == ["3", "1", "2", "3", "2", "1"]
