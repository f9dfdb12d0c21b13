"""The demo at a small size, made by the real job with the real ML service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from database.customers import churn_history, customer_base, customers, facts
from database.models import models
from database.scoring import runs, score_figures
from database.tables import tables
from database.tables.tables import customer_snapshots, subscriptions
from gateway.services import demo
from gateway.services.importing import import_file
from shared.clock import Clock
from shared.errors import Conflict
from shared.schema.features import built_in_schema, schema_from_dict
from tests.stack import ROOT
from tests.world import TODAY, World, clock

pytestmark = pytest.mark.xdist_group("real ml service")


@pytest.fixture
def days(demo_clock: Clock) -> list[str]:
    """The dates of the demo's facts, the oldest first."""
    return [(demo_clock().date() - timedelta(days=30 * k)).isoformat() for k in range(demo.MONTHS)][::-1]


def rows(world: World, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    with world.database.read() as connection:
        chosen = [table.c[name] for name in columns] or list(table.columns)
        return [tuple(row) for row in connection.execute(select(*chosen).order_by(*table.primary_key.columns))]


def test_the_facts_run_up_to_the_day_of_the_clock(demo_world: World, days: list[str]) -> None:
    with demo_world.database.read() as connection:
        present = customer_base.get(connection)
        assert facts.snapshot_dates(connection) == days
        assert (present.is_demo, present.is_ready, present.schema) == (True, True, built_in_schema())  # type: ignore[union-attr]
        assert customers.population(connection) == 600
        last = select(func.max(subscriptions.c.ended_at), func.max(subscriptions.c.started_at))
        assert max(connection.execute(last).one()) <= days[-1]
    assert len(rows(demo_world, customer_snapshots)) == 600 * demo.MONTHS


def test_past_months_were_scored_by_the_model_of_their_time_and_know_how_it_came_out(
    demo_world: World, days: list[str]
) -> None:
    with demo_world.database.read() as connection:
        told = [(row.version, row.live_from[:10]) for row in models.timeline(connection)]
        r, p, o, m = tables.scoring_runs, tables.ledger, tables.outcomes, tables.models
        query = select(r.c.as_of, r.c.kind, m.c.version, r.c.customers, func.count(p.c.customer_id), func.count(o.c.id))
        query = (
            query.join(m, m.c.id == r.c.model_id)
            .join(p, p.c.run_id == r.c.id)
            .outerjoin(o, (o.c.run_id == p.c.run_id) & (o.c.customer_id == p.c.customer_id))
        )
        found = connection.execute(query.group_by(r.c.id).order_by(r.c.as_of)).all()
    assert [row.as_of for row in found] == days[demo.TRAINED_AT[0] :]
    assert [row.kind for row in found] == ["past"] * (len(found) - 1) + ["full"]
    for row in found:
        live_then = [version for version, since in told if since <= row.as_of]
        assert row.version in live_then
        assert row[3] == row[4] == 600
        assert row[5] == (600 if row.as_of <= days[-3] else 0), "an outcome once 60 days have passed, never before"


def test_outcomes_are_the_labels_of_their_day(demo_world: World, days: list[str]) -> None:
    with demo_world.database.read() as connection:
        o, r = tables.outcomes, tables.scoring_runs
        query = select(r.c.as_of, o.c.customer_id, o.c.churned).join_from(o, r, r.c.id == o.c.run_id)
        for row in connection.execute(query.where(r.c.as_of == days[6])):
            assert facts.outcomes_at(connection, days[6])[row.customer_id] == row.churned
            break
        counted = dict.fromkeys((0, 1), 0)
        for label in facts.outcomes_at(connection, days[6]).values():
            counted[label] += 1
        kept = connection.execute(
            select(o.c.churned, func.count()).join(r, r.c.id == o.c.run_id)
            .where(r.c.as_of == days[6]).group_by(o.c.churned)
        )  # fmt: skip
        assert dict(kept.all()) == counted  # type: ignore[arg-type]
        assert counted[1] > 5


def test_the_documented_customers_stand_there_as_documented(demo_world: World) -> None:
    with demo_world.database.read() as connection:
        for given in demo.DOCUMENTED:
            row = customers.one(connection, built_in_schema(), given.user_id)
            assert row is not None
            expected = {name: getattr(given, name) for name in ("plan", "watch_time_hours", "device_count")}
            assert {name: row[name] for name in expected} == expected
            assert row["churn"] == 0
            assert row["churn_probability"] is not None


def test_churn_and_roll_ups_are_there_on_the_first_day(demo_world: World, days: list[str]) -> None:
    with demo_world.database.read() as connection:
        shown = runs.published(connection)
        assert shown is not None
        assert sum(score_figures.distribution(connection, shown.run_id)) == 600
        assert score_figures.tail(connection, shown.run_id, 0.7).revenue_at_risk is not None
        before = score_figures.run_before(connection, shown.as_of)
        assert before is not None
        assert score_figures.tail(connection, before, 0.7).all_customers == 600
        history = churn_history.history(connection)
    assert [period.end for period in history] == days[:0:-1][: churn_history.PERIODS]
    assert all(0.01 < period.rate < 0.15 for period in history if period.rate is not None)


def test_the_same_clock_makes_the_same_facts(make_world: Callable[..., World]) -> None:
    once, again = (make_world(DEMO_CUSTOMERS=500) for _ in range(2))
    assert demo.load(once.work("demo")) and demo.load(again.work("demo"))
    for table in (tables.customers, customer_snapshots, subscriptions):
        assert rows(once, table) == rows(again, table)
    wide = customer_base.snapshots_table(built_in_schema())
    assert rows(once, wide) == rows(again, wide)


def test_another_day_makes_facts_that_end_on_that_day(make_world: Callable[..., World], days: list[str]) -> None:
    later = make_world(at=lambda: TODAY + timedelta(days=17))
    demo.load(later.work("demo"))
    with later.database.read() as connection:
        assert facts.last_date(connection) == (TODAY.date() + timedelta(days=17)).isoformat()


def test_a_demo_that_is_there_is_not_made_again(demo_world: World) -> None:
    assert demo_world.do("demo", demo.run) == {"unchanged": True}


def test_the_demo_can_be_removed_and_loaded_again_and_the_models_records_stay(demo_world: World) -> None:
    assert demo.remove(demo_world.database) is True
    assert demo.remove(demo_world.database) is False
    for table in (tables.customers, customer_snapshots, subscriptions, tables.ledger, tables.model_timeline):
        assert rows(demo_world, table) == []
    assert len(rows(demo_world, tables.models)) == 3
    assert demo.load(demo_world.work("demo"))
    with demo_world.database.read() as connection:
        assert customers.population(connection) == 600
        assert models.live(connection) is None


def test_a_demo_that_broke_half_way_is_made_from_the_beginning(world: World) -> None:
    assert demo.load(world.work("demo"))
    assert demo.load(world.work("demo"))
    with world.database.read() as connection:
        assert customers.population(connection) == 600


def test_ones_own_customers_are_never_replaced_or_removed_by_the_demo(world: World) -> None:
    schema = schema_from_dict({"features": {"x": {"kind": "number"}}})
    with world.database.write() as connection:
        customer_base.adopt(connection, schema, is_demo=False, clock=clock)
    with pytest.raises(Conflict, match="DATABASE_PATH"):
        demo.load(world.work("demo"))
    with pytest.raises(Conflict, match="nothing was removed"):
        demo.remove(world.database)


def test_a_table_of_another_schema_is_refused_with_the_way_out_of_the_demo(demo_world: World) -> None:
    params = {"path": str(ROOT / "examples" / "customers.csv"), "file_name": "c.csv"}
    schema = schema_from_dict({"id": "user_id", "features": {"device_count": {"kind": "number"}}})
    job = demo_world.run("import", import_file.run, {**params, "schema": schema.as_dict()})
    assert "retainstream demo --remove" in job.error["message"]  # type: ignore[index]


def test_newer_facts_of_a_demo_customer_may_be_imported(demo_world: World, tmp_path: Any) -> None:
    header = "user_id,watch_time_hours,subscription_age_months,device_count,last_login_days,payment_failures,tenure_months,plan"
    path = tmp_path / "one.csv"
    path.write_text(f"{header}\nusr_942183,11,14,3,25,2,14,Premium 4K\n", encoding="utf-8")
    params = {"path": str(path), "file_name": "one.csv", "schema": built_in_schema().as_dict()}
    result = demo_world.do("import", import_file.run, params)
    assert (result["customers_new"], result["customers_updated"]) == (0, 1)
    with demo_world.database.read() as connection:
        row = customers.one(connection, built_in_schema(), "usr_942183")
        assert runs.published(connection) is not None
    assert (row["watch_time_hours"], row["payment_failures"]) == (11.0, 2)  # type: ignore[index]
