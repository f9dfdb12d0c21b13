"""Query parameters that a route does not know: refused on our own routes, ignored on the old ones, as they always were."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.security.queries import OLD_ROUTES
from tests.world import World, open_world

METHODS = {"get", "post", "put", "patch", "delete"}
#: Public, and asked with a body or token of its own.
NEEDS_REFRESH_TOKEN = "/api/auth/refresh"
CONVERTER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = open_world(tmp_path_factory.mktemp("queries") / "queries.db")
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def document(world: World) -> dict[str, Any]:
    return dict(world.client.get("/api/openapi.json").get_json())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(m.upper(), path, item[m]) for path, item in document["paths"].items() for m in METHODS & item.keys()]


def documented(operation: dict[str, Any]) -> list[str]:
    listed = [each for each in operation.get("parameters", []) if each["in"] == "query"]
    return [each["name"] for each in listed if each["schema"].get("type") != "object"]


def unknown_in(answer: Any) -> list[str]:
    """Messages about the parameter that no route knows."""
    error = (answer.get_json(silent=True) or {}).get("error", {})
    return [d["message"] for d in error.get("details", []) if d.get("field") == "colour"]


def test_every_route_of_our_own_refuses_a_parameter_that_it_does_not_declare_and_lists_those_that_it_does(
    world: World, document: dict[str, Any]
) -> None:
    old = {CONVERTER.sub(r"{\1}", route) for route in OLD_ROUTES}
    assert old <= {f"{method} {path}" for method, path, _ in operations(document)}
    refused = 0
    for method, path, operation in operations(document):
        answer = world.ask(method, re.sub(r"{\w+}", "7", path) + "?colour=red", "admin")
        told = unknown_in(answer)
        if f"{method} {path}" in old:
            assert told == [], f"{method} {path}"
            continue
        assert answer.status_code == 422, f"{method} {path}: {answer.status_code}"
        names = documented(operation)
        (message,) = told
        assert message.startswith("unknown parameter"), path
        if names:
            listed = message.partition("this route takes ")[2].split(", ")
            assert [each for each in listed if "<" not in each] == names, path
        else:
            assert message.endswith("takes none"), path
        refused += 1
    assert refused > 30


def test_a_misspelt_parameter_is_told_what_was_meant(world: World) -> None:
    answer = world.ask("GET", "/api/customers/movers?direktion=up")
    (detail,) = answer.get_json()["error"]["details"]
    assert detail["field"] == "direktion"
    assert "did you mean direction?" in detail["message"]


def test_features_are_parameters_of_lists_and_exports_by_their_prefix(world: World, document: dict[str, Any]) -> None:
    assert world.ask("GET", "/api/customers?feature.tenure.min=2").status_code != 422
    message = world.ask("GET", "/api/customers?features.tenure=2").get_json()["error"]["details"][0]["message"]
    assert message.endswith("feature.<name>")
    for method, path in (
        ("get", "/api/customers"),
        ("get", "/api/customers/export"),
        ("post", "/api/customers/export"),
    ):
        (described,) = [p for p in document["paths"][path][method]["parameters"] if p["name"] == "feature"]
        assert (described["style"], described["explode"], described["schema"]["type"]) == ("form", True, "object")
    assert "feature" not in [p["name"] for p in document["paths"]["/api/predictions/export"]["get"]["parameters"]]


def test_nobody_learns_the_parameters_of_a_route_without_leave(world: World) -> None:
    assert world.client.get("/api/audit?colour=red").status_code == 401
    assert world.ask("GET", "/api/audit?colour=red", "viewer").status_code == 403


def test_head_is_asked_what_get_is(world: World) -> None:
    assert world.ask("HEAD", "/api/customers?colour=red").status_code == 422
    assert world.ask("HEAD", "/api/dashboard/metrics?colour=red").status_code == 200
