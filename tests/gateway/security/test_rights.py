"""Every route asked by every kind of caller, and held against the one table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from flask import Flask

from gateway.security import roles, tokens
from gateway.services.accounts import accounts, api_keys
from gateway.settings import Role
from shared.clock import utc_now
from tests.world import PASSWORD, open_world

ROLES: tuple[Role, ...] = ("viewer", "analyst", "admin")
GUIDE = Path(__file__).parents[3] / "docs" / "api.md"
Headers = Mapping[str, str]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    world = open_world(tmp_path_factory.mktemp("rights") / "rights.db")
    # Routes do nothing here; the test asks only whether they are reached, since guards come before.
    for endpoint in world.app.view_functions:
        world.app.view_functions[endpoint] = lambda **_: ("reached", 200)
    yield world.app
    world.database.close()


@pytest.fixture(scope="module")
def callers(app: Flask) -> dict[tuple[str, str], Headers]:
    """Headers by role and scope: people without a scope, keys of one scope each, and nobody."""
    database = app.extensions["retainstream"].database
    found: dict[tuple[str, str], Headers] = {("nobody", ""): {}}
    for role in ROLES:
        # Keys are made while their owner is an analyst: a viewer is given only such as read.
        made: Role = "analyst" if role == "viewer" else role
        user = accounts.create_user(
            database, clock=utc_now, cost=4, email=f"{role}@example.com", password=PASSWORD, name=role, role=made
        )
        for scope in api_keys.SCOPES:
            _, secret = api_keys.create(database, clock=utc_now, user_id=user.id, name="x", scopes=[scope])
            found[role, scope] = {"X-API-Key": secret}
        user = accounts.change_user(database, user.id, clock=utc_now, cost=4, role=role)
        with app.test_request_context():
            found[role, ""] = {"Authorization": f"Bearer {tokens.issue(user).access}"}
    return found


def routes(app: Flask) -> list[tuple[str, str]]:
    return sorted(
        (method, rule.rule) for rule in app.url_map.iter_rules() for method in (rule.methods or set()) - {"OPTIONS"}
    )


def path_of(rule: str) -> str:
    return re.sub(r"<(?:path:|string:)?\w+>", "x", re.sub(r"<int:\w+>", "1", rule))


def expected(method: str, rule: str, role: str, scope: str) -> str:
    """The table's answer for a caller: `reached`, or the code of the refusal."""
    needed = roles.access_of(method, rule)
    assert needed is not None, f"{method} {rule} has no row"
    if needed == "public":
        return "reached"
    if role == "nobody":
        return "unauthenticated"
    may = roles.RANK[role] >= roles.RANK[needed] and (not scope or scope in roles.scopes_of(method, rule))
    return "reached" if may else "forbidden"


def test_every_caller_reaches_what_the_table_says_and_nothing_else(
    app: Flask, callers: dict[tuple[str, str], Headers]
) -> None:
    client, asked = app.test_client(), 0
    for method, rule in routes(app):
        for (role, scope), headers in callers.items():
            sent = client.open(path_of(rule), method=method, headers=dict(headers))
            status = {"reached": 200, "unauthenticated": 401, "forbidden": 403}[expected(method, rule, role, scope)]
            assert sent.status_code == status, f"{method} {rule} as {role} {scope}: {sent.status_code}"
            if status != 200 and method != "HEAD":
                assert sent.get_json()["error"]["code"] == expected(method, rule, role, scope)
            asked += 1
    assert asked > 900


def test_a_row_without_a_route_is_told(app: Flask) -> None:
    assert set(roles.ACCESS) - set(routes(app)) == set()


def test_the_guide_names_the_role_of_each_route_as_the_table_does() -> None:
    routes_of_the_guide = GUIDE.read_text("utf-8").split("\n## Routes\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ((?:[A-Z]+ `/\S+`(?:, )?)+) \| ([^|]+) \|", routes_of_the_guide, re.M)
    shown = {tuple(route.replace("`", "").split(" ")): who for routes, who in rows for route in routes.split(", ")}
    assert len(shown) > 50
    for (method, rule), who in shown.items():
        needed = roles.access_of(method, rule)
        public = who.split(",")[0] in ("all", "refresh token")
        assert needed == ("public" if public else who), f"{method} {rule}"
