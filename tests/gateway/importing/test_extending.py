"""`retainstream schema extend`: a new feature is a migration of the base, and earlier models go on without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from sqlalchemy import select

from database.accounts import audit, users
from database.accounts.audit import Actor
from database.customers import customer_base, customers
from database.models import models
from database.tables import tables
from gateway.query_cache import QueryCache
from gateway.services.importing.extend_schema import extend_schema
from gateway.services.jobs import locks
from gateway.services.models import training
from gateway.services.scoring import reasons, scoring_run
from gateway.services.scoring.lookups import live_schema, present_facts
from shared.schema.features import Schema, built_in_schema, load_schema
from tests.gateway.conftest import Run
from tests.world import World

HEADER = ("user_id,email,plan,watch_time_hours,subscription_age_months,device_count,last_login_days,payment_failures,"
          "tenure_months,monthly_price,churn,support_tickets,language")  # fmt: skip


ADDED = {"support_tickets": {"kind": "number", "missing": True}, "language": {"kind": "category", "missing": True}}


def extended(tmp_path: Path, **features: dict[str, Any]) -> Path:
    """The built-in schema with further features, as a file."""
    wanted = built_in_schema().as_dict()
    wanted["features"] |= features or ADDED
    path = tmp_path / "extended.toml"
    path.write_text(tomli_w.dumps(wanted), encoding="utf-8")
    return path


def rows_of(world: World, table: Any) -> list[tuple[Any, ...]]:
    """Every row, in the columns that the table had before any extension."""
    wide = customer_base.snapshots_table(built_in_schema()) if table is tables.customer_snapshots else table
    with world.database.read() as connection:
        return [tuple(row) for row in connection.execute(select(wide).order_by(*wide.primary_key.columns))]


def test_a_base_is_extended_once_and_keeps_its_history(world: World, tmp_path: Path, run: Run) -> None:
    table = tmp_path / "a.csv"
    table.write_text(HEADER.rsplit(",", 2)[0] + "\nann,a@example.com,Standard,1,2,3,4,0,5,7.99,0\n", encoding="utf-8")
    assert run(world, "import", str(table), "--schema", "retainstream", "--as-of", "2026-05-01")[0] is None
    before = rows_of(world, tables.customer_snapshots)
    schema_file = extended(tmp_path)
    status, out, _ = run(world, "schema", "extend", str(schema_file))
    assert (status, out.split(".")[0]) == (None, "Added support_tickets, language")
    assert rows_of(world, tables.customer_snapshots) == before
    assert "nothing changed" in run(world, "schema", "extend", str(schema_file))[1]
    shown = tmp_path / "shown.toml"
    shown.write_text(run(world, "schema", "show")[1], encoding="utf-8")
    assert load_schema(str(shown)).feature_names[-2:] == ("support_tickets", "language")
    with world.database.read() as connection:
        assert [len(schema.features) for schema in customer_base.versions(connection).values()] == [7, 9]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s["features"].pop("device_count"), "feature 'device_count' is missing"),
        (lambda s: s["features"].update(plan={"kind": "number"}), "feature 'plan' has another kind"),
        (lambda s: s.update(id="key"), "`id` differs"),
        (lambda s: s["features"].update(extra={"kind": "number", "missing": False}), "set missing = true"),
    ],
)
def test_what_is_no_further_feature_is_refused_and_nothing_changes(
    world: World, tmp_path: Path, run: Run, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    with world.database.write() as connection:
        customer_base.adopt(connection, built_in_schema(), is_demo=False, clock=world.clock)
    wanted = built_in_schema().as_dict()
    change(wanted)
    path = tmp_path / "other.toml"
    path.write_text(tomli_w.dumps(wanted), encoding="utf-8")
    status, _, told = run(world, "schema", "extend", str(path))
    assert (status, says in told) == (2, True), told
    with world.database.read() as connection:
        assert customer_base.get(connection).schema == built_in_schema()  # type: ignore[union-attr]


def test_there_is_nothing_to_extend_in_an_empty_database(world: World, tmp_path: Path, run: Run) -> None:
    status, _, told = run(world, "schema", "extend", str(extended(tmp_path)))
    assert (status, "import a table first" in told) == (2, True)


def shown(world: World) -> dict[int, float]:
    p = tables.present_ranks
    with world.database.read() as connection:
        return dict(connection.execute(select(p.c.customer_id, p.c.churn_probability)).all())  # type: ignore[arg-type]


@pytest.mark.xdist_group("real ml service")
def test_an_earlier_model_goes_on_scoring_an_extended_base_and_a_new_one_uses_the_feature(
    demo_world: World, tmp_path: Path, run: Run
) -> None:
    world, before = demo_world, shown(demo_world)
    schema_file = extended(tmp_path)
    ledger = rows_of(world, tables.ledger)
    assert run(world, "schema", "extend", str(schema_file))[0] is None
    assert world.do("score", scoring_run.run)["model_version"] == "2.4.3"
    assert shown(world) == before, "the same model and facts, so the same scores"
    assert rows_of(world, tables.ledger)[: len(ledger)] == ledger
    arrivals = tmp_path / "arrivals.csv"
    line = "new_{},n@example.com,Standard,5,1,1,40,3,1,7.99,0,{},de"
    arrivals.write_text("\n".join([HEADER, *(line.format(k, k) for k in range(5))]) + "\n", encoding="utf-8")
    assert run(world, "import", str(arrivals), "--schema", str(schema_file))[0] is None
    assert world.do("score", scoring_run.run)["predictions_generated"] == len(before) + 5
    after = shown(world)
    assert {key: after[key] for key in before} == before
    assert len({after[key] for key in after if key not in before}) == 1, "what it was not trained on counts for nothing"
    _explains(world, "new_3")
    result = world.do("train", training.run)
    with world.database.read() as connection:
        made = models.get(connection, result["metrics"]["model_version"])
        assert made is not None
        assert customer_base.schema_of(connection, made.schema_checksum).feature_names[-1] == "language"  # type: ignore[union-attr]


def _explains(world: World, user_id: str) -> None:
    schema, version = live_schema(world.database, QueryCache(world.database))
    assert schema == built_in_schema()
    _, known = present_facts(world.database, schema, user_id)
    answer = reasons.score(world.ml, schema, version, [known], as_of=None)
    with world.database.read() as connection:
        wide: Schema = customer_base.get(connection).schema  # type: ignore[union-attr]
        row = customers.one(connection, wide, user_id)
    assert row is not None
    assert row["support_tickets"] == 3
    assert answer.predictions[0].churn_probability == pytest.approx(row["churn_probability"], abs=1e-6)
    assert reasons.stored_reasons(wide, row)
    assert {reason["feature"] for reason in reasons.stored_reasons(wide, row)} <= set(schema.features)


def test_extending_is_refused_beside_a_running_import_and_nothing_is_changed(
    world: World, tmp_path: Path, run: Run
) -> None:
    schema_file = extended(tmp_path)
    with world.database.write() as connection:
        customer_base.adopt(connection, built_in_schema(), is_demo=False, clock=world.clock)
    importing = world.work("import")
    with locks.alone(importing, locks.IMPORTS, "Waiting"):
        status, _, told = run(world, "schema", "extend", str(schema_file))
    assert status
    assert "An import is being written" in told
    with world.database.read() as connection:
        present = customer_base.get(connection)
        assert present is not None
        assert present.schema == built_in_schema()
        assert audit.page(connection, limit=9, action="schema") == []
    assert run(world, "schema", "extend", str(schema_file))[0] is None


def test_the_audit_log_says_who_extended_the_schema_and_by_what(world: World, tmp_path: Path, run: Run) -> None:
    with world.database.write() as connection:
        customer_base.adopt(connection, built_in_schema(), is_demo=False, clock=world.clock)
        who = users.add(connection, email="a@example.com", password_hash="", name="A", role="admin", now="2026-06-30")
    schema_file = extended(tmp_path)
    actor = Actor(who, "a-request")
    extend_schema(world.database, world.settings, load_schema(str(schema_file)), clock=world.clock, actor=actor)
    run(world, "schema", "extend", str(schema_file))  # has all of them already: not worth a row
    run(world, "schema", "extend", str(extended(tmp_path, **ADDED, extra={"kind": "number", "missing": True})))
    with world.database.read() as connection:
        rows = [(r.actor, r.user_id, r.request_id, r.subject) for r in audit.page(connection, limit=9, action="schema")]
    assert rows == [
        ("command line", None, None, "features: extra"),
        ("user", who, "a-request", "features: support_tickets, language"),
    ]


def test_the_audit_log_says_who_vouches_for_features_that_a_schema_brings(
    world: World, tmp_path: Path, run: Run
) -> None:
    first = built_in_schema().as_dict()
    first["features"]["plan"]["known_at_scoring"] = True
    (tmp_path / "first.toml").write_text(tomli_w.dumps(first), encoding="utf-8")
    table = tmp_path / "a.csv"
    table.write_text(HEADER.rsplit(",", 2)[0] + "\nann,a@example.com,Standard,1,2,3,4,0,5,7.99,0\n", encoding="utf-8")
    for _ in range(2):
        assert run(world, "import", str(table), "--schema", str(tmp_path / "first.toml"))[0] is None
    path = extended(tmp_path, support_tickets={"kind": "number", "known_at_scoring": True}, language=ADDED["language"])
    extend_schema(
        world.database, world.settings, load_schema(str(path)), clock=world.clock, actor=Actor(request_id="req-1")
    )
    with world.database.read() as connection:
        rows = [(r.actor, r.subject) for r in audit.page(connection, limit=9, action="schema.vouched")]
    assert rows == [("nobody", "features: support_tickets"), ("command line", "features: plan")]
