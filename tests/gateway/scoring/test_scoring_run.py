"""Scoring runs with the real ML service: one version, whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, update

from database.customers import customer_base, customers, facts
from database.engine.bulk_read import fetch_columns
from database.engine.session import Database
from database.models import models
from database.scoring import runs, score_figures
from database.tables import tables
from gateway.services import kinds
from gateway.services.jobs import running, work
from gateway.services.jobs.work import Work
from gateway.services.monitoring import drifting
from gateway.services.scoring import scoring_run
from shared.clock import days_later, iso
from shared.contracts import arrow
from shared.errors import ServiceError
from shared.schema.features import built_in_schema
from tests.gateway.conftest import Run
from tests.world import NOBODY, World, clock

pytestmark = pytest.mark.xdist_group("real ml service")


def count(database: Database, table: Any) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def shown(world: World) -> dict[int, float]:
    with world.database.read() as connection:
        found = runs.published(connection)
        assert found is not None
        p = tables.present_ranks
        query = select(p.c.customer_id, p.c.churn_probability).where(p.c.run_id == found.run_id)
        return dict(connection.execute(query).all())  # type: ignore[arg-type]


def test_a_run_scores_everybody_publishes_and_leaves_no_stale_score(demo_world: World) -> None:
    before = shown(demo_world)
    result = demo_world.do("score", scoring_run.run)
    assert (result["predictions_generated"], result["model_version"]) == (600, "2.4.3")
    assert shown(demo_world) == before, "the same model and the same facts give the same scores"
    assert result["average_probability"] == pytest.approx(sum(before.values()) / 600)
    assert count(demo_world.database, tables.present_ranks) == 600
    with demo_world.database.read() as connection:
        assert score_figures.tail(connection, result["run_id"], 0.0).all_customers == 600


def test_a_sample_is_of_customers_that_exist_and_totals_stay_over_all(demo_world: World) -> None:
    before = shown(demo_world)
    result = demo_world.do("score", scoring_run.run, {"sample_size": 25})
    assert result["predictions_generated"] == 25
    assert shown(demo_world) == before
    with demo_world.database.read() as connection:
        published = runs.published(connection)
        assert published is not None
        assert published.run_id != result["run_id"]
        assert sum(score_figures.distribution(connection, published.run_id)) == 600
        newest = select(func.count()).where(tables.present_changes.c.scored_run_id == result["run_id"])
        assert connection.execute(newest).scalar_one() == 25


def test_a_sample_by_another_model_than_the_shown_one_refreshes_nothing(demo_world: World) -> None:
    with demo_world.database.write() as connection:
        older = models.get(connection, "2.4.1")
        assert older is not None
        models.promote(connection, older.id, reason="test", live_from=iso(clock()))
    before = shown(demo_world)
    result = demo_world.do("score", scoring_run.run, {"sample_size": 25})
    assert result["model_version"] == "2.4.1"
    assert shown(demo_world) == before


def test_a_sample_larger_than_everybody_is_everybody(demo_world: World) -> None:
    assert demo_world.do("score", scoring_run.run, {"sample_size": 5000})["predictions_generated"] == 600


def in_chunks_of(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHUNK", "FIRST_CHUNK"):
        monkeypatch.setattr(scoring_run, name, rows)


def test_chunks_make_the_same_run_as_one_piece(demo_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shown(demo_world)
    in_chunks_of(97, monkeypatch)
    demo_world.do("score", scoring_run.run)
    assert shown(demo_world) == before


@pytest.mark.parametrize("sample", [None, 250])
def test_of_a_wide_table_fewer_customers_go_in_one_call(
    demo_world: World, monkeypatch: pytest.MonkeyPatch, sample: int | None
) -> None:
    before = shown(demo_world)
    real, asked = demo_world.ml.score_columns, []

    def counted(body: bytes, *args: Any, **more: Any) -> bytes:
        asked.append(arrow.decode(body).num_rows)
        return real(body, *args, **more)

    monkeypatch.setattr(demo_world.ml, "score_columns", counted)
    monkeypatch.setattr(scoring_run, "MOST_CELLS", 100 * len(built_in_schema().features) + 1)
    demo_world.do("score", scoring_run.run, {"sample_size": sample} if sample else {})
    assert asked == ([100, 100, 50] if sample else [100] * 6)
    assert shown(demo_world) == before


def test_the_roll_up_counted_on_the_way_is_what_the_database_counts(demo_world: World) -> None:
    run_id = demo_world.do("score", scoring_run.run)["run_id"]
    with demo_world.database.read() as connection:
        stored = [tuple(row)[1:] for row in score_figures.bins(connection, run_id)]
        measured = sorted(runs.measure_bins(connection, run_id))
    assert len(stored) == len(measured) > 10
    for row, other in zip(stored, measured, strict=True):
        assert row == pytest.approx(other)


def test_what_a_run_stores_is_what_the_model_says_in_every_column(demo_world: World) -> None:
    run_id = demo_world.do("score", scoring_run.run)["run_id"]
    p, ranks = tables.ledger, tables.present_ranks
    with demo_world.database.read() as connection:
        found, live = customer_base.get(connection), models.live(connection)
        assert found is not None and live is not None
        rows = connection.execute(customers.to_score(found.schema, as_of="2026-06-30", after_id=0, limit=1000)).all()
        names = ("customer_id", "monthly_price", *runs.SCORE_COLUMNS)
        stored = connection.execute(select(*(p.c[name] for name in names)).where(p.c.run_id == run_id)).all()
        ranked = connection.execute(select(ranks.c.churn_probability, ranks.c.customer_id)).all()
    with demo_world.database.read() as connection:
        fetched = fetch_columns(
            connection, customers.to_score(found.schema, as_of="2026-06-30", after_id=0, limit=1000)
        )
    batch = scoring_run.to_batch(found.schema, fetched)
    assert [tuple(row.values()) for row in arrow.decode(batch.body).to_pylist()] == [
        (row[0], *row[2:-1]) for row in rows
    ]
    answer = arrow.decode(demo_world.ml.score_columns(batch.body, live.version, request_id="again"))
    said = zip(*(answer.column(name).to_pylist() for name in runs.SCORE_COLUMNS), strict=True)
    assert [tuple(row) for row in stored] == [(*row[:2], *score) for row, score in zip(rows, said, strict=True)]
    assert [tuple(row) for row in ranked] == sorted(
        ((row.churn_probability, row.customer_id) for row in stored), key=lambda row: (-row[0], row[1])
    )


def test_reasons_in_the_ledger_are_the_schemas_features(demo_world: World) -> None:
    p, features = tables.ledger, len(built_in_schema().features)
    with demo_world.database.read() as connection:
        for row in connection.execute(select(p).order_by(p.c.run_id.desc()).limit(50)).mappings():
            order = [row[f"reason_{k}"] for k in (1, 2, 3)]
            assert len(set(order)) == 3
            assert all(0 <= at < features for at in order)
            sizes = [abs(row[f"points_{k}"]) for k in (1, 2, 3)]
            assert all(size <= 1 for size in sizes)


def make_older(world: World, days: dict[str, int]) -> str:
    """Give customers facts that are some days older than the run's date; the run's date."""
    c = tables.customers
    with world.database.write() as connection:
        as_of = facts.last_date(connection)
        assert as_of is not None
        for user_id, age in days.items():
            older = update(c).where(c.c.user_id == user_id).values(as_of=days_later(as_of, -age))
            connection.execute(older)
    return as_of


def test_facts_older_than_the_run_may_use_are_not_scored_and_counted_apart(demo_world: World) -> None:
    ages = {"usr_942183": 35, "usr_331092": 36, "usr_776104": 64, "usr_210554": 64}
    as_of = make_older(demo_world, ages)
    result = demo_world.do("score", scoring_run.run)
    assert result["predictions_generated"] == 597
    assert result["older_facts"] == {
        "customers": 3,
        "before": days_later(as_of, -35),
        "dates": [
            {"as_of": days_later(as_of, -36), "customers": 1}, {"as_of": days_later(as_of, -64), "customers": 2}
        ],
    }  # fmt: skip
    card = demo_world.ask("GET", "/api/dashboard/metrics").get_json()["data"]["predictedChurners"]
    assert (card["customers"], card["older_facts"], card["facts_from"]) == (597, 3, days_later(as_of, -35))
    answer = demo_world.ask("GET", "/api/customers?scored=no&churned=false&sort=user_id").get_json()
    listed = answer["data"]["customers"]
    dated = {row["user_id"]: row["facts_as_of"] for row in listed}
    assert {name: dated.get(name) for name in ages} == {
        "usr_942183": None,
        **{name: days_later(as_of, -age) for name, age in ages.items() if age > 35},
    }
    past = demo_world.ask("GET", "/api/customers/usr_942183/history").get_json()["data"]["scores"][0]
    assert (past["as_of"], past["facts_as_of"]) == (as_of, days_later(as_of, -35)), "the ledger keeps their date"


def test_the_command_tells_of_customers_with_older_facts(demo_world: World, run: Run) -> None:
    as_of = make_older(demo_world, {"usr_331092": 40, "usr_776104": 64, "usr_210554": 64})
    status, said, _ = run(demo_world, "score")
    assert status is None
    assert said.splitlines()[1] == (
        f"3 customers have facts older than {days_later(as_of, -35)}, and no score: "
        f"1 of {days_later(as_of, -40)}, 2 of {days_later(as_of, -64)}."
    )


def test_the_greatest_age_of_facts_is_a_setting(demo_world: World) -> None:
    make_older(demo_world, {"usr_331092": 40})
    strict, lax = (replace(demo_world, settings=demo_world.settings.model_copy(update={"facts_max_age_days": most}))
                   for most in (39, 40))  # fmt: skip
    assert strict.do("score", scoring_run.run)["older_facts"]["customers"] == 1
    assert lax.do("score", scoring_run.run)["older_facts"]["customers"] == 0
    assert strict.do("score", scoring_run.run, {"sample_size": 599})["predictions_generated"] == 599
    with demo_world.database.write() as connection:
        connection.execute(update(tables.customers).values(as_of="2020-01-01"))
    with pytest.raises(ServiceError, match=r"No customer has facts of .* or later, so nobody was scored"):
        lax.do("score", scoring_run.run)


def test_a_run_that_breaks_half_way_leaves_nothing_and_what_is_shown_stays(
    demo_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_chunks_of(200, monkeypatch)
    before, ledger = shown(demo_world), count(demo_world.database, tables.ledger)
    real, calls = demo_world.ml.score_columns, []

    def breaks(*args: Any, **more: Any) -> bytes:
        calls.append(1)
        if len(calls) == 3:
            raise ServiceError("away")
        return real(*args, **more)

    monkeypatch.setattr(demo_world.ml, "score_columns", breaks)
    assert demo_world.run("score", scoring_run.run).state == "failed"
    assert shown(demo_world) == before
    assert count(demo_world.database, tables.ledger) == ledger
    with demo_world.database.read() as connection:
        assert (
            list(connection.execute(select(tables.scoring_runs).where(tables.scoring_runs.c.state == "running"))) == []
        )


def test_a_cancel_that_comes_after_publishing_does_not_call_the_run_cancelled(demo_world: World) -> None:
    given: list[Work] = []
    first = runs_published(demo_world)

    def report(progress: float, stage: str) -> None:
        if runs_published(demo_world) != first:
            given[0].stops.set()

    given.append(demo_world.work("score", report=report))
    job = running.run(given[0], kinds.SCORE)
    assert (job.state == "done") is (runs_published(demo_world) != first)


def runs_published(world: World) -> int | None:
    with world.database.read() as connection:
        found = runs.published(connection)
        return found.run_id if found else None


def test_without_an_ml_service_a_run_fails_in_a_sentence_and_shows_what_was_shown(
    make_world: Any, demo_file: Any
) -> None:
    world = make_world(demo_file, url=NOBODY)
    before = shown(world)
    with pytest.raises(ServiceError, match="does not answer") as caught:
        world.do("score", scoring_run.run)
    assert caught.value.code == "service_unavailable"
    assert shown(world) == before


def test_without_customers_or_without_a_model_there_is_a_sentence(world: World) -> None:
    with pytest.raises(ServiceError, match="import a table first"):
        world.do("score", scoring_run.run)
    with world.database.write() as connection:
        customer_base.adopt(connection, built_in_schema(), is_demo=False, clock=clock)
    with pytest.raises(ServiceError, match="import a table first"):
        world.do("score", scoring_run.run)


def test_who_can_be_scored_is_who_is_listed(demo_world: World) -> None:
    with demo_world.database.read() as connection:
        assert set(customers.population_ids(connection)) == set(shown(demo_world))


@pytest.mark.parametrize("sample", [None, 25])
def test_a_run_that_is_complete_is_not_called_cancelled(
    demo_world: World, monkeypatch: pytest.MonkeyPatch, sample: int | None
) -> None:
    begun = demo_world.work("score", {"sample_size": sample})

    def cancelled(given: Work, run_id: int) -> bool:
        if work.cancel(demo_world.database, demo_world.clock, begun.job.id).cancel_requested:
            given.stops.set()
        given.check()
        return True

    monkeypatch.setattr(drifting, "measure", cancelled)
    ended = running.run(begun, kinds.SCORE)
    assert ended.state == "done", ended.error
