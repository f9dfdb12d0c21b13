"""Rights of each role: the table has every route, the guards keep to it, and administrators manage accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.app import create_app
from gateway.openapi import blueprint
from gateway.security import roles
from gateway.security.roles import require_roles
from gateway.settings import Role, Settings
from tests.gateway.auth_conftest import build
from tests.world import PASSWORD, World

VIEWED, WORKED, ADMINISTERED = "/api/dashboard/metrics", "/api/dashboard/predict", "/api/model/promote"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build(tmp_path)


@pytest.mark.parametrize(
    ("role", "statuses"), [("viewer", (200, 403, 403)), ("analyst", (200, 200, 403)), ("admin", (200, 200, 200))]
)
def test_a_role_may_do_what_the_lower_ones_may(world: World, role: Role, statuses: tuple[int, int, int]) -> None:
    headers = world.bearer(role)
    found = (
        world.client.get(VIEWED, headers=headers).status_code,
        world.client.post(WORKED, headers=headers).status_code,
        world.client.post(ADMINISTERED, headers=headers).status_code,
    )
    assert found == statuses


def test_a_refusal_names_the_role_needed(world: World) -> None:
    body = world.client.post(ADMINISTERED, headers=world.bearer("analyst")).get_json()
    assert body["error"]["code"] == "forbidden"
    assert body["message"] == "This needs the role admin; yours is analyst."


def test_a_role_is_asked_before_the_body_is_read(world: World) -> None:
    sent = world.client.post(WORKED, data=b"{", content_type="application/json", headers=world.bearer("viewer"))
    assert sent.get_json()["error"]["code"] == "forbidden"


def test_head_needs_what_get_needs(world: World) -> None:
    assert world.client.head(VIEWED).status_code == 401
    assert world.client.head(VIEWED, headers=world.bearer("viewer")).status_code == 200


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, APP_ENV="test", DATABASE_PATH=tmp_path / "roles.db", ML_SERVICE_TOKEN="x")  # type: ignore[call-arg]


def test_every_route_of_the_gateway_has_a_role(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    # Asked of the routes themselves: `create_app` would refuse to start before a wrong table could be seen here.
    monkeypatch.setattr("gateway.security.roles.require_roles", lambda app: None)
    routes = {
        (method, rule.rule)
        for rule in create_app(settings).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert len(routes) > 50
    assert routes - set(roles.ACCESS) == set()


def test_the_gateway_does_not_start_with_a_route_that_has_no_role(settings: Settings) -> None:
    forgotten = blueprint("forgotten", __name__, prefix="/api/forgotten")
    forgotten.get("")(lambda: "secret")
    with pytest.raises(LookupError, match="GET /api/forgotten"):
        create_app(settings, blueprints=[forgotten])


def test_a_route_without_a_role_is_refused_at_start_and_on_request(world: World) -> None:
    world.app.add_url_rule("/api/forgotten", "forgotten", lambda: "secret", methods=["GET", "DELETE"])
    with pytest.raises(LookupError, match="DELETE /api/forgotten, GET /api/forgotten"):
        require_roles(world.app)
    assert world.client.get("/api/forgotten").status_code == 401
    assert world.client.get("/api/forgotten", headers=world.bearer("admin")).status_code == 403


def test_no_route_stands_in_the_table_twice() -> None:
    listed = [route for routes in roles._BY_ACCESS.values() for route in routes]
    assert len(listed) == len(set(listed)) == len(roles.ACCESS)


def test_a_new_role_holds_from_the_next_request(world: World) -> None:
    analyst, admin = world.bearer("analyst"), world.bearer("admin")
    user_id = world.client.get("/api/auth/me", headers=analyst).get_json()["data"]["id"]
    world.client.patch(f"/api/users/{user_id}", json={"role": "viewer"}, headers=admin)
    assert world.client.get(VIEWED, headers=analyst).get_json()["data"] == {"by": "viewer"}
    assert world.client.post(WORKED, headers=analyst).status_code == 403


# --- the routes of administrators -----------------------------------------------------------------------------------


def test_accounts_are_listed_page_by_page(world: World) -> None:
    headers = world.bearer("admin")
    for number in range(4):
        world.person(email=f"p{number}@example.com")
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = world.client.get("/api/users", query_string={"limit": 2, "after": after or 0}, headers=headers)
        data = page.get_json()["data"]
        seen += [user["email"] for user in data["users"]]
        after = data["next"]
    assert seen == ["admin@example.com", *(f"p{number}@example.com" for number in range(4))]
    assert "password" not in page.get_data(as_text=True)


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"after": "x"}, {"after": "9" * 30}])
def test_odd_paging_is_422(world: World, query: dict[str, Any]) -> None:
    assert world.client.get("/api/users", query_string=query, headers=world.bearer("admin")).status_code == 422


def test_an_administrator_makes_an_account_whose_owner_signs_in(world: World) -> None:
    body = {"email": "V@Example.com", "password": PASSWORD, "name": " Vi ", "role": "viewer"}
    response = world.client.post("/api/users", json=body, headers=world.bearer("admin"))
    assert response.status_code == 201
    data = response.get_json()["data"]
    assert (data["email"], data["name"], data["role"], data["disabled"]) == ("v@example.com", "Vi", "viewer", False)
    assert data["created_at"].endswith("Z")
    assert world.login("v@example.com").status_code == 200


@pytest.mark.parametrize(
    "change", [{"role": "king"}, {"email": "other@example.com"}, {"disabled": "perhaps"}, {"name": ""}]
)
def test_an_odd_change_is_422(world: World, change: dict[str, Any]) -> None:
    assert world.client.patch("/api/users/1", json=change, headers=world.bearer("admin")).status_code == 422


@pytest.mark.parametrize(("user_id", "status"), [("999", 404), ("0", 422), ("9" * 30, 422), ("x", 404)])
def test_a_change_of_nobody_is_refused(world: World, user_id: str, status: int) -> None:
    sent = world.client.patch(f"/api/users/{user_id}", json={"name": "A"}, headers=world.bearer("admin"))
    assert sent.status_code == status


def test_an_administrator_resets_a_password_and_disables(world: World) -> None:
    headers = world.bearer("admin")
    user = world.person("viewer")
    changed = world.client.patch(f"/api/users/{user.id}", json={"new_password": "quite another"}, headers=headers)
    assert changed.status_code == 200
    assert world.login("ann@example.com", "quite another").status_code == 200
    changed = world.client.patch(f"/api/users/{user.id}", json={"disabled": True}, headers=headers)
    assert changed.get_json()["data"]["disabled"] is True
    assert world.login("ann@example.com", "quite another").status_code == 401


def test_the_last_administrator_stays(world: World) -> None:
    headers = world.bearer("admin")
    for change in ({"role": "viewer"}, {"disabled": True}):
        sent = world.client.patch("/api/users/1", json=change, headers=headers)
        assert (sent.status_code, sent.get_json()["error"]["code"]) == (409, "conflict")
