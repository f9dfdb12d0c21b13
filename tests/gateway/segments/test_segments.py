"""Saved segments: whose they are, and what they may say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from database.tables import tables
from tests.gateway.customers_conftest import Small, small


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    made = small(tmp_path_factory.mktemp("segments"), 12)
    yield made
    made.database.close()


@pytest.fixture
def base(made: Small) -> Small:
    """Without segments."""
    with made.database.write() as connection:
        connection.execute(tables.segments.delete())
    return made


def save(base: Small, role: Any = "analyst", **more: Any) -> Any:
    body = {"name": "Dear ones", "query": "plan=Standard&sort=-revenue_at_risk"} | more
    return base.world.ask("POST", "/api/segments", role, json=body)


def listed(base: Small, role: Any = "analyst") -> list[str]:
    answer = base.world.ask("GET", "/api/segments", role)
    return [each["name"] for each in answer.get_json()["data"]["segments"]]


def test_a_segment_is_the_query_of_a_list(base: Small) -> None:
    made = save(base, query="plan=&plan=Standard&risk=High&feature.last_login_days.max=3&sort=-tenure_months")
    assert made.status_code == 201
    found = made.get_json()["data"]
    assert (found["name"], found["owner"], found["is_own"], found["shared"], found["is_readable"]) == (
        "Dear ones", "Ann", True, False, True,
    )  # fmt: skip
    assert base.get(f"/api/customers?{found['query']}").status_code == 200
    assert base.data(f"/api/segments/{found['id']}") == found


@pytest.mark.parametrize(
    ("query", "field"),
    [("colour=red", "colour"), ("limit=5", "limit"), ("feature.colour=red", "feature.colour"), ("sort=colour", "sort"),
     ("risk=Huge", "risk.0"), ("plan", "query"), ("min_probability=0.9&max_probability=0.1", "min_probability")],
)  # fmt: skip
def test_a_query_that_no_list_would_take_is_not_saved(base: Small, query: str, field: str) -> None:
    answer = save(base, query=query)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.get_json()["error"]["details"]] == [field]
    assert listed(base) == []


def test_an_empty_query_is_everybody(base: Small) -> None:
    assert save(base, query="").status_code == 201


def test_others_see_and_administrators_change_only_what_is_shared(base: Small) -> None:
    own = save(base, name="own").get_json()["data"]["id"]
    shared = save(base, name="shared", shared=True).get_json()["data"]["id"]
    for role in ("viewer", "admin"):
        assert listed(base, role) == ["shared"]
        assert base.world.ask("GET", f"/api/segments/{own}", role).status_code == 404
    other = base.world.bearer("analyst", "other@example.com")
    for path, status in ((own, 404), (shared, 403)):
        for method, how in (("PATCH", {"json": {"name": "x"}}), ("DELETE", {})):
            answer = base.client.open(f"/api/segments/{path}", method=method, headers=other, **how)
            assert answer.status_code == status
    assert base.world.ask("PATCH", f"/api/segments/{own}", "admin", json={"name": "x"}).status_code == 404
    changed = base.world.ask("PATCH", f"/api/segments/{shared}", "admin", json={"name": "ours", "shared": False})
    assert changed.get_json()["data"]["name"] == "ours"
    assert listed(base) == ["own", "ours"]
    assert listed(base, "admin") == []
    assert base.world.ask("DELETE", f"/api/segments/{own}").status_code == 200
    assert listed(base) == ["ours"]


def test_a_viewer_saves_nothing(base: Small) -> None:
    assert save(base, "viewer").status_code == 403


def test_a_name_is_taken_once_by_each_person(base: Small) -> None:
    assert [save(base).status_code, save(base).status_code, save(base, "admin").status_code] == [201, 409, 201]
    second = save(base, name="second").get_json()["data"]["id"]
    assert base.world.ask("PATCH", f"/api/segments/{second}", json={"name": "Dear ones"}).status_code == 409
    assert base.world.ask("PATCH", f"/api/segments/{second}", json={"name": "second", "query": ""}).status_code == 200


def test_a_segment_that_the_schema_outlived_is_told(base: Small) -> None:
    made = save(base, query="feature.last_login_days.max=3").get_json()["data"]
    with base.database.write() as connection:
        text = connection.exec_driver_sql("SELECT schema_json FROM base").scalar_one()
        renamed = text.replace("last_login_days", "days_since_login")
        connection.exec_driver_sql("UPDATE base SET schema_json = ?", (renamed,))
    assert not base.data(f"/api/segments/{made['id']}")["is_readable"]
    with base.database.write() as connection:
        connection.exec_driver_sql("UPDATE base SET schema_json = ?", (text,))
    assert base.data(f"/api/segments/{made['id']}")["is_readable"]


def test_what_was_done_is_audited(base: Small) -> None:
    made = save(base).get_json()["data"]["id"]
    base.world.ask("PATCH", f"/api/segments/{made}", json={"shared": True})
    base.world.ask("DELETE", f"/api/segments/{made}")
    rows = base.world.ask("GET", "/api/audit?action=segment&limit=3", "admin").get_json()["data"]["entries"]
    assert [row["action"] for row in rows] == ["segment.deleted", "segment.changed", "segment.created"]


def test_pages_follow_each_other(base: Small) -> None:
    for name in ("a", "b", "c"):
        save(base, name=name)
    first = base.data("/api/segments?limit=2")
    assert [each["name"] for each in first["segments"]] == ["a", "b"]
    rest = base.data(f"/api/segments?limit=2&after={first['next']}")
    assert ([each["name"] for each in rest["segments"]], rest["next"]) == (["c"], None)


def test_a_number_is_no_answer_to_whether_everybody_sees_it(base: Small) -> None:
    assert save(base, shared=0).status_code == 422
    assert save(base).status_code == 201
