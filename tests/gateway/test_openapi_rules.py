"""Promises of the OpenAPI document beyond its form: distinct models, every status, the rules of fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.world import World, open_world

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = open_world(tmp_path_factory.mktemp("rules") / "rules.db")
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def admin(world: World) -> dict[str, str]:
    return world.signed_in("admin")


@pytest.fixture(scope="module")
def client(world: World) -> FlaskClient:
    return world.client


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict[str, Any]:
    return dict(client.get("/api/openapi.json").get_json())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(m, path, item[m]) for path, item in document["paths"].items() for m in METHODS & item.keys()]


def properties(document: dict[str, Any], model: str) -> dict[str, Any]:
    return dict(document["components"]["schemas"][model]["properties"])


def test_the_audit_log_and_the_timeline_are_described_each_as_it_is(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "Entry" not in schemas
    assert {"at", "actor", "action"} <= set(schemas["AuditEntry"]["properties"])
    assert {"version", "live_from", "reason"} <= set(schemas["TimelineEntry"]["properties"])


def test_no_two_models_of_the_routes_have_one_name() -> None:
    named: dict[str, list[str]] = {}
    for path in (Path(__file__).parents[2] / "gateway" / "routes").rglob("*.py"):
        for name in re.findall(r"^class (\w+)\(", path.read_text("utf-8"), re.M):
            named.setdefault(name, []).append(path.name)
    # A model of a path is taken apart into parameters and has no name in the document.
    assert {name: where for name, where in named.items() if len(where) > 1 and not name.endswith("Path")} == {}


def test_every_operation_tells_the_failures_of_its_kind(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if path.startswith("/api/health"):
            continue
        wanted = {"414", "422", "429", "503"} | ({"400", "413", "415"} if method != "get" else set())
        assert wanted <= set(operation["responses"]), f"{method} {path}"
        for status in wanted:
            assert "application/json" in operation["responses"][status]["content"]


def test_files_in_and_out_may_be_accepted_for_later(document: dict[str, Any]) -> None:
    for path in ("import", "import/preview", "import/schema", "outcomes"):
        assert "202" in document["paths"][f"/api/customers/{path}"]["post"]["responses"], path
    for path in ("/api/customers/export", "/api/predictions/export"):
        assert "202" in document["paths"][path]["get"]["responses"], path


def test_rules_of_fields_stand_in_their_schemas(document: dict[str, Any]) -> None:
    for model, field, least, most in (
        ("Register", "password", 8, 200), ("Register", "name", 1, 100), ("NewUser", "password", 8, 200),
        ("PasswordChange", "new_password", 8, 200), ("NewKey", "name", 1, 100), ("PromoteBody", "reason", 1, 500),
        ("RollbackBody", "reason", 1, 500),
    ):  # fmt: skip
        found = properties(document, model)[field]
        assert (found["minLength"], found["maxLength"]) == (least, most), f"{model}.{field}"
    assert properties(document, "Register")["email"]["format"] == "email"
    assert properties(document, "RollbackBody")["reason"]["pattern"] == r"\S"
    for path in ("/api/users", "/api/audit", "/api/auth/keys", "/api/jobs"):
        (after,) = [p for p in document["paths"][path]["get"]["parameters"] if p["name"] == "after"]
        assert "[0-9]" in str(after["schema"]), path


def test_a_promotion_for_no_reason_is_refused(client: FlaskClient, admin: dict[str, str]) -> None:
    for reason in ("", " ", "\t\n", "x" * 501):
        sent = client.post("/api/model/rollback", json={"reason": reason}, headers=admin)
        assert sent.status_code == 422, repr(reason)


@pytest.mark.parametrize(
    "day", ["0", "1", "1e9", "20260131", "2026-1-31", "2026-01-31T00:00:00", "-1", "\u0662026-01-31"]
)
def test_a_date_is_written_as_one(client: FlaskClient, admin: dict[str, str], day: str) -> None:
    for name in ("since", "until"):
        sent = client.get("/api/predictions/export", query_string={name: day}, headers=admin)
        assert sent.status_code == 422, name
        assert sent.get_json()["error"]["details"][0]["field"] == name
    sent = client.get("/api/predictions/export", query_string={"since": "2026-01-31"}, headers=admin)
    assert sent.status_code != 422
    sent.close()


@pytest.mark.parametrize("path", ["/api/customers/outcomes", "/api/customers/segment", "/api/customers/import"])
def test_allow_names_the_methods_of_the_route_and_of_no_other(
    client: FlaskClient, document: dict[str, Any], path: str
) -> None:
    for method, status in (("PUT", 405), ("OPTIONS", 200)):
        sent = client.open(path, method=method)
        assert sent.status_code == status
        allowed = {each.lower() for each in sent.headers["Allow"].split(", ")} - {"head", "options"}
        assert allowed == METHODS & document["paths"][path].keys(), method


def test_a_body_that_may_be_empty_is_not_required(document: dict[str, Any]) -> None:
    required = {path: o["requestBody"]["required"] for m, path, o in operations(document) if "requestBody" in o}
    assert not required["/api/customers/segment"]
    assert not required["/api/auth/logout"]
    assert required["/api/auth/login"]
    assert required["/api/model/rollback"]
