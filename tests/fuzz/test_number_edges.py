"""A number at the edge of its range is never a failure of the service, alone or with others at theirs."""

from __future__ import annotations

import json
import math
import random
from itertools import product
from typing import Any

from tests.gateway.scoring.test_value import base
from tests.world import World

#: Answers with documented reasons: a state that the base is not in, or numbers that contradict each other.
EXPECTED = {200, 202, 404, 409, 422, 503}
#: Combinations of each route, drawn at random where there are more.
MOST = 32
PLAN = "/api/campaigns/plan"


def edges(schema: dict[str, Any]) -> list[Any]:
    """The least and the greatest number that a schema allows; none where it has no bounds or is no number."""
    each = next((s for s in [schema, *schema.get("anyOf", [])] if s.get("type") in ("number", "integer")), {})
    above, below = each.get("exclusiveMinimum"), each.get("exclusiveMaximum")
    found = [each.get("minimum"), each.get("maximum")]
    if each.get("type") == "number":
        found += [None if above is None else math.nextafter(above, math.inf)]
        found += [None if below is None else math.nextafter(below, -math.inf)]
    return [edge for edge in found if edge is not None]


def combinations(named: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Each parameter absent or at an edge, in every combination, or in as many as are tried."""
    every = [dict(zip(named, values, strict=True)) for values in product(*([None, *some] for some in named.values()))]
    some = random.Random(3).sample(every, MOST) if len(every) > MOST else every
    return [{name: value for name, value in each.items() if value is not None} for each in some]


def parameters(document: dict[str, Any], path: str) -> dict[str, list[Any]]:
    """Edges of the number parameters of a GET, by name; paging is another matter."""
    named = document["paths"][path]["get"].get("parameters", [])
    found = {each["name"]: edges(each["schema"]) for each in named if each["in"] == "query"}
    return {name: some for name, some in found.items() if some and name not in ("limit", "page")}


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no number of JSON")


def check(answer: Any, asked: object) -> None:
    assert answer.status_code in EXPECTED, (asked, answer.get_data(as_text=True)[:500])
    if answer.mimetype == "application/json":
        json.loads(answer.get_data(as_text=True), parse_constant=refuse)


def test_combinations_of_edges_of_a_read_are_answered(world: World) -> None:
    base(world, base_probability=0.05)
    document = world.app.test_client().get("/api/openapi.json").get_json()
    routes = {path: parameters(document, path) for path, item in document["paths"].items() if "get" in item}
    routes = {path: named for path, named in routes.items() if named}
    assert {"/api/dashboard/value", "/api/segments/summary", "/api/customers"} <= set(routes)
    for path, named in routes.items():
        for given in combinations(named):
            query = {name: repr(value) for name, value in given.items()}
            asked = path.replace("{customer_id}", "u0001")
            check(world.ask("GET", asked, "admin", query_string=query), (asked, query))


def test_combinations_of_edges_of_a_campaign_are_answered(world: World) -> None:
    base(world, base_probability=0.05)
    document = world.app.test_client().get("/api/openapi.json").get_json()
    body = document["paths"][PLAN]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = document["components"]["schemas"][body["$ref"].rsplit("/", 1)[-1]] if "$ref" in body else body
    named = {name: some for name, each in schema["properties"].items() if (some := edges(each)) and name != "segment"}
    assert {"clv", "reduction", "control_share"} <= set(named)
    for given in combinations(named):
        check(world.ask("POST", PLAN, "analyst", json=given), given)
