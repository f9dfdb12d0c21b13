"""The worklist: kept by field, filtered by list, with its history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from database.tables import tables
from tests.gateway.customers_conftest import Small, small


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    made = small(tmp_path_factory.mktemp("work"), 30)
    yield made
    made.database.close()


@pytest.fixture
def base(made: Small) -> Small:
    """With an empty worklist."""
    with made.database.write() as connection:
        for table in (tables.worklist_history, tables.worklist):
            connection.execute(table.delete())
    return made


def change(base: Small, user_id: str, role: Any = "analyst", **given: Any) -> Any:
    return base.world.ask("PATCH", f"/api/customers/{quote(user_id, safe='')}/work", role, json=given)


def listed(base: Small, query: str) -> list[str]:
    return sorted(each["user_id"] for each in base.data(f"/api/customers?scored=any&limit=100&{query}")["customers"])


NAMES = ("usr_0010", "usr_0011", "usr_0012", "usr_0013")


def test_fields_that_are_not_given_stay_and_each_change_is_kept(base: Small) -> None:
    me = base.data("/api/auth/me")["id"]
    first = change(base, NAMES[0], note="called twice", due_on="2026-07-03").get_json()["data"]
    assert (first["status"], first["note"], first["due_on"], first["owner"]) == (
        "to_do",
        "called twice",
        "2026-07-03",
        None,
    )
    change(base, NAMES[0], status="saved", owner_id=me)
    change(base, NAMES[0], due_on=None)
    change(base, NAMES[0], status="saved")  # changes nothing
    found = base.data(f"/api/customers/{NAMES[0]}/work?limit=2")
    assert found["work"] | {"updated_at": ""} == {
        "status": "saved", "owner_id": me, "owner": "Ann", "note": "called twice", "due_on": None, "updated_at": "",
    }  # fmt: skip
    rest = base.data(f"/api/customers/{NAMES[0]}/work?limit=2&after={found['next']}")
    history = [(each["status"], each["due_on"], each["changed_by"]) for each in found["history"] + rest["history"]]
    assert history == [("saved", None, "Ann"), ("saved", "2026-07-03", "Ann"), ("to_do", "2026-07-03", "Ann")]
    assert rest["next"] is None


def test_lists_are_filtered_by_status_owner_and_due_date(base: Small) -> None:
    me = base.data("/api/auth/me")["id"]
    everybody = listed(base, "")
    change(base, NAMES[0], status="contacted", owner_id=me, due_on="2026-07-01")
    change(base, NAMES[1], status="snoozed", due_on="2026-07-02")
    change(base, NAMES[2], owner_id=me)
    cases = {
        "work_status=contacted": [NAMES[0]],
        "work_status=contacted&work_status=snoozed": [NAMES[0], NAMES[1]],
        "work_status=": sorted(set(everybody) - set(NAMES[:3])),
        "work_status=&work_status=to_do": sorted(set(everybody) - set(NAMES[:2])),
        f"work_owner={me}": [NAMES[0], NAMES[2]],
        "work_owner=": sorted(set(everybody) - {NAMES[0], NAMES[2]}),
        "due_by=2026-07-01": [NAMES[0]],
        f"due_by=2026-07-02&work_owner={me}": [NAMES[0]],
    }
    assert {query: listed(base, query) for query in cases} == cases
    (one,) = base.data("/api/customers?scored=any&work_status=contacted")["customers"]
    assert one["work"] == {"status": "contacted", "owner_id": me, "due_on": "2026-07-01"}
    assert base.data(f"/api/customers?scored=any&q={NAMES[3]}")["customers"][0]["work"] is None


@pytest.mark.parametrize(
    ("given", "field"),
    [({"status": "rescued"}, "status"), ({"status": None}, "status"), ({"owner_id": 999}, "owner_id"),
     ({"due_on": "soon"}, "due_on"), ({"note": " "}, "note"), ({"colour": "red"}, "colour")],
)  # fmt: skip
def test_what_can_not_be_kept_is_refused_by_name(base: Small, given: dict[str, Any], field: str) -> None:
    answer = change(base, NAMES[0], **given)
    assert answer.status_code == 422
    assert [each["field"].partition(".")[0] for each in answer.get_json()["error"]["details"]] == [field]
    assert base.data(f"/api/customers/{NAMES[0]}/work")["work"] is None


def test_filters_that_can_not_be_read_are_refused(base: Small) -> None:
    assert base.problems("/api/customers?work_status=rescued") == {"work_status.0"}
    assert base.problems("/api/customers?work_owner=Ann") == {"work_owner.0"}
    assert base.problems("/api/customers?due_by=soon") == {"due_by"}


def test_a_viewer_reads_it_only_and_nobody_works_on_strangers(base: Small) -> None:
    assert change(base, NAMES[0], "viewer").status_code == 403
    assert base.world.ask("GET", f"/api/customers/{NAMES[0]}/work", "viewer").status_code == 200
    assert change(base, "nobody").status_code == 404
    assert base.get("/api/customers/nobody/work").status_code == 404


def test_an_owner_who_is_disabled_gets_no_more_work(base: Small) -> None:
    gone = base.world.person("viewer", "gone@example.com")
    with base.database.write() as connection:
        connection.execute(tables.users.update().where(tables.users.c.id == gone.id).values(disabled_at="2026-06-01"))
    assert change(base, NAMES[0], owner_id=gone.id).status_code == 422


def change_many(base: Small, customers: list[str], role: Any = "analyst", **given: Any) -> Any:
    return base.world.ask("PATCH", "/api/customers/work", role, json={"customers": customers, **given})


def test_many_are_changed_at_once_and_each_keeps_its_other_fields_and_its_history(base: Small) -> None:
    me = base.data("/api/auth/me")["id"]
    change(base, NAMES[0], note="called twice")
    change(base, NAMES[1], owner_id=me, status="contacted", due_on="2026-07-03")
    answer = change_many(base, [*NAMES[:3], NAMES[0]], owner_id=me, status="contacted", due_on="2026-07-03")
    assert answer.get_json()["data"] == {"changed": 2, "unchanged": 1}
    assert listed(base, f"work_owner={me}&work_status=contacted&due_by=2026-07-03") == list(NAMES[:3])
    found = [base.data(f"/api/customers/{name}/work") for name in NAMES[:3]]
    assert [each["work"]["note"] for each in found] == ["called twice", None, None]
    assert [len(each["history"]) for each in found] == [2, 1, 1]
    assert found[2]["history"][0]["changed_by"] == "Ann"


def test_of_many_all_are_changed_or_none_and_whoever_is_unknown_is_named(base: Small) -> None:
    answer = change_many(base, [NAMES[0], "nobody", NAMES[1], "no one"], status="contacted")
    assert answer.status_code == 422
    details = answer.get_json()["error"]["details"]
    assert [(each["field"], each["value"]) for each in details] == [
        ("customers.1", "nobody"), ("customers.3", "no one"),
    ]  # fmt: skip
    refused = (
        change_many(base, [NAMES[0]], owner_id=999),
        change_many(base, [NAMES[0]]),
        change_many(base, [], status="contacted"),
        change_many(base, [NAMES[0]] * 1001, status="contacted"),
    )
    fields = [answer.get_json()["error"]["details"][0]["field"] for answer in refused]
    assert fields == ["owner_id", "status", "customers", "customers"]
    assert change_many(base, [NAMES[0]], "viewer", status="contacted").status_code == 403
    assert base.data(f"/api/customers/{NAMES[0]}/work")["work"] is None
