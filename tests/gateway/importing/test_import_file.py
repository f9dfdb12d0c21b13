"""Importing: whole or not at all, dated, and the newest facts are the present."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from database.customers import churn_history, customer_base, customers, facts
from database.customers.customer_base import column_names, snapshots_table
from database.importing.apply_rows import ChunkStatements
from database.scoring import runs
from database.tables import tables
from gateway.services import kinds
from gateway.services.importing import import_file, import_outcomes
from gateway.services.jobs import running
from gateway.services.jobs.work import Work
from shared.errors import ServiceError
from shared.schema.features import Schema, built_in_schema, load_schema, schema_from_dict
from tests.database import ledger
from tests.database.ledger import a_score
from tests.stack import ROOT
from tests.world import World

EXAMPLE = ROOT / "examples" / "customers.csv"
ALL = [table for name, table in tables.metadata.tables.items() if name not in ("jobs", "workers", "audit_log")]
DATED = schema_from_dict(
    {
        "id": "id", "as_of": "day", "features": {"x": {"kind": "number"}, "plan": {"kind": "category"}},
        "subscription": {"start": "start", "end": "end", "price": "price"},
    }
)  # fmt: skip
HEADER = "id,day,x,plan,start,end,price"


def write(folder: Path, name: str, rows: Sequence[str], header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def bring(world: World, path: Path, schema: Schema, **more: Any) -> dict[str, Any]:
    params = {"path": str(path), "file_name": path.name, "schema": schema.as_dict(), **more}
    return world.do("import", import_file.run, params)


def test_rows_without_a_label_are_customers_that_are_not_trained_on(world: World, tmp_path: Path) -> None:
    schema = schema_from_dict(
        {"id": "id", "label": "left", "positive": ["1"], "features": {"x": {"kind": "number"}}}
    )  # fmt: skip
    path = tmp_path / "some.csv"
    path.write_text("id,x,left\na,1,0\nb,2,\nc,3,1\n")
    told = bring(world, path, schema, as_of="2026-06-01")
    assert "1 row has no label: not trained on, but scored." in told["notes"]
    assert customer(world, "b")["user_id"] == "b"
    with world.database.read() as connection:
        assert [row.label for row in facts.given_label_rows(connection, schema)] == [0, 1]


def counts(world: World) -> dict[str, int]:
    with world.database.read() as connection:
        return {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in ALL}


def customer(world: World, user_id: str) -> dict[str, Any]:
    with world.database.read() as connection:
        present = customer_base.get(connection)
        assert present is not None
        found = customers.one(connection, present.schema, user_id)
    assert found is not None
    return found


def populations(world: World, day: str) -> list[tuple[Any, ...]]:
    with world.database.read() as connection:
        return [tuple(row) for row in facts.training_rows(connection, DATED, day)]


def test_the_built_in_example_is_read_as_it_is(world: World) -> None:
    result = bring(world, EXAMPLE, built_in_schema())
    assert (result["rows"], result["customers_new"], result["customers_updated"]) == (1000, 1000, 0)
    row = customer(world, "usr_100001")
    assert (row["plan"], row["watch_time_hours"], row["tenure_months"], row["churn"]) == ("Basic Ads", 126.8, 66, 0)
    assert (row["monthly_price"], row["last_activity"], row["as_of"]) == (7.99, "Today", "2026-06-30")
    with world.database.read() as connection:
        assert (customers.count(connection), customers.population(connection)) == (1000, 950)
        assert customer_base.get(connection).is_ready  # type: ignore[union-attr]


def test_the_same_file_twice_changes_nothing(world: World) -> None:
    bring(world, EXAMPLE, built_in_schema())
    before = counts(world)
    result = bring(world, EXAMPLE, built_in_schema())
    assert (result["unchanged"], result["customers_new"], counts(world)) == (True, 0, before)


@pytest.mark.parametrize(
    "bad", ["b,2026-01-31,not a number,Gold,2025-01-01,,9", "b,2026-01-31,1,Gold,yesterday,,9", "a,2026-01-31,1,,,,",
            "b,,1,Gold,2025-01-01,,9", ",2026-01-31,1,Gold,2025-01-01,,9", "b,2026-01-31,1,Gold,2025-01-01,,-9"]
)  # fmt: skip
def test_one_bad_row_and_nothing_at_all_is_written(world: World, tmp_path: Path, bad: str) -> None:
    before = counts(world)
    path = write(tmp_path, "a.csv", ["a,2026-01-31,1,Gold,2025-01-01,,9", bad, "c,2026-01-31,3,Gold,2025-01-01,,9"])
    with pytest.raises(ServiceError) as caught:
        bring(world, path, DATED)
    assert caught.value.code == "invalid_table"
    assert [detail["row"] for detail in caught.value.details] == [3]
    assert counts(world) == before


def test_nothing_counts_of_an_import_that_fails_while_it_is_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(ChunkStatements, "apply", breaks)
    with pytest.raises(ServiceError):
        bring(world, write(tmp_path, "a.csv", ["a,2026-01-31,1,Gold,2025-01-01,,9"]), DATED)
    with world.database.read() as connection:
        assert facts.last_date(connection) is None
        assert customers.count(connection) == 0


def test_another_schema_is_refused_with_the_command_that_starts_another_base(world: World) -> None:
    bring(world, EXAMPLE, built_in_schema())
    before = counts(world)
    with pytest.raises(ServiceError, match=r"DATABASE_PATH=.* retainstream import FILE --schema") as caught:
        bring(world, EXAMPLE, schema_from_dict({"id": "user_id", "features": {"device_count": {"kind": "number"}}}))
    assert caught.value.code == "schema_mismatch"
    assert counts(world) == before


def test_older_facts_are_kept_but_do_not_overwrite_a_newer_present(world: World, tmp_path: Path) -> None:
    bring(world, write(tmp_path, "feb.csv", ["a,2026-02-28,2,Gold,2025-01-01,,9"]), DATED)
    bring(world, write(tmp_path, "jan.csv", ["a,2026-01-31,1,Silver,2025-01-01,,8", "b,2026-01-31,5,Gold,,,"]), DATED)
    row = customer(world, "a")
    assert (row["x"], row["plan"], row["monthly_price"], row["as_of"]) == (2.0, "Gold", 9.0, "2026-02-28")
    assert counts(world)["customer_snapshots"] == 3
    bring(world, write(tmp_path, "mar.csv", ["a,2026-03-31,3,Gold,2025-01-01,,9"]), DATED)
    assert (customer(world, "a")["x"], customer(world, "a")["created_at"]) == (3.0, "2026-06-30T12:00:00.000Z")


def test_the_newest_of_several_dates_in_one_file_is_the_present_whatever_their_order(
    world: World, tmp_path: Path
) -> None:
    rows = ["a,2026-02-28,2,Gold,2025-01-01,,9", "a,2026-03-31,3,Gold,2025-01-01,,9", "a,2026-01-31,1,Gold,,,"]
    bring(world, write(tmp_path, "a.csv", rows), DATED)
    assert (customer(world, "a")["x"], customer(world, "a")["as_of"]) == (3.0, "2026-03-31")


def test_a_correction_carries_the_day_it_became_known_and_the_past_stays_as_it_was(
    world: World, tmp_path: Path
) -> None:
    bring(world, write(tmp_path, "a.csv", ["a,2026-01-31,1,Gold,2025-01-01,,9"]), DATED)
    bring(world, write(tmp_path, "b.csv", ["a,2026-01-31,7,Gold,2025-01-01,,9"]), DATED)
    assert populations(world, "2026-01-31")[0][2] == 1.0
    assert customer(world, "a")["x"] == 7.0
    with world.database.read() as connection:
        wide = snapshots_table(DATED)
        assert connection.execute(select(wide.c.known_at).order_by(wide.c.id)).scalars().all() == [
            "2026-01-31", "2026-06-30",
        ]  # fmt: skip


def test_leavers_are_gone_those_known_to_end_are_set_apart(world: World, tmp_path: Path) -> None:
    rows = ["a,2026-01-31,1,Gold,2025-01-01,2026-01-31,9", "b,2026-01-31,1,Gold,2025-01-01,2026-02-15,9",
            "c,2026-01-31,1,Gold,2025-01-01,,9"]  # fmt: skip
    bring(world, write(tmp_path, "a.csv", rows), DATED)
    assert [customer(world, name)["churn"] for name in "abc"] == [1, 0, 0]
    assert [customer(world, name)["ends_on"] for name in "abc"] == [None, "2026-02-15", None]
    with world.database.read() as connection:
        assert customers.population(connection) == 1
    assert len(populations(world, "2026-01-31")) == 1


@pytest.mark.parametrize("files", [1, 2])
def test_a_cancellation_known_in_time_stays_known_when_the_end_has_come(
    world: World, tmp_path: Path, files: int
) -> None:
    rows = ["a,2026-01-31,1,Gold,2025-01-01,2026-02-15,9", "a,2026-02-28,1,Gold,2025-01-01,2026-02-15,9"]
    if files == 1:
        bring(world, write(tmp_path, "a.csv", rows), DATED)
    else:
        bring(world, write(tmp_path, "a.csv", rows[:1]), DATED)
        assert populations(world, "2026-01-31") == []
        bring(world, write(tmp_path, "b.csv", rows[1:]), DATED)
    assert populations(world, "2026-01-31") == []


DAYS = ("2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30")
NEWS = ("", "2026-05-15", "2026-06-20", "{day}")
TELLINGS = {f"c{k}": told for k, told in enumerate(itertools.product(NEWS, repeat=len(DAYS)))}


def telling(day: str) -> list[str]:
    """A file of this day with everybody's end: none, one of two that lie ahead, or this day's."""
    at = DAYS.index(day)
    return [f"{who},{day},1,Gold,2025-01-01,{told[at].format(day=day)},9" for who, told in TELLINGS.items()]


def there(world: World, day: str) -> list[int]:
    with world.database.read() as connection:
        return list(connection.execute(facts.to_score(DATED, day, after_id=0, limit=99)).scalars())


def names_of(world: World) -> dict[int, str]:
    with world.database.read() as connection:
        return {key: name for name, key in customers.ids_by_user_id(connection, list(TELLINGS)).items()}


def test_no_later_telling_withdrawn_moved_or_early_changes_who_counted_on_an_earlier_day(
    world: World, tmp_path: Path
) -> None:
    seen: dict[str, list[int]] = {}
    for day in DAYS:
        bring(world, write(tmp_path, f"{day}.csv", telling(day)), DATED)
        seen[day] = there(world, day)
        assert {earlier: there(world, earlier) for earlier in seen} == seen
    names = names_of(world)
    for at, day in enumerate(DAYS):
        assert {names[key] for key in seen[day]} == {who for who, told in TELLINGS.items() if told[at] == ""}


def test_a_file_of_many_days_says_the_same_as_a_file_of_each_day(world: World, tmp_path: Path) -> None:
    rows = [row for day in reversed(DAYS) for row in telling(day)]
    bring(world, write(tmp_path, "all.csv", rows), DATED)
    names = names_of(world)
    for at, day in enumerate(DAYS):
        assert {names[key] for key in there(world, day)} == {who for who, t in TELLINGS.items() if t[at] == ""}, day


def test_older_facts_of_an_end_count_for_their_day_and_take_nothing_back(world: World, tmp_path: Path) -> None:
    for day in (DAYS[0], DAYS[2]):
        bring(world, write(tmp_path, f"{day}.csv", telling(day)), DATED)
    before = [there(world, DAYS[0]), there(world, DAYS[2])]
    bring(world, write(tmp_path, "between.csv", telling(DAYS[1])), DATED)
    assert [there(world, DAYS[0]), there(world, DAYS[2])] == before
    names = names_of(world)
    assert {names[key] for key in there(world, DAYS[1])} <= {who for who, told in TELLINGS.items() if told[1] == ""}


def test_a_correction_of_a_days_end_changes_nothing_on_that_day(world: World, tmp_path: Path) -> None:
    row = "a,2026-02-28,1,Gold,2025-01-01,{},9"
    bring(world, write(tmp_path, "a.csv", [row.format("2026-07-15")]), DATED)
    bring(world, write(tmp_path, "b.csv", [row.format("")]), DATED)
    assert there(world, "2026-02-28") == []
    bring(world, write(tmp_path, "c.csv", [row.replace("a,", "b,", 1).format("")]), DATED)
    bring(world, write(tmp_path, "d.csv", [row.replace("a,", "b,", 1).format("2026-07-15")]), DATED)
    assert len(there(world, "2026-02-28")) == 1


def test_an_older_file_does_not_reopen_an_ended_subscription(world: World, tmp_path: Path) -> None:
    bring(world, write(tmp_path, "feb.csv", ["a,2026-02-28,1,Gold,2025-01-01,2026-02-15,9"]), DATED)
    bring(world, write(tmp_path, "jan.csv", ["a,2026-01-31,1,Gold,2025-01-01,,9"]), DATED)
    assert [row[1] for row in populations(world, "2026-01-31")] == [1]
    assert customer(world, "a")["churn"] == 1


@pytest.mark.parametrize(
    ("features", "row"),
    [
        ({"Plan": "category", "Tenure Months": "number"}, "Gold,12"),
        ({"plan": "category", "tenure_months": "number"}, "Gold,12.5"),
        ({"plan": "number", "tenure_months": "category"}, "3,long"),
        ({"PLAN": "number", "tenureMonths": "number"}, "3,0.25"),
        ({"email": "category", "label": "number"}, "x@example.com,1"),
        ({"as_of": "category", "id": "number"}, "monday,1"),
    ],
)
def test_present_features_are_the_snapshots_features_whatever_they_are_called(
    world: World, tmp_path: Path, features: dict[str, str], row: str
) -> None:
    schema = schema_from_dict({"id": "key", "features": {name: {"kind": kind} for name, kind in features.items()}})
    bring(world, write(tmp_path, "a.csv", [f"a,{row}"], header=f"key,{','.join(features)}"), schema)
    wide = snapshots_table(schema)
    with world.database.read() as connection:
        (present,) = connection.execute(customers.to_score(schema, as_of="2026-06-30", after_id=0, limit=9)).all()
        dated = connection.execute(select(*[wide.c[name] for name in column_names(schema).values()])).one()
    assert list(present[2:-1]) == list(dated)
    assert None not in dated
    kinds = [str if kind == "category" else float for kind in features.values()]
    assert [type(value) if isinstance(value, str) else float for value in present[2:-1]] == kinds


def test_a_plan_role_beside_a_feature_called_plan_keeps_both_apart(world: World, tmp_path: Path) -> None:
    kinds = {"plan": {"kind": "category"}, "Contract": {"kind": "category"}}
    schema = schema_from_dict({"id": "key", "subscription": {"plan": "Contract"}, "features": kinds})
    bring(world, write(tmp_path, "a.csv", ["a,Gold,Yearly"], header="key,plan,Contract"), schema)
    with world.database.read() as connection:
        (row,) = connection.execute(customers.to_score(schema, as_of="2026-06-30", after_id=0, limit=9)).all()
    assert tuple(row[2:-1]) == ("Gold", "Yearly")


def test_churn_by_period_follows_the_facts(world: World, tmp_path: Path) -> None:
    first = [f"c{k},2026-01-31,1,Gold,2025-01-01,,9" for k in range(4)]
    second = [f"c{k},2026-03-02,1,Gold,2025-01-01,{'2026-02-20' if k == 0 else ''},9" for k in range(4)]
    bring(world, write(tmp_path, "a.csv", first), DATED)
    bring(world, write(tmp_path, "b.csv", second), DATED)
    with world.database.read() as connection:
        (period,) = churn_history.history(connection)
    assert (period.start, period.end, period.active_at_start, period.left) == ("2026-01-31", "2026-03-02", 4, 1)


def test_rows_without_a_date_take_the_day_given_or_today(world: World, tmp_path: Path) -> None:
    schema = schema_from_dict({"id": "id", "features": {"x": {"kind": "number"}}})
    bring(world, write(tmp_path, "a.csv", ["a,1"], "id,x"), schema, as_of="2026-05-05")
    assert customer(world, "a")["as_of"] == "2026-05-05"
    bring(world, write(tmp_path, "a.csv", ["a,1"], "id,x"), schema)
    assert customer(world, "a")["as_of"] == "2026-06-30"


def test_a_cancel_that_comes_after_the_commit_does_not_call_a_finished_import_cancelled(
    world: World, tmp_path: Path
) -> None:
    path = write(tmp_path, "a.csv", ["a,2026-01-31,1,Gold,2025-01-01,,9", "a,2026-03-31,1,Gold,2025-01-01,,9"])
    params = {"path": str(path), "file_name": path.name, "schema": DATED.as_dict()}
    given: list[Work] = []

    def report(progress: float, stage: str) -> None:
        if counts(world)["customers"]:
            given[0].stops.set()

    given.append(world.work("import", params, report=report))
    job = running.run(given[0], kinds.IMPORT)
    written = counts(world)["customers"] > 0
    assert (job.state == "done") is written
    if written:
        with world.database.read() as connection:
            assert churn_history.history(connection) != []


def test_the_telco_table_goes_in_where_it_is_there(world: World) -> None:
    path = ROOT.parent / "shared" / "data" / "telco" / "telco.csv"
    if not path.exists():
        pytest.skip("no telco table beside the checkout")
    result = bring(world, path, load_schema(ROOT / "examples" / "telco.toml"))
    assert (result["rows"], result["customers_new"]) == (7043, 7043)
    with world.database.read() as connection:
        assert customers.population(connection) == 7043 - 1869
        assert len(facts.given_label_rows(connection, customer_base.get(connection).schema)) == 7043  # type: ignore[union-attr]


def test_leavers_disappear_from_the_shown_scores_and_their_roll_up(world: World, tmp_path: Path) -> None:
    rows = [f"{name},2026-01-31,1,Gold,2025-01-01,,9" for name in "abc"]
    bring(world, write(tmp_path, "a.csv", rows), DATED)
    with world.database.write() as connection:
        ids = list(customers.population_ids(connection))
        model = connection.execute(
            tables.models.insert()
            .values(version="1.0.0", state="ready", schema_checksum="", trained_on="", created_at="")
            .returning(tables.models.c.id)
        ).scalar_one()
        run_id = runs.start(connection, kind="full", model_id=model, as_of="2026-01-31", job_id=None, now="")
        ledger.append(connection, run_id, ids, [a_score(0.5)] * 3, [9.0] * 3, ranked=True)
        runs.finish(connection, run_id, state="published", customers=3, average=0.5, now="")
        runs.publish(connection, run_id, "")
    later = ["a,2026-02-28,1,Gold,2025-01-01,2026-02-10,9", "b,2026-02-28,1,Gold,2025-01-01,2026-03-10,9"]
    bring(world, write(tmp_path, "b.csv", later), DATED)
    with world.database.read() as connection:
        shown = customers.ranked(connection, DATED, limit=9)
        rolled = connection.execute(select(func.sum(tables.score_bins.c.customers))).scalar_one()
    assert ([row["user_id"] for row in shown], rolled) == (["c"], 1)
    assert customer(world, "a")["churn_probability"] is None


def test_further_imports_of_a_kind_of_file_compile_no_further_statements(world: World, tmp_path: Path) -> None:
    def compiled_after(day: str) -> int:
        bring(world, write(tmp_path, f"{day}.csv", [f"a,{day},1,Gold,2025-01-01,,9"]), DATED)
        leave = {
            "path": str(write(tmp_path, f"o{day}.csv", ["a,2026-02-10"], "user_id,ended_at")),
            "file_name": "o.csv",
        }
        world.do("import-outcomes", import_outcomes.run, leave)
        return len(world.database.engine._compiled_cache)  # type: ignore[arg-type]

    days = ("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04")
    counts = [compiled_after(day) for day in days]
    assert counts[2] == counts[3]
