"""Ends and their reasons: from a file of outcomes, or because a full snapshot no longer has the customer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from database.customers import facts
from database.tables import tables
from gateway.services.importing import import_outcomes, uploads
from shared.errors import ServiceError
from shared.schema.features import schema_from_dict
from tests.gateway.importing.test_import_file import DATED, bring, customer, write
from tests.world import World

PLAIN = schema_from_dict({"id": "id", "features": {"x": {"kind": "number"}}})
WITH_START = "user_id,started_at,ended_at,end_reason"


def leave(world: World, path: Path, **more: Any) -> dict[str, Any]:
    return world.do("import-outcomes", import_outcomes.run, {"path": str(path), "file_name": path.name, **more})


def lifetimes(world: World, user_id: str) -> list[tuple[Any, ...]]:
    s, c = tables.subscriptions, tables.customers
    query = select(s.c.started_at, s.c.ended_at, s.c.end_reason).join(c, c.c.id == s.c.customer_id)
    with world.database.read() as connection:
        found = connection.execute(query.where(c.c.user_id == user_id).order_by(s.c.started_at))
        return [tuple(row) for row in found]


def people(world: World, tmp_path: Path, *names: str, day: str = "2026-01-31", start: str = "2025-01-01") -> None:
    bring(world, write(tmp_path, f"{day}.csv", [f"{name},{day},1,Gold,{start},,9" for name in names]), DATED)


def labels(world: World, day: str) -> dict[int, int]:
    with world.database.read() as connection:
        return {row[0]: row[1] for row in facts.training_rows(connection, DATED, day)}


def test_an_outcome_with_its_start_ends_that_lifetime_and_labels_follow(world: World, tmp_path: Path) -> None:
    people(world, tmp_path, "a", "b")
    told = leave(world, write(tmp_path, "o.csv", ["a,2025-01-01,2026-02-10,price"], WITH_START))
    assert (told["ended"], told["announced"], told["accepted"]) == (1, 0, 1)
    assert lifetimes(world, "a") == [("2025-01-01", "2026-02-10", "price")]
    assert (customer(world, "a")["churn"], customer(world, "b")["churn"]) == (1, 0)
    assert list(labels(world, "2026-01-31").values()) == [1, 0]


def test_an_earlier_lifetime_is_added_and_the_present_one_runs_on(world: World, tmp_path: Path) -> None:
    people(world, tmp_path, "a")
    before = labels(world, "2026-01-31")
    leave(world, write(tmp_path, "o.csv", ["a,2020-01-01,2021-06-30,moved"], WITH_START))
    assert lifetimes(world, "a") == [("2020-01-01", "2021-06-30", "moved"), ("2025-01-01", None, None)]
    assert customer(world, "a")["churn"] == 0
    assert labels(world, "2026-01-31") == before


def test_a_start_that_is_not_that_of_the_running_lifetime_is_rejected_with_the_right_one(
    world: World, tmp_path: Path
) -> None:
    people(world, tmp_path, "a")
    with pytest.raises(ServiceError, match="the subscription that runs then began on 2025-01-01") as caught:
        leave(world, write(tmp_path, "o.csv", ["a,2025-01-02,2026-02-10,price"], WITH_START))
    [detail] = caught.value.details
    assert (detail["row"], detail["field"], detail["value"]) == (2, "started_at", "2025-01-02")
    assert (lifetimes(world, "a"), customer(world, "a")["churn"]) == ([("2025-01-01", None, None)], 0)


def test_an_end_of_an_older_lifetime_does_not_move_a_later_ended_one(world: World, tmp_path: Path) -> None:
    people(world, tmp_path, "a")
    both = ["a,2021-01-01,2021-03-31,x", "b,,,"]
    leave(world, write(tmp_path, "o.csv", both[:1], WITH_START))
    leave(world, write(tmp_path, "p.csv", ["a,2020-01-01,2021-06-30,y"], WITH_START))
    assert lifetimes(world, "a")[:2] == [("2020-01-01", "2021-06-30", "y"), ("2021-01-01", "2021-03-31", "x")]


def test_in_a_base_without_lifetimes_a_start_is_taken_and_everybody_else_goes_on(world: World, tmp_path: Path) -> None:
    bring(world, write(tmp_path, "a.csv", ["a,1", "b,2"], "id,x"), PLAIN, as_of="2026-01-31")
    leave(world, write(tmp_path, "o.csv", ["a,2024-05-01,2026-02-10,price"], WITH_START))
    assert [end for _, end, _ in lifetimes(world, "a")] == ["2026-02-10"] * len(lifetimes(world, "a"))
    assert lifetimes(world, "a")[0][0] == "2024-05-01"
    assert lifetimes(world, "b") == [("2026-01-31", None, None)]


def test_an_announced_end_that_comes_early_leaves_earlier_days_as_they_were(world: World, tmp_path: Path) -> None:
    rows = ["a,2026-01-31,1,Gold,2025-01-01,2026-08-01,9", "b,2026-01-31,1,Gold,2025-01-01,,9"]
    bring(world, write(tmp_path, "a.csv", rows), DATED)
    bring(world, write(tmp_path, "b.csv", [r.replace("2026-01-31", "2026-02-28") for r in rows]), DATED)
    before = {day: set(labels(world, day)) for day in ("2026-01-31", "2026-02-28")}
    leave(world, write(tmp_path, "o.csv", ["a,2026-06-20"], "user_id,ended_at"))
    assert customer(world, "a")["churn"] == 1
    assert {day: set(labels(world, day)) for day in before} == before


def test_who_is_absent_though_their_end_was_known_leaves_earlier_days_as_they_were(
    world: World, tmp_path: Path
) -> None:
    rows = ["a,2026-01-31,1,Gold,2025-01-01,2026-08-01,9", "b,2026-01-31,1,Gold,2025-01-01,,9"]
    bring(world, write(tmp_path, "a.csv", rows), DATED)
    before = set(labels(world, "2026-01-31"))
    later = write(tmp_path, "b.csv", ["b,2026-05-31,1,Gold,2025-01-01,,9"])
    told = bring(world, later, DATED, full_snapshot=True, absent_are_gone=True)
    assert told["declared_gone"] == 1
    assert lifetimes(world, "a") == [("2025-01-01", "2026-04-01", "absent")]
    assert set(labels(world, "2026-01-31")) == before


def test_outcomes_twice_are_as_outcomes_once(world: World, tmp_path: Path) -> None:
    people(world, tmp_path, "a", "b")
    file = write(tmp_path, "o.csv", ["a,2025-01-01,2026-02-10,price", "b,,2026-12-31,"], WITH_START)
    first = leave(world, file)
    before = (lifetimes(world, "a"), lifetimes(world, "b"), customer(world, "b")["ends_on"])
    leave(world, file)
    assert (lifetimes(world, "a"), lifetimes(world, "b"), customer(world, "b")["ends_on"]) == before
    assert (first["ended"], first["announced"], before[2]) == (1, 1, "2026-12-31")


def test_rejected_outcomes_come_back_as_a_file_that_goes_in_when_put_right(world: World, tmp_path: Path) -> None:
    people(world, tmp_path, "a", "b")
    told = leave(world, write(tmp_path, "o.csv", ["a,2026-02-10", "b,2026-02-30"], "user_id,ended_at"), keep_good=True)
    assert (told["accepted"], told["rejected"]) == (1, 1)
    rejects = uploads.rejects_path(world.settings.data_folder, int(told["rejects_file"].split("/")[-2]))
    text = rejects.read_text(encoding="utf-8")
    assert "not a calendar date" in text
    rejects.write_text(text.replace(",2026-02-30", ",2026-02-28"), encoding="utf-8")
    assert leave(world, rejects)["ended"] == 1


@pytest.mark.parametrize("flags", [{"keep_good": True}, {"keep_good": True, "dry_run": True}])
def test_whose_row_is_rejected_is_not_taken_for_absent(world: World, tmp_path: Path, flags: dict[str, bool]) -> None:
    people(world, tmp_path, "a", "b")
    later = write(tmp_path, "b.csv", ["a,2026-05-31,!,Gold,2025-01-01,,9", "b,2026-05-31,1,Gold,2025-01-01,,9"])
    with pytest.raises(ServiceError, match="1 row has to be put right"):
        bring(world, later, DATED, full_snapshot=True, absent_are_gone=True, **flags)
    assert (customer(world, "a")["churn"], customer(world, "b")["as_of"]) == (0, "2026-01-31")


def test_a_lifetime_of_one_day_ends_and_one_begun_that_day_is_a_return(world: World, tmp_path: Path) -> None:
    people(world, tmp_path, "a", "b", start="2026-01-31")
    told = leave(world, write(tmp_path, "o.csv", ["a,2026-01-31"], "user_id,ended_at"))
    assert (told["ended"], customer(world, "a")["churn"]) == (1, 1)
    leave(world, write(tmp_path, "p.csv", ["b,2025-01-01,2026-01-31,x"], WITH_START), keep_good=True)
    assert customer(world, "b")["churn"] == 0


def test_a_row_without_its_end_is_told_so_and_nothing_else(world: World, tmp_path: Path) -> None:
    people(world, tmp_path, "a", "b")
    with pytest.raises(ServiceError) as caught:
        leave(world, write(tmp_path, "o.csv", ["a,", "b,2026-02-10"], "user_id,ended_at"))
    assert [detail["message"] for detail in caught.value.details] == ["the date of the end is missing"]
