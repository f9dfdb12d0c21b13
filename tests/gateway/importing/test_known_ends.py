"""Up to which day ends are known, and what follows: labels by absence, matured dates, outcomes in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from database.customers import churn_history, facts, maturity
from database.tables import tables
from gateway.services import demo
from gateway.services.importing import import_outcomes
from gateway.services.models import training
from shared.errors import InsufficientData, ServiceError
from shared.schema.features import Schema, schema_from_dict
from tests.gateway.conftest import Run
from tests.gateway.importing.test_import_file import DATED, bring, write
from tests.world import World

PLAIN = schema_from_dict({"id": "id", "features": {"x": {"kind": "number"}}})
PLAIN_TOML = 'id = "id"\n[features.x]\nkind = "number"\n'
FIRSTS = [f"{2025 + month // 12}-{month % 12 + 1:02}-01" for month in range(15)]
ALL_GONE = {"full_snapshot": True, "absent_are_gone": True}


def labels(world: World, day: str, schema: Schema = PLAIN) -> list[int]:
    with world.database.read() as connection:
        return [row[1] for row in facts.training_rows(connection, schema, day)]


def matured(world: World, today: str = "2026-06-30") -> list[str]:
    with world.database.read() as connection:
        return maturity.matured_dates(connection, today)


def known(world: World) -> str | None:
    with world.database.read() as connection:
        return maturity.complete_to(connection)


def export(tmp_path: Path, day: str, people: Sequence[int]) -> Path:
    return write(tmp_path, f"{day}.csv", [f"c{each},1" for each in people], "id,x")


def everybody_at(month: int, *, size: int = 400, leavers: int = 20) -> range:
    """The customers of a month: the oldest leave, as many come."""
    return range(leavers * month, leavers * month + size)


def whole(world: World, tmp_path: Path, day: str, people: Sequence[int]) -> dict[str, Any]:
    return bring(world, export(tmp_path, day, people), PLAIN, as_of=day, **ALL_GONE)


def test_monthly_exports_on_the_first_give_every_leaver_a_label_and_every_month_its_churn_rate(
    world: World, run: Run, tmp_path: Path
) -> None:
    schema = tmp_path / "plain.toml"
    schema.write_text(PLAIN_TOML)
    for month, day in enumerate(FIRSTS):
        file = export(tmp_path, day, everybody_at(month))
        words = ("import", str(file), "--schema", str(schema), "--as-of", day, "--full-snapshot", "--absent-are-gone")
        status, _, told = run(world, *words)
        assert status is None, told
    assert matured(world) == FIRSTS[:12]
    assert [(sum(labels(world, day)), len(labels(world, day))) for day in FIRSTS[:12]] == [(20, 400)] * 12
    with world.database.read() as connection:
        rates = [period.rate for period in churn_history.history(connection)]
    assert len(rates) == 13
    assert all(rate is not None and 0.05 <= rate <= 0.053 for rate in rates), rates


def test_a_full_snapshot_that_is_given_again_changes_nothing(world: World, tmp_path: Path) -> None:
    def rows() -> int:
        with world.database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(tables.customer_snapshots)).scalar_one())

    whole(world, tmp_path, "2026-01-01", (1, 2, 3))
    whole(world, tmp_path, "2026-02-01", (1, 2))
    before = rows()
    whole(world, tmp_path, "2026-02-01", (1, 2))
    assert rows() == before


def interval(world: World, user_id: str) -> list[tuple[Any, ...]]:
    s, c = tables.subscriptions, tables.customers
    query = select(s.c.started_at, s.c.seen_until, s.c.ended_at, s.c.absent_from).join(c, c.c.id == s.c.customer_id)
    with world.database.read() as connection:
        found = connection.execute(query.where(c.c.user_id == user_id).order_by(s.c.started_at))
        return [tuple(row) for row in found]


MONTHS = {"2026-01-01": (1, 2, 3, 9), "2026-02-01": (1, 2, 9), "2026-03-01": (1, 9), "2026-04-01": (1,)}
NARROW = {3: ("2026-01-01", "2026-02-01"), 2: ("2026-02-01", "2026-03-01"), 9: ("2026-03-01", "2026-04-01")}


@pytest.mark.parametrize("has_starts", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1), (0, 2, 1, 3)])
def test_full_snapshots_that_come_in_late_narrow_the_ends_that_later_ones_gave(
    world: World, tmp_path: Path, order: tuple[int, ...], has_starts: bool
) -> None:
    start = "2025-01-01" if has_starts else "2026-01-01"
    for at in order:
        day = list(MONTHS)[at]
        if has_starts:
            dated(world, tmp_path, day, {f"c{each}": "" for each in MONTHS[day]}, **ALL_GONE)
        else:
            whole(world, tmp_path, day, MONTHS[day])
    for customer, (seen, absent) in NARROW.items():
        [(started, seen_until, ended, absent_from)] = interval(world, f"c{customer}")
        assert (started, seen_until, absent_from) == (start, seen, absent)
        assert seen < ended <= absent
    assert interval(world, "c1") == [(start, None, None, None)]
    there = [labels(world, day, DATED if has_starts else PLAIN) for day in MONTHS]
    assert [(len(each), sum(each)) for each in there] == [(4, 1), (3, 1), (2, 1), (1, 0)]


def test_an_end_by_absence_keeps_both_dates_until_a_file_tells_the_day(world: World, tmp_path: Path) -> None:
    whole(world, tmp_path, "2026-01-01", [1, 2])
    whole(world, tmp_path, "2026-02-01", [1])
    assert interval(world, "c2") == [("2026-01-01", "2026-01-01", "2026-01-17", "2026-02-01")]
    leave(world, write(tmp_path, "o.csv", ["c2,2026-01-05"], "user_id,ended_at"))
    assert interval(world, "c2") == [("2026-01-01", None, "2026-01-05", None)]


def leave(world: World, path: Path, **more: Any) -> dict[str, Any]:
    return world.do("import-outcomes", import_outcomes.run, {"path": str(path), "file_name": path.name, **more})


def dated(world: World, tmp_path: Path, day: str, people: dict[str, str], **more: Any) -> dict[str, Any]:
    """A file with ends: the customers of a day, each with their end or none."""
    rows = [f"{name},{day},1,Gold,2025-01-01,{end},9" for name, end in people.items()]
    return bring(world, write(tmp_path, f"{day}.csv", rows), DATED, **more)


STAYING = {f"c{each}": "" for each in range(100)}


def test_one_new_sign_up_matures_nothing(world: World, tmp_path: Path) -> None:
    first = dated(world, tmp_path, "2026-01-31", STAYING)
    assert first["complete_to"] == "2026-01-31"
    told = dated(world, tmp_path, "2026-04-05", {"new": ""})
    assert told["complete_to"] == known(world) == "2026-01-31"
    assert "All ends are known up to 2026-01-31, as before this import: " in told["notes"][-1]
    assert matured(world) == []
    with pytest.raises(InsufficientData, match=r"No month has matured yet: .* known \(2026-01-31\)"):
        list(training._snapshot(world.database, DATED, "2026-06-30"))


@pytest.mark.parametrize(("missing", "moves"), [(1, True), (2, False)])
def test_a_file_with_ends_moves_the_day_if_it_has_99_percent_of_those_who_were_active(
    world: World, tmp_path: Path, missing: int, moves: bool
) -> None:
    dated(world, tmp_path, "2026-01-31", STAYING)
    left = {"c0": "2026-02-10"}
    told = dated(world, tmp_path, "2026-04-05", {**dict(list(STAYING.items())[missing:]), **({} if missing else left)})
    assert told["complete_to"] == ("2026-04-05" if moves else "2026-01-31")
    if moves:
        assert told["notes"][-1] == (
            "All ends are known up to 2026-04-05 now (2026-01-31 before): rows dated up to 2026-02-04 have matured."
        )
    assert matured(world) == (["2026-01-31"] if moves else [])


def test_as_many_new_customers_do_not_stand_for_those_who_were_active(world: World, tmp_path: Path) -> None:
    dated(world, tmp_path, "2026-01-31", STAYING)
    new = [f"new{each},2026-04-05,1,Gold,2026-03-01,,9" for each in range(200)]
    assert bring(world, write(tmp_path, "new.csv", new), DATED)["complete_to"] == "2026-01-31"


def test_outcomes_of_those_who_are_missing_complete_a_file_with_ends(world: World, tmp_path: Path) -> None:
    dated(world, tmp_path, "2026-01-31", STAYING)
    dated(world, tmp_path, "2026-04-05", dict(list(STAYING.items())[5:]))
    told = leave(world, write(tmp_path, "o.csv", [f"c{n},2026-02-10" for n in range(4)], "user_id,ended_at"))
    assert told["complete_to"] == "2026-04-05"
    assert sum(labels(world, "2026-01-31", DATED)) == 4


def test_older_facts_of_people_without_an_end_take_the_day_back(world: World, tmp_path: Path) -> None:
    dated(world, tmp_path, "2026-04-05", STAYING)
    told = dated(world, tmp_path, "2026-01-31", {**STAYING, "left": "", "gone": ""})
    assert told["complete_to"] == "2026-01-31"
    assert "only up to 2026-01-31 now (2026-04-05 before)" in told["notes"][-1]


def test_whoever_imports_can_say_up_to_which_day_all_ends_are_known(world: World, tmp_path: Path) -> None:
    bring(world, export(tmp_path, "2026-01-31", range(9)), PLAIN, as_of="2026-01-31")
    ends = write(tmp_path, "o.csv", ["c1,2026-02-10"], "user_id,ended_at")
    told = leave(world, ends)
    assert told["complete_to"] is None
    assert told["notes"][-1].startswith("It is not known up to which day all ends are told")
    assert leave(world, ends, ends_complete_to="2026-04-01")["complete_to"] == "2026-04-01"
    assert labels(world, "2026-01-31") == [0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert matured(world) == ["2026-01-31"]
    with pytest.raises(ServiceError, match="2026-07-01 lies in the future"):
        leave(world, ends, ends_complete_to="2026-07-01")


def test_a_file_that_was_imported_before_can_still_say_it(world: World, tmp_path: Path) -> None:
    dated(world, tmp_path, "2026-01-31", STAYING)
    told = dated(world, tmp_path, "2026-01-31", STAYING, ends_complete_to="2026-06-01")
    assert (told["unchanged"], told["complete_to"], known(world)) == (True, "2026-06-01", "2026-06-01")


def test_the_demo_knows_all_its_ends(demo_world: World) -> None:
    with demo_world.database.read() as connection:
        last = facts.last_date(connection)
        assert last is not None
        assert maturity.complete_to(connection) == last
        assert len(maturity.matured_dates(connection, last)) == demo.MONTHS - 2
